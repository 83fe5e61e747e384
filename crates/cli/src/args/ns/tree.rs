//! `izba ns tree`.

use clap::Args;

use crate::args::TableFormat;

/// Show PID and user namespaces as the trees that they are, with each process's PID in every namespace that it is in, and the other
/// namespaces under the user namespace that owns them.
#[derive(Debug, Args)]
pub struct TreeArgs {
    /// Show the processes too that are in nothing but the initial namespaces.
    #[arg(short, long)]
    pub all: bool,
    /// How to print it. JSON has all processes.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}
