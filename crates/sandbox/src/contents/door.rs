//! The way to a namespace.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use izba_sys::nsfs;
use izba_sys::path::{CWD, Mode, OFlags, fstat, fstatfs, openat};

use super::Unreadable;
use crate::survey::{Id, Survey};

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
    /// The way to a namespace of a survey: a path where there is one, else a descriptor. `None` where nothing leads there for this caller.
    pub fn to(survey: &Survey, id: Id) -> Option<Self> {
        let path = survey.paths(id).map(Self::Path).find(|door| door.open(id).is_ok());
        path.or_else(|| survey.open(id).ok().map(Self::Descriptor))
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
