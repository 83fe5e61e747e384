//! Tries things out in a child of its own namespaces, which end with it.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::credential::{getegid, geteuid};
use izba_sys::namespace::CloneFlags;
use izba_sys::path::{CWD, Mode, OFlags, openat, write};
use izba_sys::process::{Cloned, WaitId, WaitIdOptions, clone3, exit, waitid};
use izba_sys::signal::{SignalSet, set_mask};

use super::caller::Caller;
use crate::idmap::IdMap;
use crate::namespace::Kind;

/// Where an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The child, and with it the namespaces, could not be made.
    Clone(Errno),
    /// They were made, but something in them was refused.
    Within(Errno),
}

/// Runs `work` in a child with these new namespaces. Where a user namespace is among them, the caller's ids become root in it.
///
/// `work` runs between clone3 and exit: it must not allocate, lock, print or panic.
///
/// # Errors
/// Where it ended, and why.
pub fn in_child(namespaces: CloneFlags, work: &dyn Fn() -> Result<(), Errno>) -> Result<(), Refused> {
    let uid_map = IdMap::one(0, geteuid().as_raw()).to_string();
    let gid_map = IdMap::one(0, getegid().as_raw()).to_string();
    let mapped = namespaces.contains(CloneFlags::NEWUSER);
    // No handler of the caller's may run in the child.
    let mask = set_mask(&SignalSet::full());
    let cloned = clone3(namespaces, None);
    if !matches!(cloned, Ok(None)) {
        set_mask(&mask);
    }
    match cloned.map_err(Refused::Clone)? {
        Some(child) => end_of(&child),
        None => {
            let maps = if mapped { become_root(uid_map.as_bytes(), gid_map.as_bytes()) } else { Ok(()) };
            exit(maps.and_then(|()| work()).err().map_or(0, Errno::raw_os_error))
        }
    }
}

/// The child's own maps: user_namespaces(7) lets it map its own ids, once setgroups(2) has been given up.
fn become_root(uid_map: &[u8], gid_map: &[u8]) -> Result<(), Errno> {
    write_file(c"/proc/self/setgroups", b"deny")?;
    write_file(c"/proc/self/uid_map", uid_map)?;
    write_file(c"/proc/self/gid_map", gid_map)
}

fn write_file(path: &CStr, content: &[u8]) -> Result<(), Errno> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    write(file, content).map(drop)
}

/// Waits for the child. Its exit status is the errno, all of which fit.
fn end_of(child: &Cloned) -> Result<(), Refused> {
    let status = loop {
        match waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            other => break other.map_err(Refused::Within)?,
        }
    };
    match status.and_then(|status| status.exit_status()) {
        Some(0) => Ok(()),
        Some(errno) => Err(Refused::Within(Errno::from_raw_os_error(errno))),
        None => Err(Refused::Within(Errno::INTR)),
    }
}

/// What has to be new besides, so that this caller may make other namespaces: a user namespace for an ordinary user.
pub fn way_in(caller: &Caller) -> CloneFlags {
    if caller.is_privileged() { CloneFlags::empty() } else { CloneFlags::NEWUSER }
}

/// Can this caller make a namespace of this kind, if need be with a user namespace around it?
///
/// # Errors
/// Where it ended, and why.
pub fn create(kind: Kind, caller: &Caller) -> Result<(), Refused> {
    in_child(kind.clone_flag() | way_in(caller), &|| Ok(()))
}

/// A new user namespace that maps root to itself, kept by nothing but the descriptor. For a caller with CAP_SETUID.
///
/// # Errors
/// What clone3(2), or writing the map, gives.
pub fn user_namespace() -> std::io::Result<OwnedFd> {
    let (ours, theirs) = izba_sys::socket::pair()?;
    let Some(child) = clone3(CloneFlags::NEWUSER, None)? else {
        // Waits until the parent has what it wants: it closes its end, or dies. Ours has to go first.
        drop(ours);
        let ended = izba_sys::socket::receive(theirs.as_fd(), &mut [0], &mut |_| {});
        exit(i32::from(ended.is_err()))
    };
    let made = map_and_open(child.pid);
    drop(ours);
    // What the child ended with says nothing that the descriptor doesn't.
    let _ = end_of(&child);
    made
}

fn map_and_open(pid: i32) -> std::io::Result<OwnedFd> {
    std::fs::write(format!("/proc/{pid}/uid_map"), "0 0 1")?;
    std::fs::write(format!("/proc/{pid}/gid_map"), "0 0 1")?;
    Ok(std::fs::File::open(format!("/proc/{pid}/ns/user"))?.into())
}
