//! `izba ns run`.

use clap::Args;

/// Run a program in new namespaces, and nothing else changed.
#[derive(Debug, Args)]
pub struct NsRunArgs {}
