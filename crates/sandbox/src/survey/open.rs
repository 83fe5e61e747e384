//! A descriptor of a namespace that was seen.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use izba_sys::Errno;
use izba_sys::nsfs;

use super::{Id, Survey, identify, open_namespace};
use crate::namespace::Kind;

impl Survey {
    /// Opens a namespace by whatever leads to it: a process in it, a process whose children will be, a mount, its 64-bit id, or a
    /// namespace below it. What is opened is the one that was asked for, whatever has happened since it was seen.
    ///
    /// # Errors
    /// ENOENT where nothing leads there, or not any more.
    pub fn open(&self, id: Id) -> io::Result<OwnedFd> {
        let unique = self.namespaces.get(&id).and_then(|seen| seen.unique);
        // The inode number may have been given to another meanwhile.
        let same = |found: &OwnedFd| unique.is_none_or(|unique| nsfs::unique_id(found.as_fd()) == Ok(unique));
        let is_it = |found: &OwnedFd| identify(found.as_fd()) == Ok(id) && same(found);
        let paths = self.paths(id);
        let opened = paths.filter_map(|path| open_namespace(&path).ok()).find(is_it);
        opened.or_else(|| self.by_unique_id(id)).or_else(|| self.by_way_of_below(id)).ok_or_else(|| Errno::NOENT.into())
    }

    /// The files that lead there, if nothing has changed meanwhile.
    pub(crate) fn paths(&self, id: Id) -> impl Iterator<Item = PathBuf> {
        let file = move |pid: i32, suffix: &str| PathBuf::from(format!("/proc/{pid}/ns/{}{suffix}", id.kind));
        let members = self.members(id).map(move |process| file(process.pid, ""));
        let parents = self.processes.values().filter(move |process| process.for_children.contains(&id));
        let parents = parents.map(move |process| file(process.pid, "_for_children"));
        let pins = self.namespaces.get(&id).map_or(&[][..], |seen| &seen.pins);
        members.chain(parents).chain(pins.iter().cloned())
    }

    /// Linux 6.18.
    fn by_unique_id(&self, id: Id) -> Option<OwnedFd> {
        let unique = self.namespaces.get(&id)?.unique?;
        nsfs::open(unique, id.kind.clone_flag(), u32::try_from(id.inode).ok()?).ok()
    }

    /// Trees are at most 32 deep: pid_namespaces(7), user_namespaces(7).
    fn by_way_of_below(&self, id: Id) -> Option<OwnedFd> {
        self.namespaces.values().find_map(|seen| {
            let up = match () {
                () if seen.parent.id() == Some(id) => nsfs::parent,
                () if id.kind == Kind::User && seen.owner.id() == Some(id) => nsfs::owner,
                () => return None,
            };
            up(self.open(seen.id).ok()?.as_fd()).ok()
        })
    }
}
