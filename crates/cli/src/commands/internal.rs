//! The hidden verbs, which run as root of a user namespace: see [`crate::inside`].

use std::os::fd::AsFd;
use std::path::Path;

use izba_image::{Cache, Owners, remove_tree};
use izba_sys::path::{CWD, Mode, OFlags, openat};

use crate::archive;
use crate::args::internal::{RemoveArgs, SweepArgs, UnpackArgs};
use crate::failure::{Failure, Result};

/// Unpacks an archive, with all owners.
pub fn unpack(args: &UnpackArgs) -> Result<u8> {
    let cache = open(&args.cache)?;
    archive::unpack(&cache, &args.archive, Owners::AsArchived, &args.variant).map(|_tree| 0)
}

/// Removes trees.
pub fn remove(args: &RemoveArgs) -> Result<u8> {
    for tree in args.trees.iter().map(Path::new) {
        let (Some(parent), Some(name)) = (tree.parent(), tree.file_name()) else { continue };
        let failed = |errno| Failure::new(format!("cannot open {}", parent.display())).caused_by(&errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(CWD, parent, flags, Mode::empty()).map_err(failed)?;
        remove_tree(parent.as_fd(), name).map_err(|left| Failure::from_error(&left))?;
    }
    Ok(0)
}

/// Sweeps the cache.
pub fn sweep(args: &SweepArgs) -> Result<u8> {
    let swept = open(&args.cache)?.sweep().map_err(|error| Failure::from_error(&error))?;
    match swept.failed.first() {
        None => Ok(0),
        Some(left) => Err(Failure::from_error(left)),
    }
}

fn open(dir: &Path) -> Result<Cache> {
    Cache::open(dir).map_err(|error| Failure::from_error(&error))
}
