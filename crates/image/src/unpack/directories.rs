//! What directories get when all their children have been made: a read-only directory could not receive them, and
//! each child changes its time.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};

use super::Owners;
use super::attributes::{self, Owner};
use crate::error::UnpackError;
use crate::tar::{Attribute, Mtime};

/// The mode of directories that the archive uses but does not describe; GNU tar makes them so too.
const UNDESCRIBED: u32 = 0o755;

/// How a directory shall be in the end.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<Owner>,
    pub(super) mtime: Option<Mtime>,
    pub(super) attributes: Vec<Attribute>,
}

/// All directories that were made, by name.
#[derive(Debug, Default)]
pub(super) struct Directories {
    by_name: BTreeMap<Vec<u8>, Directory>,
}

impl Directories {
    /// Notes what a directory shall be; a later description replaces an earlier one.
    pub(super) fn describe(&mut self, name: &[u8], directory: Directory) {
        self.by_name.insert(name.to_vec(), directory);
    }

    /// Forgets a directory that was replaced by something else.
    pub(super) fn forget(&mut self, name: &[u8]) {
        self.by_name.remove(name);
    }

    /// Makes all directories what they shall be, and returns how many attributes were not set. Names in descending
    /// order have children before parents, whose modes may then forbid to pass.
    pub(super) fn finish(&mut self, root: BorrowedFd<'_>, owners: Owners) -> Result<u64, UnpackError> {
        let mut skipped = 0;
        while let Some((name, directory)) = self.by_name.pop_last() {
            skipped += finish_one(root, &name, &directory, owners)?;
        }
        Ok(skipped)
    }
}

fn finish_one(root: BorrowedFd<'_>, name: &[u8], directory: &Directory, owners: Owners) -> Result<u64, UnpackError> {
    let failed = |call| move |errno| UnpackError::make(name, call, errno);
    let path = if name.is_empty() { b"." } else { name };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat2(root, path, flags, Mode::empty(), super::place::BENEATH).map_err(failed("openat2"))?;
    attributes::set_owner(fd.as_fd(), b"", directory.owner, name)?;
    let skipped = attributes::set_all(fd.as_fd(), &directory.attributes, owners);
    let mode = Mode::from_raw_mode(directory.mode.unwrap_or(UNDESCRIBED));
    rustix::fs::fchmod(&fd, mode).map_err(failed("fchmod"))?;
    if let Some(mtime) = directory.mtime {
        rustix::fs::futimens(&fd, &attributes::times(mtime)).map_err(failed("futimens"))?;
    }
    Ok(skipped)
}
