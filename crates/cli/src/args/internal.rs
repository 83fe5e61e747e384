//! Hidden verbs: izba runs itself in a user namespace, where the subordinate ids that own the files are its own.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// The verb that unpacks.
pub const UNPACK: &str = "internal-unpack";
/// The verb that removes.
pub const REMOVE: &str = "internal-remove";
/// The verb that sweeps the cache.
pub const SWEEP: &str = "internal-sweep";

#[derive(Debug, Args)]
pub struct UnpackArgs {
    /// The cache directory.
    pub cache: PathBuf,
    /// Under which name of the ids' layout the tree is kept.
    pub variant: String,
    /// The archive.
    pub archive: PathBuf,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Directories to remove with everything in them.
    #[arg(required = true)]
    pub trees: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The cache directory.
    pub cache: PathBuf,
}
