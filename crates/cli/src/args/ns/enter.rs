//! `izba ns enter`.

use clap::Args;

/// Run a program in existing namespaces.
#[derive(Debug, Args)]
pub struct EnterArgs {}
