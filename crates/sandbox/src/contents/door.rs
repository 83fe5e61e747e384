//! The way to a namespace.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use izba_sys::path::{CWD, Mode, OFlags, fstat, fstatfs, openat};
use izba_sys::{Errno, nsfs};

use super::Unreadable;
use crate::survey::{Id, Link, SeenNamespace, Survey};

/// What leads to a namespace.
#[derive(Debug)]
pub enum Door {
    /// An open file of it: its /proc/PID/ns file, a bind mount of that, or what ioctl_nsfs(2) gave.
    Descriptor(OwnedFd),
    /// A path to open: /proc/PID/ns/net, /run/netns/NAME.
    Path(PathBuf),
}

/// An open namespace.
#[derive(Debug)]
pub(crate) enum Opened<'a> {
    Borrowed(BorrowedFd<'a>),
    Owned(OwnedFd),
}

impl Opened<'_> {
    pub fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Borrowed(fd) => *fd,
            Self::Owned(fd) => fd.as_fd(),
        }
    }
}

impl Door {
    /// The way to a namespace of a survey: by a process in it or about to be, by a mount, by its 64-bit id, or from one that hangs from it.
    /// `None` where nothing leads there for this caller.
    pub fn to(survey: &Survey, id: Id) -> Option<Self> {
        let seen = survey.namespaces.get(&id)?;
        let members = seen.members.iter().map(|pid| format!("/proc/{pid}/ns/{}", id.kind).into());
        let parents = survey.processes.values().filter(|process| process.for_children.contains(&id));
        let parents = parents.map(|process| format!("/proc/{}/ns/{}_for_children", process.pid, id.kind).into());
        let mut paths = members.chain(parents).chain(seen.pins.iter().cloned()).map(Self::Path);
        let path = paths.find(|door| door.open(id).is_ok());
        path.or_else(|| by_number(seen).map(Self::Descriptor)).or_else(|| from_below(survey, id).map(Self::Descriptor))
    }

    /// Opens the namespace `id`. A path may lead elsewhere by now: a process has ended or has moved.
    pub(crate) fn open(&self, id: Id) -> Result<Opened<'_>, Unreadable> {
        let opened = match self {
            Self::Descriptor(fd) => Opened::Borrowed(fd.as_fd()),
            Self::Path(path) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let opened = openat(CWD, path, flags, Mode::empty());
                Opened::Owned(opened.map_err(Unreadable::refused("cannot open it"))?)
            }
        };
        let is_namespace = fstatfs(opened.fd()).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(nsfs::NSFS_MAGIC));
        let is_this = fstat(opened.fd()).is_ok_and(|stat| stat.st_ino == id.inode);
        if is_namespace && is_this { Ok(opened) } else { Err(Unreadable::Gone) }
    }
}

fn by_number(seen: &SeenNamespace) -> Option<OwnedFd> {
    let inode = u32::try_from(seen.id.inode).ok()?;
    nsfs::open(seen.unique?, seen.id.kind.clone_flag(), inode).ok()
}

/// A child namespace leads to its parent, and every namespace to its owner: ioctl_nsfs(2).
fn from_below(survey: &Survey, id: Id) -> Option<OwnedFd> {
    let mut below = survey.namespaces.values();
    below.find_map(|seen| {
        let up: fn(BorrowedFd<'_>) -> Result<OwnedFd, Errno> = match (seen.owner, seen.parent) {
            (_, Link::To(parent)) if parent == id => nsfs::parent,
            (Link::To(owner), _) if owner == id => nsfs::owner,
            _ => return None,
        };
        let door = Door::to(survey, seen.id)?;
        up(door.open(seen.id).ok()?.fd()).ok()
    })
}
