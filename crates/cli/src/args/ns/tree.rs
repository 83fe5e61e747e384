//! `izba ns tree`.

use clap::Args;

/// Show namespaces as the trees that they are.
#[derive(Debug, Args)]
pub struct TreeArgs {}
