//! `izba ns map`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Draw a picture of the machine's isolation.
///
/// User namespaces are boxes in boxes, with all that they own: PID namespaces with their processes (PID outside → inside),
/// network namespaces with their interfaces and the lines between veth pairs, and the others as chips. What one container
/// has is in one frame. The HTML file needs nothing else: it zooms, searches, and shows the details of what is clicked.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  izba ns map                     as text, here\n  izba ns map -o machine.html     \
    to look at in a browser\n  izba ns map -o machine.svg      to print, or to put into a page\n  \
    izba ns map --format dot | dot -Tpdf -o machine.pdf"
)]
pub struct MapArgs {
    /// Write to this file instead of stdout; `-` is stdout.
    ///
    /// The name's end says the format, unless --format does. A file that exists is replaced once the picture is complete.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// In this format; on stdout text if it isn't given.
    #[arg(long, value_enum)]
    pub format: Option<MapFormat>,
}

/// What a picture is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MapFormat {
    /// A tree for a terminal.
    Text,
    /// A picture.
    Svg,
    /// One file with the picture, pan, zoom, search and details.
    Html,
    /// The boxes and links, for programs.
    Json,
    /// For Graphviz.
    Dot,
}
