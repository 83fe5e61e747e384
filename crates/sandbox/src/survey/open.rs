//! From a namespace's id to the namespace.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use izba_sys::Errno;
use izba_sys::nsfs;

use super::{Id, Link, SeenNamespace, Survey, identify, open_namespace};
use crate::namespace::Kind;

impl Survey {
    /// The namespace of this inode number. The kinds share one range of numbers, so there is no more than one.
    pub fn by_inode(&self, inode: u64) -> Option<&SeenNamespace> {
        self.namespaces.values().find(|seen| seen.id.inode == inode)
    }

    /// The namespace of this 64-bit id.
    pub fn by_unique(&self, unique: u64) -> Option<&SeenNamespace> {
        self.namespaces.values().find(|seen| seen.unique == Some(unique))
    }

    /// Opens a namespace that was seen: through a process in it, a bind mount, its 64-bit id, or one that hangs from it.
    ///
    /// # Errors
    /// ENOENT where it has ended meanwhile, or where no way to it is open to the caller.
    pub fn open(&self, id: Id) -> io::Result<OwnedFd> {
        let is_it = |fd: &OwnedFd| identify(fd.as_fd()).is_ok_and(|found| found == id);
        let through_files = self.files(id).filter_map(|path| open_namespace(&path).ok()).find(is_it);
        let found =
            through_files.or_else(|| self.by_number(id).filter(is_it)).or_else(|| self.from_below(id).filter(is_it));
        found.ok_or_else(|| Errno::NOENT.into())
    }

    /// Files that lead to it, if nothing has changed meanwhile.
    fn files(&self, id: Id) -> impl Iterator<Item = PathBuf> {
        let seen = self.namespaces.get(&id);
        let file = move |pid: i32, suffix: &str| PathBuf::from(format!("/proc/{pid}/ns/{}{suffix}", id.kind));
        let members = seen.into_iter().flat_map(|seen| &seen.members).map(move |&pid| file(pid, ""));
        let awaited = self.processes.values().filter(move |process| process.for_children.contains(&id));
        let awaited = awaited.map(move |process| file(process.pid, "_for_children"));
        members.chain(awaited).chain(seen.into_iter().flat_map(|seen| seen.pins.clone()))
    }

    /// Linux 6.18.
    fn by_number(&self, id: Id) -> Option<OwnedFd> {
        let unique = self.namespaces.get(&id)?.unique?;
        nsfs::open(unique, id.kind.clone_flag(), u32::try_from(id.inode).ok()?).ok()
    }

    /// A user or PID namespace without a process is the parent or owner of one that has.
    fn from_below(&self, id: Id) -> Option<OwnedFd> {
        let below = self.namespaces.values().filter(|seen| seen.id != id);
        below.filter_map(|seen| self.step_up(seen, id)).next()
    }

    fn step_up(&self, seen: &SeenNamespace, id: Id) -> Option<OwnedFd> {
        let is_owner = id.kind == Kind::User && seen.owner == Link::To(id);
        let is_parent = id.kind == Kind::Pid && seen.parent == Link::To(id);
        (is_owner || is_parent).then_some(())?;
        let below = self.open(seen.id).ok()?;
        if is_owner { nsfs::owner(below.as_fd()).ok() } else { nsfs::parent(below.as_fd()).ok() }
    }
}
