//! What is known of namespaces so far. An open one says itself which it is, who owns it, what is above it, and so on up to where the
//! caller's sight ends.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use izba_sys::Errno;
use izba_sys::nsfs;
use izba_sys::path::fstat;
use izba_sys::rlimit::{Resource, getrlimit};

use super::{Id, Link, SeenNamespace};
use crate::namespace::Kind;

/// Which namespace a descriptor stands for.
///
/// # Errors
/// ENOTTY where it stands for none, EBADF where it was opened with O_PATH.
pub fn identify(namespace: BorrowedFd<'_>) -> Result<Id, Errno> {
    let flag = nsfs::kind(namespace)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.clone_flag() == flag).ok_or(Errno::NOTTY)?;
    Ok(Id { kind, inode: fstat(namespace)?.st_ino })
}

/// Does the machine lack what reading takes? Then nothing can be said of what was to be read.
pub(super) fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

/// Of the descriptors that RLIMIT_NOFILE allows, so many aren't taken for holding namespaces open, and of the rest half.
const RESERVED: u64 = 16;

/// Namespaces by id. They are held open while the machine is read: the kernel gives the number of one that has ended to the next that is
/// made, and the processes of two would be taken for those of one.
pub(super) struct Known {
    pub(super) namespaces: BTreeMap<Id, SeenNamespace>,
    held: BTreeMap<Id, OwnedFd>,
    /// So many are held.
    most: usize,
}

impl Known {
    pub(super) fn new(namespaces: BTreeMap<Id, SeenNamespace>) -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self {
            namespaces,
            held: BTreeMap::new(),
            most: usize::try_from(limit.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.namespaces.contains_key(&id)
    }

    /// Is this descriptor of the namespace one that is open for the reading only?
    pub(super) fn holds(&self, id: Id, fd: RawFd) -> bool {
        self.held.get(&id).is_some_and(|held| held.as_raw_fd() == fd)
    }

    /// Forgets all others, and no longer keeps them alive.
    pub(super) fn retain(&mut self, kept: &BTreeSet<Id>) {
        self.namespaces.retain(|id, _| kept.contains(id));
        self.held.retain(|id, _| kept.contains(id));
    }

    /// Adds a namespace, and those above it, which may have no process of their own. It keeps those alive too.
    pub(super) fn add(&mut self, namespace: OwnedFd) -> Result<Id, Errno> {
        let id = identify(namespace.as_fd())?;
        if !self.contains(id) {
            self.explore(id, namespace.as_fd())?;
            if self.held.len() < self.most {
                self.held.insert(id, namespace);
            }
        }
        Ok(id)
    }

    /// A descriptor is open for each level, of which the kernel allows 32 of user and 32 of PID namespaces.
    fn explore(&mut self, id: Id, namespace: BorrowedFd<'_>) -> Result<(), Errno> {
        let top = id.is_initial();
        let owner = self.link(top && id.kind == Kind::User, nsfs::owner(namespace))?;
        let parent = match id.kind {
            Kind::User => owner,
            Kind::Pid => self.link(top, nsfs::parent(namespace))?,
            _ => Link::None,
        };
        let seen = SeenNamespace {
            unique: nsfs::unique_id(namespace).ok(),
            owner,
            parent,
            owner_uid: nsfs::owner_uid(namespace).ok(),
            ..SeenNamespace::out_of_reach(id)
        };
        self.namespaces.insert(id, seen);
        Ok(())
    }

    /// The kernel says EPERM of what lies outside the caller's own namespace, and of what isn't there. Only the initial user namespace has
    /// no owner and only the initial PID namespace no parent: `top`. Both are known by their inode numbers.
    fn link(&mut self, top: bool, related: Result<OwnedFd, Errno>) -> Result<Link, Errno> {
        let found = related.and_then(|namespace| {
            let id = identify(namespace.as_fd())?;
            if !self.contains(id) {
                self.explore(id, namespace.as_fd())?;
            }
            Ok(id)
        });
        match found {
            Ok(id) => Ok(Link::To(id)),
            Err(errno) if is_shortage(errno) => Err(errno),
            Err(_) => Ok(if top { Link::None } else { Link::Hidden }),
        }
    }
}
