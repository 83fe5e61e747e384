//! What an open namespace says of itself: its id, its owner, its parent, and so on up to where the caller's sight ends.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::nsfs;
use izba_sys::path::fstat;

use super::{Id, Link, SeenNamespace};
use crate::namespace::Kind;

/// Every namespace that is known, by id.
pub(super) type Known = BTreeMap<Id, SeenNamespace>;

/// Which namespace a descriptor stands for.
///
/// # Errors
/// ENOTTY where it stands for none, EBADF where it was opened with O_PATH.
pub fn identify(namespace: BorrowedFd<'_>) -> Result<Id, Errno> {
    let flag = nsfs::kind(namespace)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.clone_flag() == flag).ok_or(Errno::NOTTY)?;
    Ok(Id { kind, inode: fstat(namespace)?.st_ino })
}

/// Adds the namespace, and those above it: they may have no process of their own. A descriptor is open for each level, of which the
/// kernel allows 32 of user and 32 of PID namespaces.
pub(super) fn add(known: &mut Known, namespace: BorrowedFd<'_>) -> Result<Id, Errno> {
    let id = identify(namespace)?;
    if known.contains_key(&id) {
        return Ok(id);
    }
    let top = id.is_initial();
    let owner = link(known, top && id.kind == Kind::User, nsfs::owner(namespace));
    let parent = match id.kind {
        Kind::User => owner,
        Kind::Pid => link(known, top, nsfs::parent(namespace)),
        _ => Link::None,
    };
    let seen = SeenNamespace {
        unique: nsfs::unique_id(namespace).ok(),
        owner,
        parent,
        owner_uid: nsfs::owner_uid(namespace).ok(),
        ..SeenNamespace::out_of_reach(id)
    };
    known.insert(id, seen);
    Ok(id)
}

/// The kernel says EPERM of what lies outside the caller's own namespace, and of what isn't there. Only the initial user namespace has
/// no owner and only the initial PID namespace no parent: `top`. Both are known by their inode numbers.
fn link(known: &mut Known, top: bool, related: Result<OwnedFd, Errno>) -> Link {
    let found = related.and_then(|fd| add(known, fd.as_fd()));
    match found {
        Ok(id) => Link::To(id),
        Err(_) if top => Link::None,
        Err(_) => Link::Hidden,
    }
}
