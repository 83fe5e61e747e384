//! Listing, pruning and sweeping.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode};
use rustix::io::Errno;

use super::about::Entry;
use super::{Cache, DIRECTORY, INDEX, MAKING, TREES, Unremovable};
use crate::digest::Digest;
use crate::error::{Error, Result};

/// What a prune did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Pruned {
    /// The trees that are gone.
    pub removed: Vec<Entry>,
    /// Bytes of content that they had.
    pub freed: u64,
    /// Trees that stay because somebody uses them.
    pub in_use: Vec<Entry>,
    /// Trees of which something could not be removed. They can't be used any more, and the next sweep tries again.
    pub failed: Vec<(Entry, Unremovable)>,
}

/// What a sweep did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Half-made or half-removed trees that are gone.
    pub removed: u64,
    /// Index entries that led nowhere.
    pub links: u64,
    /// Trees that somebody is making or removing just now.
    pub busy: u64,
    /// What could not be removed.
    pub failed: Vec<Unremovable>,
}

/// A directory that may be locked exclusively now, later, or not any more.
enum Claim {
    Locked(OwnedFd),
    Busy,
    Gone,
}

impl Cache {
    /// All unpacked archives, in no particular order.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (name, digest) in self.tree_names()? {
            entries.extend(self.entry(&name, digest)?);
        }
        Ok(entries)
    }

    /// Removes the trees that `filter` chooses and nobody uses.
    ///
    /// # Errors
    /// The cache cannot be read or written. What cannot be removed of a tree is no error here, but in the result.
    pub fn prune(&self, filter: &mut dyn FnMut(&Entry) -> bool) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for (name, digest) in self.tree_names()? {
            let Some(entry) = self.entry(&name, digest)?.filter(|entry| filter(entry)) else { continue };
            match self.claim(&format!("{TREES}/{name}"))? {
                Claim::Busy => pruned.in_use.push(entry),
                Claim::Gone => {}
                Claim::Locked(_lock) => self.remove_entry(&name, entry, &mut pruned)?,
            }
        }
        self.remove_dangling_links()?;
        Ok(pruned)
    }

    /// Removes what killed processes have left.
    ///
    /// # Errors
    /// The cache cannot be read or written. What cannot be removed is no error here, but in the result: files of
    /// subordinate ids need another sweep inside their user namespace.
    pub fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        for name in self.names(MAKING)? {
            match self.claim(&format!("{MAKING}/{name}"))? {
                Claim::Busy => swept.busy += 1,
                Claim::Gone => {}
                Claim::Locked(_lock) => match self.remove(MAKING, &name)? {
                    Ok(()) => swept.removed += 1,
                    Err(left) => swept.failed.push(left),
                },
            }
        }
        swept.links = self.remove_dangling_links()?;
        Ok(swept)
    }

    /// Removes a tree that is locked. First it is moved away, so that nobody opens it while it shrinks.
    fn remove_entry(&self, name: &str, entry: Entry, pruned: &mut Pruned) -> Result<()> {
        let (from, to) = (format!("{TREES}/{name}"), format!("{MAKING}/{name}.pruned"));
        self.move_away(&from, &to)?;
        match self.remove(MAKING, &format!("{name}.pruned"))? {
            Ok(()) => {
                pruned.freed += entry.report.bytes;
                pruned.removed.push(entry);
            }
            Err(left) => pruned.failed.push((entry, left)),
        }
        Ok(())
    }

    fn move_away(&self, from: &str, to: &str) -> Result<()> {
        match rustix::fs::mkdirat(&self.fd, MAKING, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::cache("make", self.path.join(MAKING))(errno)),
        }
        let failed = |errno| Error::cache("move away", self.path.join(from))(errno);
        match rustix::fs::renameat(&self.fd, from, &self.fd, to) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => {
                // An earlier prune of the same archive could not remove all of it.
                let free = (1..).map(|n| format!("{to}.{n}"));
                let mut free = free.filter(|to| rustix::fs::statat(&self.fd, to, AtFlags::SYMLINK_NOFOLLOW).is_err());
                let to = free.next().unwrap_or_default();
                rustix::fs::renameat(&self.fd, from, &self.fd, &to).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    fn claim(&self, path: &str) -> Result<Claim> {
        let failed = |action, errno| Error::cache(action, self.path.join(path))(errno);
        let fd = match rustix::fs::openat(&self.fd, path, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Claim::Gone),
            other => other.map_err(|e| failed("open", e))?,
        };
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(Claim::Busy),
            other => other.map_err(|e| failed("lock", e))?,
        }
        Ok(if self.is_in_place(path, &fd)? { Claim::Locked(fd) } else { Claim::Gone })
    }

    fn entry(&self, name: &str, digest: Digest) -> Result<Option<Entry>> {
        let path = format!("{TREES}/{name}");
        let shown = self.path.join(&path);
        match rustix::fs::openat(&self.fd, &path, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::cache("open", shown)(errno)),
            Ok(fd) => Entry::read(fd.as_fd(), &shown, digest).map(Some),
        }
    }

    /// The names of all trees, with the digests in them.
    fn tree_names(&self) -> Result<Vec<(String, Digest)>> {
        let named = |name: String| Digest::parse(name.split('.').next()?).map(|digest| (name, digest));
        Ok(self.names(TREES)?.into_iter().filter_map(named).collect())
    }

    /// Removes index entries whose tree is gone. Trees come before their index entries, so none of them is just being
    /// made.
    fn remove_dangling_links(&self) -> Result<u64> {
        let mut removed = 0;
        for name in self.names(INDEX)? {
            let link = format!("{INDEX}/{name}");
            // Following the link is the question here.
            if !matches!(rustix::fs::statat(&self.fd, &link, AtFlags::empty()), Err(Errno::NOENT)) {
                continue;
            }
            match rustix::fs::unlinkat(&self.fd, &link, AtFlags::empty()) {
                Ok(()) => removed += 1,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::cache("remove", self.path.join(link))(errno)),
            }
        }
        Ok(removed)
    }
}
