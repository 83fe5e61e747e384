//! The way to a namespace.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use izba_sys::Errno;

use super::Unreadable;
use crate::survey::{Id, Survey, identify, open_namespace};

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

    fn open(&self, id: Id) -> Result<Opened<'_>, Unreadable> {
        let opened = match self {
            Self::Descriptor(fd) => Opened::Borrowed(fd.as_fd()),
            Self::Path(path) => Opened::Owned(open_namespace(path).map_err(|error| refused(&error))?),
        };
        if identify(opened.fd()) == Ok(id) { Ok(opened) } else { Err(Unreadable::Gone) }
    }
}

/// Something else than a namespace is at the path by now, where one was.
fn refused(error: &io::Error) -> Unreadable {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        None | Some(Errno::NOTTY) => Unreadable::Gone,
        Some(errno) => Unreadable::refused("cannot open it")(errno),
    }
}

/// How namespaces are opened when they are needed. Thousands of them are open one at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// By this door, which is one namespace's.
    Door(&'a Door),
    /// By whatever leads there: a process that has ended since the survey doesn't close the other ways.
    Seen(&'a Survey),
}

impl<'a> Way<'a> {
    /// Opens the namespace `id`, and no other one. A path may lead elsewhere by now: a process has ended or has moved.
    pub(crate) fn open(self, id: Id) -> Result<Opened<'a>, Unreadable> {
        match self {
            Self::Door(door) => door.open(id),
            Self::Seen(survey) => {
                survey.open(id).map(Opened::Owned).map_err(|_| Unreadable::Unknown("nothing leads to it for you"))
            }
        }
    }
}
