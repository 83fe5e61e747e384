//! `izba ns list`.

use clap::Args;

/// List namespaces.
#[derive(Debug, Args)]
pub struct ListArgs {}
