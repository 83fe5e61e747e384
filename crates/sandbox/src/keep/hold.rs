//! Names as processes: a directory of the name, which the process that holds the namespaces has locked, and in it a file that tells its
//! id and its descriptors. The kernel drops the lock with the process, so a name without a lock is free.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use izba_sys::Errno;
use izba_sys::path::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use izba_sys::process::{self, Cloned, Pid, PidfdFlags, pidfd_open};
use izba_sys::signal::{self, SignalSet};
use izba_sys::{terminal, title};

use super::KeepError;
use crate::namespace::Kind;

/// The file in the directory: the process's id, and on the next lines its descriptors.
const FILE: &str = "holder";

/// Holds them, by a process of their own.
pub(super) fn hold(dir: &Path, name: &str, namespaces: Vec<(Kind, OwnedFd)>) -> Result<(), KeepError> {
    make_directory(dir)?;
    let own = dir.join(name);
    forget(&own);
    make_directory(&own)?;
    let lock = open(&own).map_err(KeepError::call("open", &own))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(KeepError::call("lock", &own))?;
    let descriptors: Vec<RawFd> = namespaces.iter().map(|(_, namespace)| namespace.as_raw_fd()).collect();
    let holder = start(&lock, &descriptors).map_err(KeepError::call("start a process that holds", &own))?;
    let lines: Vec<String> =
        std::iter::once(holder.pid).chain(descriptors).map(|number| format!("{number}\n")).collect();
    // Whoever reads it finds all of it.
    let (half, whole) = (own.join("new"), own.join(FILE));
    let written = fs::write(&half, lines.concat()).and_then(|()| fs::rename(&half, &whole));
    written.map_err(|source| {
        let _gone = signal::pidfd_send_signal(std::os::fd::AsFd::as_fd(&holder.pidfd), signal::SIGKILL);
        KeepError::Call { what: "write", path: whole, source }
    })
}

/// The process has nothing but its descriptors, belongs to no session or terminal of anybody's, and waits to be ended.
fn start(lock: &OwnedFd, descriptors: &[RawFd]) -> Result<Cloned, Errno> {
    let nothing = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let mut kept: Vec<RawFd> = descriptors.iter().copied().chain([lock.as_raw_fd()]).collect();
    kept.sort_unstable();
    let Some(holder) = process::clone3(izba_sys::namespace::CloneFlags::empty())? else {
        // From here on nothing may be allocated.
        let _ours = terminal::setsid();
        let _named = title::replace_arguments(c"izba-keep");
        let _ = terminal::dup2_stdin(&nothing);
        let _ = terminal::dup2_stdout(&nothing);
        let _ = terminal::dup2_stderr(&nothing);
        let _ = izba_sys::path::chdir(c"/");
        let _ = process::close_all_but(&kept);
        signal::set_mask(&SignalSet::empty());
        loop {
            let _signalled = process::poll(&mut [], None);
        }
    };
    Ok(holder)
}

/// The process that holds a name, and its descriptors.
pub(super) fn holder(dir: &Path, name: &str) -> Option<(i32, Vec<RawFd>)> {
    let own = dir.join(name);
    is_locked(&own).then_some(())?;
    let text = fs::read_to_string(own.join(FILE)).ok()?;
    let mut numbers = text.lines().map(str::parse::<i32>);
    let pid = numbers.next()?.ok()?;
    Some((pid, numbers.collect::<Result<_, _>>().ok()?))
}

/// Ends it. While the lock is held the process's id is its own.
pub(super) fn end(dir: &Path, name: &str, pid: i32) -> Result<(), KeepError> {
    let own = dir.join(name);
    let failed = |what| KeepError::call(what, &own);
    let pid = Pid::from_raw(pid).ok_or_else(|| KeepError::Unknown(name.to_owned()))?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(failed("open the process that holds"))?;
    if is_locked(&own) {
        let ended = signal::pidfd_send_signal(std::os::fd::AsFd::as_fd(&process), signal::SIGKILL);
        ended.map_err(failed("end the process that holds"))?;
        let lock = open(&own).map_err(failed("open"))?;
        // It is free when the process has let its descriptors go.
        flock(&lock, FlockOperation::LockExclusive).map_err(failed("lock"))?;
    }
    forget(&own);
    let _others = izba_sys::path::rmdir(dir);
    Ok(())
}

fn open(own: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, own, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Is there a process that has locked it?
fn is_locked(own: &Path) -> bool {
    open(own).is_ok_and(|dir| flock(&dir, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK))
}

/// Removes what a process that has ended has left.
fn forget(own: &Path) {
    let _ = fs::remove_file(own.join(FILE));
    let _ = fs::remove_file(own.join("new"));
    let _ = fs::remove_dir(own);
}

fn make_directory(dir: &Path) -> Result<(), KeepError> {
    match izba_sys::path::mkdirat(CWD, dir, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(KeepError::call("make", dir)(errno)),
    }
}
