//! `izba ns`: its verbs.

pub mod enter;
pub mod keep;
pub mod kinds;
pub mod limits;
pub mod list;
pub mod map;
pub mod program;
pub mod run;
pub mod show;
pub mod tree;

use clap::Subcommand;

/// Make, enter, look at and keep namespaces of Linux.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum NsVerb {
    /// Run a program in new namespaces, with nothing else changed.
    Run(Box<run::NsRunArgs>),
    /// Run a program in existing namespaces.
    Enter(Box<enter::EnterArgs>),
    /// List namespaces.
    List(list::ListArgs),
    /// Show namespaces as the trees that they are.
    Tree(tree::TreeArgs),
    /// Show everything about one namespace, and what keeps it alive.
    Show(show::ShowArgs),
    /// Keep namespaces under a name, with or without a process in them.
    Keep(keep::KeepArgs),
    /// Let kept namespaces go.
    Drop(keep::DropArgs),
    /// Show how many namespaces may be made, and how many there are.
    Limits(limits::LimitsArgs),
    /// Draw a picture of the machine's isolation.
    Map(map::MapArgs),
}
