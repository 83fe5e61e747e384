//! Names as bind mounts: a file for each kind in a directory of the name, but for networks /run/netns/NAME. That is a name of everybody's:
//! which network is meant is written down in the directory.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use izba_sys::Errno;
use izba_sys::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use izba_sys::path::{CWD, Mode, OFlags, is_mount_root, openat};

use super::{KeepError, id_of, make_directory, netns};
use crate::namespace::Kind;
use crate::survey::{Id, identify};

/// The file that the namespace of this kind is pinned on.
fn place(dir: &Path, name: &str, kind: Kind) -> PathBuf {
    if kind == Kind::Net { netns::place(name) } else { dir.join(name).join(kind.proc_name()) }
}

/// Where the namespaces of a name may be.
pub(super) fn paths(dir: &Path, name: &str) -> Vec<PathBuf> {
    let ours = |kind: &Kind| *kind != Kind::Net || is_network_ours(dir, name);
    Kind::ALL.into_iter().filter(ours).map(|kind| place(dir, name, kind)).filter(|path| path.exists()).collect()
}

/// Where it is noted which network has been kept.
fn note(dir: &Path, name: &str) -> PathBuf {
    dir.join(name).join(Kind::Net.proc_name())
}

/// Is what /run/netns has under this name the one that has been kept, or nothing yet? `ip netns` may have let that go and made another.
fn is_network_ours(dir: &Path, name: &str) -> bool {
    let noted: Option<Id> = fs::read_to_string(note(dir, name)).ok().and_then(|text| text.parse().ok());
    noted.is_some_and(|kept| id_of(&netns::place(name)).is_none_or(|found| found == kept))
}

/// Pins all of them, or none.
pub(super) fn pin(dir: &Path, name: &str, namespaces: &[(Kind, OwnedFd)]) -> Result<(), KeepError> {
    clear(dir, name);
    let mut made = Vec::new();
    let pinned = make_ground(dir).and_then(|()| {
        make_directory(&dir.join(name), 0o755)?;
        namespaces.iter().try_for_each(|(kind, namespace)| {
            let path = place(dir, name, *kind);
            if *kind == Kind::Net {
                take_note(dir, name, namespace)?;
            }
            make_file(&path, name, *kind)?;
            made.push(path.clone());
            let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
            mount_bind(source, &path).map_err(KeepError::call("bind the namespace to", &path))
        })
    });
    if pinned.is_err() {
        // The cause is what is told. What is another's, such as a name of ip netns, stays.
        made.iter().for_each(|path| drop(unpin_one(path)));
        let _absent = fs::remove_file(note(dir, name));
        let _used = izba_sys::path::rmdir(dir.join(name));
        let_ground_go(dir);
    }
    pinned
}

/// Before anything is made in /run/netns, so that what a killed one has left there is known.
fn take_note(dir: &Path, name: &str, network: &OwnedFd) -> Result<(), KeepError> {
    let path = note(dir, name);
    let id = identify(network.as_fd()).map_err(KeepError::call("identify the network for", &path))?;
    fs::write(&path, id.to_string()).map_err(|source| KeepError::Call { what: "write", path, source })
}

/// Removes what was left by one that was killed before anything was kept. Of the directory of ip-netns(8) only where this was at work.
pub(super) fn clear(dir: &Path, name: &str) {
    if dir.join(name).exists() {
        let _rest = unpin(dir, name);
    }
}

/// A private mount: a mount namespace can't be bound where the bind mount would travel into it, and what is let go here is to be gone.
fn make_ground(dir: &Path) -> Result<(), KeepError> {
    make_directory(dir, 0o755)?;
    if !is_mount_root(dir).map_err(KeepError::call("look at", dir))? {
        mount_bind(dir, dir).map_err(KeepError::call("mount", dir))?;
    }
    mount_change(dir, MountPropagationFlags::PRIVATE).map_err(KeepError::call("make private", dir))
}

/// What the namespace is bound to, as ip-netns(8) makes it.
fn make_file(path: &Path, name: &str, kind: Kind) -> Result<(), KeepError> {
    let _others = if kind == Kind::Net { Some(netns::make()?) } else { None };
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(_file) => Ok(()),
        Err(Errno::EXIST) => Err(KeepError::Taken(name.to_owned())),
        Err(errno) => Err(KeepError::call("make", path)(errno)),
    }
}

/// Goes on after an error, and tells the first.
pub(super) fn unpin(dir: &Path, name: &str) -> Result<(), KeepError> {
    let mut result = Ok(());
    for path in paths(dir, name) {
        result = result.and(unpin_one(&path));
    }
    let _absent = fs::remove_file(note(dir, name));
    let own = dir.join(name);
    result = result.and(absent_is_fine(izba_sys::path::rmdir(&own)).map_err(KeepError::call("remove", &own)));
    let_ground_go(dir);
    result
}

pub(super) fn unpin_one(path: &Path) -> Result<(), KeepError> {
    match unmount(path, UnmountFlags::DETACH) {
        // Nothing is mounted there.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(KeepError::call("unmount", path)(errno)),
    }
    absent_is_fine(izba_sys::path::unlink(path)).map_err(KeepError::call("remove", path))
}

/// With the last name goes the mount that they were in.
fn let_ground_go(dir: &Path) {
    let empty = fs::read_dir(dir).is_ok_and(|mut names| names.next().is_none());
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
