//! `izba ns show`.

use clap::Args;

/// Show everything about one namespace, and what keeps it alive.
#[derive(Debug, Args)]
pub struct ShowArgs {}
