//! `izba ns keep` and `izba ns drop`.

use clap::Args;

/// Keep namespaces under a name, with or without a process in them.
#[derive(Debug, Args)]
pub struct KeepArgs {}

/// Let kept namespaces go.
#[derive(Debug, Args)]
pub struct DropArgs {}
