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
    Run(Box<run::NsRunArgs>),
    Enter(Box<enter::EnterArgs>),
    List(list::ListArgs),
    Tree(tree::TreeArgs),
    Show(show::ShowArgs),
    Keep(keep::KeepArgs),
    Drop(keep::DropArgs),
    Limits(limits::LimitsArgs),
    Map(map::MapArgs),
}
