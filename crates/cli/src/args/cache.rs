//! `izba cache` and `izba gc`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::TableFormat;

/// List or remove unpacked archives.
#[derive(Debug, Subcommand)]
pub enum CacheVerb {
    List(ListArgs),
    Prune(PruneArgs),
}

/// List the unpacked archives.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
    #[command(flatten)]
    pub place: CachePlace,
}

/// Remove unpacked archives that nothing runs in.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct PruneArgs {
    /// Remove all of them.
    #[arg(long, conflicts_with = "digests")]
    pub all: bool,
    /// Remove those whose digest starts like this.
    #[arg(value_name = "DIGEST")]
    pub digests: Vec<String>,
    #[command(flatten)]
    pub place: CachePlace,
}

/// Sweep what killed starts have left: half-unpacked archives, the writes of `--ephemeral=disk`, and records of runs.
#[derive(Debug, Args)]
pub struct GcArgs {
    #[command(flatten)]
    pub place: CachePlace,
}

/// Where unpacked archives are kept.
#[derive(Clone, Debug, Default, Args)]
pub struct CachePlace {
    /// Where unpacked archives are kept. By default IZBA_CACHE; else /var/cache/izba for root, and
    /// $XDG_CACHE_HOME/izba or ~/.cache/izba for others.
    #[arg(long = "cache", value_name = "DIR", help_heading = "Root file system")]
    pub dir: Option<PathBuf>,
}
