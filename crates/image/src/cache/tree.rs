//! An unpacked archive in use.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::about::Entry;
use super::{Cache, DIRECTORY, TREES};
use crate::digest::Digest;
use crate::error::{Error, Result};

/// An unpacked archive. As long as this lives (or a copy of its lock's descriptor), no prune removes the files.
/// They are shared by all who use the archive: mount them read-only, or below an overlay.
#[derive(Debug)]
pub struct Tree {
    entry_path: PathBuf,
    path: PathBuf,
    digest: Digest,
    root: OwnedFd,
    /// The directory around the root, locked shared.
    lock: OwnedFd,
}

impl Tree {
    /// Opens and locks a tree; None if it is not there, or is being removed.
    pub(super) fn open(cache: &Cache, name: &str) -> Result<Option<Tree>> {
        let path = format!("{TREES}/{name}");
        let failed = |action, errno| Error::cache(action, cache.path.join(&path))(errno);
        let lock = match rustix::fs::openat(&cache.fd, &path, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| failed("open", e))?,
        };
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            other => other.map_err(|e| failed("lock", e))?,
        }
        // Who removes a tree moves it away first: it may have gone between open and lock.
        if !cache.is_in_place(&path, &lock)? {
            return Ok(None);
        }
        Tree::locked(cache, name, lock).map(Some)
    }

    /// The tree of an entry directory that the caller has locked.
    pub(super) fn locked(cache: &Cache, name: &str, lock: OwnedFd) -> Result<Tree> {
        let entry_path = cache.path.join(TREES).join(name);
        let path = entry_path.join("root");
        // A path descriptor: the root's own mode may forbid its owner to list it.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::openat(&lock, "root", flags, Mode::empty()).map_err(Error::cache("open", &path))?;
        let digest = name.split('.').next().and_then(Digest::parse);
        let digest = digest.ok_or(Errno::INVAL).map_err(Error::cache("read the digest of", &entry_path))?;
        Ok(Tree { entry_path, path, digest, root, lock })
    }

    /// Where the files are. The path has no characters that overlayfs options give a meaning, unless the cache
    /// directory's own path has.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root directory: an O_PATH descriptor, closed on exec.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The lock: a descriptor to duplicate (or inherit) where the tree is used longer than this value lives.
    #[must_use]
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The archive's digest.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Where the tree comes from, and what could not be made.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn about(&self) -> Result<Entry> {
        Entry::read(self.lock.as_fd(), &self.entry_path, self.digest)
    }
}
