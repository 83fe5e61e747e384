//! `izba ns keep` and `izba ns drop`.

use std::ffi::OsString;

use clap::Args;

use super::enter::TARGETS;
use super::kinds::Kinds;
use crate::record::Name;

const KEEP: &str = "\
Of a process all namespaces are kept that aren't yours already, or those that the options name. \
Root keeps them by bind mounts, network namespaces where ip netns has its own; an ordinary user by \
a process that holds them.

Examples:
  izba ns keep web 1234          keep what process 1234 lives in
  izba ns keep blue 1234 -n      only its network: ip netns exec blue works too
  izba ns enter blue -- ip addr  afterwards, whether 1234 is still there or not
  izba ns drop blue              let it go";

/// Keep namespaces under a name, with or without a process in them.
#[derive(Debug, Args)]
#[command(override_usage = "izba ns keep NAME TARGET... [OPTIONS]", max_term_width = 110, before_help = TARGETS, after_help = KEEP)]
pub struct KeepArgs {
    /// The name.
    pub name: Name,
    /// Whose namespaces.
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<OsString>,
    #[command(flatten)]
    pub kinds: Kinds,
}

/// Let kept namespaces go.
#[derive(Debug, Args)]
pub struct DropArgs {
    /// The names.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}
