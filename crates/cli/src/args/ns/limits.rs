//! `izba ns limits`.

use clap::Args;

/// Show how many namespaces may be made, and how many there are.
#[derive(Debug, Args)]
pub struct LimitsArgs {}
