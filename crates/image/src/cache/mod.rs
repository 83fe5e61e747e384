//! The cache of unpacked archives.
//!
//! ```text
//! v1/index/DEV.INO.SIZE.MTIME.CTIME.VARIANT -> ../trees/DIGEST.VARIANT
//! v1/trees/DIGEST.VARIANT/root/             the files
//! v1/trees/DIGEST.VARIANT/about             where they come from, and what could not be made
//! v1/making/DEV.INO....VARIANT/             trees that are being made, or being removed
//! ```
//!
//! Locks (flock) are on directories: each tree is locked shared by those who use it, and exclusively by who removes it;
//! each directory in `making` exclusively by its maker. The kernel drops a lock with its holder, however that ends. So
//! what lies in `making` without a lock is left over.

mod about;
mod make;
mod prune;
mod tree;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use about::Entry;
pub use make::Unpacking;
pub use prune::{Pruned, Swept};
pub use tree::Tree;

pub use crate::remove::Unremovable;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::source::Identity;

/// The layout described above; another one gets another name.
const LAYOUT: &str = "v1";
const INDEX: &str = "index";
const TREES: &str = "trees";
const MAKING: &str = "making";

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory of unpacked archives that belongs to the caller.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    fd: OwnedFd,
}

/// What a cache knows about an archive.
#[derive(Debug)]
pub enum Located {
    /// It is unpacked.
    Ready(Tree),
    /// It has to be unpacked.
    Missing {
        /// The archive's size, for a progress bar.
        bytes: u64,
    },
}

impl Cache {
    /// Opens the cache in `dir`; makes it, and the directories above it, if it is not there.
    ///
    /// # Errors
    /// The cache belongs to another user or is open to others: they could change what runs, or run the set-id programs
    /// in it.
    pub fn open(dir: &Path) -> Result<Cache> {
        let path = dir.join(LAYOUT);
        let fd = match rustix::fs::openat(CWD, &path, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => create(&path),
            other => other.map_err(Error::cache("open", &path)),
        }?;
        let stat = rustix::fs::fstat(&fd).map_err(Error::cache("look at", &path))?;
        let caller = rustix::process::geteuid().as_raw();
        if stat.st_uid != caller {
            return Err(Error::ForeignCache { path, owner: stat.st_uid, caller });
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(Error::OpenCache { path, mode: stat.st_mode & 0o7777 });
        }
        Ok(Cache { path, fd })
    }

    /// The tree of the archive at `archive`, if it has been unpacked for `variant`. An archive that has not changed since
    /// (neither inode, size, nor times) is not read.
    ///
    /// `variant` tells trees of the same archive apart that differ in the owners of their files: "root",
    /// "squashed-1000", or the caller's id map.
    ///
    /// # Errors
    /// `archive` is not a file, or the cache is damaged.
    pub fn locate(&self, archive: &Path, variant: &str) -> Result<Located> {
        let identity = Identity::of(archive)?;
        let found = self.find(&index_name(&identity, &variant_name(variant)))?;
        Ok(found.map_or(Located::Missing { bytes: identity.size }, Located::Ready))
    }

    /// The tree that an index entry leads to.
    fn find(&self, index_name: &str) -> Result<Option<Tree>> {
        match self.read_link(index_name)? {
            Some(target) => Tree::open(self, &target),
            None => Ok(None),
        }
    }

    /// The name of the tree that an index entry leads to.
    fn read_link(&self, index_name: &str) -> Result<Option<String>> {
        let link = format!("{INDEX}/{index_name}");
        let target = match rustix::fs::readlinkat(&self.fd, &link, Vec::with_capacity(256)) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(Error::cache("read the link", self.path.join(link)))?,
        };
        Ok(target.to_str().ok().and_then(|target| target.strip_prefix("../trees/")).map(String::from))
    }

    /// The names in one of the cache's directories.
    fn names(&self, dir: &str) -> Result<Vec<String>> {
        let failed = |errno| Error::cache("list", self.path.join(dir))(errno);
        let fd = match rustix::fs::openat(&self.fd, dir, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in Dir::new(fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // All names of ours are ASCII.
            names.extend(entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(String::from));
        }
        Ok(names)
    }

    /// Whether `path` in the cache still is the directory that was opened as `fd`.
    fn is_in_place(&self, path: &str, fd: &OwnedFd) -> Result<bool> {
        let failed = |errno| Error::cache("look at", self.path.join(path))(errno);
        let opened = rustix::fs::fstat(fd).map_err(failed)?;
        match rustix::fs::statat(&self.fd, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(inode(&stat) == inode(&opened)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Removes `name`, a directory in one of the cache's directories.
    fn remove(&self, dir: &str, name: &str) -> Result<std::result::Result<(), Unremovable>> {
        let fd = rustix::fs::openat(&self.fd, dir, DIRECTORY, Mode::empty())
            .map_err(Error::cache("open", self.path.join(dir)))?;
        let removed = crate::remove::remove_tree(rustix::fd::AsFd::as_fd(&fd), OsStr::new(name));
        Ok(removed.map_err(|failed| Unremovable { path: self.path.join(dir).join(&failed.path), ..failed }))
    }
}

fn inode(stat: &Stat) -> (u64, u64) {
    #[allow(clippy::useless_conversion)]
    (stat.st_dev.into(), stat.st_ino.into())
}

fn create(path: &Path) -> Result<OwnedFd> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| Error::Cache {
        action: "make",
        path: path.into(),
        source,
    })?;
    rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(Error::cache("open", path))
}

fn index_name(identity: &Identity, variant: &str) -> String {
    format!("{}.{variant}", identity.version())
}

fn tree_name(digest: &Digest, variant: &str) -> String {
    format!("{digest}.{variant}")
}

/// A variant as a part of file names and of overlayfs options: an id map of many ranges, or one with characters that
/// mean something there, is represented by its digest.
fn variant_name(variant: &str) -> String {
    const LONGEST: usize = 64;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if (1..=LONGEST).contains(&variant.len()) && variant.bytes().all(plain) {
        return variant.into();
    }
    format!("sha256-{:.40}", Digest::of(variant.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_become_short_plain_names() {
        assert_eq!(variant_name("map-0-1000-1-1-100000-65536"), "map-0-1000-1-1-100000-65536");
        for odd in ["", "a/b", "a:b", "a,b", ".", &"1-2-3-".repeat(100)] {
            let name = variant_name(odd);
            assert!(name.starts_with("sha256-") && name.len() == 47, "{odd}: {name}");
        }
        assert_ne!(variant_name("a/b"), variant_name("a:b"));
    }
}
