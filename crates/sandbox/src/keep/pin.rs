//! Names as bind mounts: a file for each kind in a directory of the name, and /run/netns/NAME.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use izba_sys::Errno;
use izba_sys::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount};
use izba_sys::path::{CWD, FlockOperation, Mode, OFlags, flock, is_mount_root, openat};

use super::{KeepError, NETNS};
use crate::namespace::Kind;

/// The file that the namespace of this kind is pinned on.
fn place(dir: &Path, name: &str, kind: Kind) -> PathBuf {
    if kind == Kind::Net { Path::new(NETNS).join(name) } else { dir.join(name).join(kind.proc_name()) }
}

/// Where the namespaces of a name may be.
pub(super) fn paths(dir: &Path, name: &str) -> Vec<PathBuf> {
    Kind::ALL.into_iter().map(|kind| place(dir, name, kind)).filter(|path| path.exists()).collect()
}

/// Pins all of them, or none.
pub(super) fn pin(dir: &Path, name: &str, namespaces: &[(Kind, OwnedFd)]) -> Result<(), KeepError> {
    clear(dir, name);
    let mut made = Vec::new();
    let pinned = make_ground(dir).and_then(|()| {
        make_directory(&dir.join(name))?;
        namespaces.iter().try_for_each(|(kind, namespace)| {
            let path = place(dir, name, *kind);
            make_file(&path, name, *kind)?;
            made.push(path.clone());
            let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
            mount_bind(source, &path).map_err(KeepError::call("bind the namespace to", &path))
        })
    });
    if pinned.is_err() {
        // The cause is what is told. What is another's, such as a name of ip netns, stays.
        made.iter().for_each(|path| drop(unpin_one(path)));
        let _used = izba_sys::path::rmdir(dir.join(name));
        let_ground_go(dir);
    }
    pinned
}

/// Removes what was left by one that was killed before anything was kept. Of the directory of ip-netns(8) only where this was at work.
pub(super) fn clear(dir: &Path, name: &str) {
    if dir.join(name).exists() {
        let _rest = unpin(dir, name);
    }
}

/// A private mount: a mount namespace can't be bound where the bind mount would travel into it, and what is let go here is to be gone.
fn make_ground(dir: &Path) -> Result<(), KeepError> {
    make_directory(dir)?;
    if !is_mount_root(dir).map_err(KeepError::call("look at", dir))? {
        mount_bind(dir, dir).map_err(KeepError::call("mount", dir))?;
    }
    mount_change(dir, MountPropagationFlags::PRIVATE).map_err(KeepError::call("make private", dir))
}

/// What the namespace is bound to, as ip-netns(8) makes it.
fn make_file(path: &Path, name: &str, kind: Kind) -> Result<(), KeepError> {
    let _others = if kind == Kind::Net { Some(make_netns()?) } else { None };
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(_file) => Ok(()),
        Err(Errno::EXIST) => Err(KeepError::Taken(name.to_owned())),
        Err(errno) => Err(KeepError::call("make", path)(errno)),
    }
}

/// The directory of ip-netns(8), as that makes it: shared, so that names come and go in all mount namespaces. Locked as long as the
/// descriptor is open.
fn make_netns() -> Result<OwnedFd, KeepError> {
    let dir = Path::new(NETNS);
    make_directory(dir)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = openat(CWD, dir, flags, Mode::empty()).map_err(KeepError::call("open", dir))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(KeepError::call("lock", dir))?;
    let share = || mount_change(dir, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    if share() == Err(Errno::INVAL) {
        mount_bind_recursive(dir, dir).map_err(KeepError::call("mount", dir))?;
        share().map_err(KeepError::call("share", dir))?;
    }
    Ok(lock)
}

fn make_directory(dir: &Path) -> Result<(), KeepError> {
    match izba_sys::path::mkdirat(CWD, dir, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(KeepError::call("make", dir)(errno)),
    }
}

/// Goes on after an error, and tells the first.
pub(super) fn unpin(dir: &Path, name: &str) -> Result<(), KeepError> {
    let mut result = Ok(());
    for path in paths(dir, name) {
        result = result.and(unpin_one(&path));
    }
    let own = dir.join(name);
    result = result.and(absent_is_fine(izba_sys::path::rmdir(&own)).map_err(KeepError::call("remove", &own)));
    let_ground_go(dir);
    result
}

fn unpin_one(path: &Path) -> Result<(), KeepError> {
    match unmount(path, UnmountFlags::DETACH) {
        // Nothing is mounted there.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(KeepError::call("unmount", path)(errno)),
    }
    absent_is_fine(izba_sys::path::unlink(path)).map_err(KeepError::call("remove", path))
}

/// With the last name goes the mount that they were in.
fn let_ground_go(dir: &Path) {
    let empty = std::fs::read_dir(dir).is_ok_and(|mut names| names.next().is_none());
    if empty && unmount(dir, UnmountFlags::empty()).is_ok() {
        let _used = izba_sys::path::rmdir(dir);
    }
}

fn absent_is_fine(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
