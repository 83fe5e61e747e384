//! `izba ns map`.

use clap::Args;

/// Draw a picture of the machine's isolation.
#[derive(Debug, Args)]
pub struct MapArgs {}
