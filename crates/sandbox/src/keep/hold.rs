//! Names as processes: a directory of the name, which the process that holds the namespaces has locked, and in it a file that tells its
//! id and its descriptors. The kernel drops the lock with the process, so a name without a lock is free, and whoever has the lock open
//! is the process that is meant.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use izba_sys::Errno;
use izba_sys::path::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use izba_sys::process::{self, Cloned, Pid, PidfdFlags, pidfd_open};
use izba_sys::signal::{self, SignalSet};
use izba_sys::{socket, terminal, title};

use super::{KeepError, lock, make_directory};
use crate::namespace::Kind;

/// The file in the directory: the process's id, on the next line the descriptor of its lock, and then those of the namespaces.
const FILE: &str = "holder";

/// Holds them, by a process of their own.
pub(super) fn hold(dir: &Path, name: &str, namespaces: &[(Kind, OwnedFd)]) -> Result<(), KeepError> {
    make_directory(dir, 0o700)?;
    let own = dir.join(name);
    make_directory(&own, 0o700)?;
    // A process of another PID namespace may hold it, which can't be told from here.
    if own.join(FILE).exists() && is_locked(&own) {
        return Err(KeepError::Taken(name.to_owned()));
    }
    let held = lock_and_hold(&own, namespaces);
    if held.is_err() {
        forget(&own);
        let _others = izba_sys::path::rmdir(dir);
    }
    held
}

fn lock_and_hold(own: &Path, namespaces: &[(Kind, OwnedFd)]) -> Result<(), KeepError> {
    // Where a process waits in vain to be known, the lock comes free as soon as it has noticed.
    let lock = lock(own)?;
    let descriptors: Vec<RawFd> = namespaces.iter().map(|(_, namespace)| namespace.as_raw_fd()).collect();
    let (holder, known) = start(&lock, &descriptors).map_err(KeepError::call("start a process that holds", own))?;
    if !socket::receive(known.as_fd(), &mut [0], &mut drop).is_ok_and(|ready| ready.length == 1) {
        return Err(KeepError::call("start a process that holds", own)(Errno::CHILD));
    }
    let numbers = [holder.pid, lock.as_raw_fd()].into_iter().chain(descriptors);
    let lines: Vec<String> = numbers.map(|number| format!("{number}\n")).collect();
    // Whoever reads it finds all of it.
    let (half, whole) = (own.join("new"), own.join(FILE));
    let written = fs::write(&half, lines.concat()).and_then(|()| fs::rename(&half, &whole));
    written.map_err(|source| KeepError::Call { what: "write", path: whole, source })?;
    socket::send(known.as_fd(), b"1", &[]).map_err(KeepError::call("tell the process that holds", own))
}

/// The process has nothing but its descriptors, belongs to no session or terminal of anybody's, and waits to be ended. It is also ended
/// by closing the descriptor that comes with it, until it has been told by this that it is known: one that nobody knows of, as its
/// maker was killed, would stay for ever.
fn start(lock: &OwnedFd, descriptors: &[RawFd]) -> Result<(Cloned, OwnedFd), Errno> {
    let nothing = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let (known, is_known) = socket::pair()?;
    let mut kept: Vec<RawFd> = descriptors.iter().copied().chain([lock.as_raw_fd(), is_known.as_raw_fd()]).collect();
    kept.sort_unstable();
    let Some(holder) = process::clone3(izba_sys::namespace::CloneFlags::empty(), None)? else {
        // From here on nothing may be allocated.
        let _ours = terminal::setsid();
        let _named = title::replace_arguments(c"izba-keep");
        let away = izba_sys::path::chdir(c"/")
            .and_then(|()| terminal::dup2_stdin(&nothing))
            .and_then(|()| terminal::dup2_stdout(&nothing))
            .and_then(|()| terminal::dup2_stderr(&nothing))
            .and_then(|()| process::close_all_but(&kept))
            .and_then(|()| socket::send(is_known.as_fd(), b"1", &[]));
        if away.is_err() {
            // What it still had of its maker's would be held for ever, and the end of its maker wouldn't be noticed.
            process::exit(1)
        }
        signal::set_mask(&SignalSet::empty());
        if socket::receive(is_known.as_fd(), &mut [0], &mut drop).is_ok_and(|received| received.length == 1) {
            loop {
                let _signalled = process::poll(&mut [], None);
            }
        }
        process::exit(0)
    };
    Ok((holder, known))
}

/// The process that holds a name, and its descriptors.
pub(super) fn holder(dir: &Path, name: &str) -> Option<(i32, Vec<RawFd>)> {
    let own = dir.join(name);
    is_locked(&own).then_some(())?;
    let text = fs::read_to_string(own.join(FILE)).ok()?;
    let numbers: Vec<i32> = text.lines().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [pid, lock, descriptors @ ..] = &numbers[..] else { return None };
    // The number may mean another process, in another PID namespace or later.
    let locked = fs::metadata(format!("/proc/{pid}/fd/{lock}")).ok()?;
    let found = fs::metadata(&own).ok()?;
    ((locked.dev(), locked.ino()) == (found.dev(), found.ino())).then(|| (*pid, descriptors.to_vec()))
}

/// Ends it.
pub(super) fn end(dir: &Path, name: &str, pid: i32) -> Result<(), KeepError> {
    let own = dir.join(name);
    let failed = |what| KeepError::call(what, &own);
    let known = Pid::from_raw(pid).ok_or_else(|| KeepError::Unknown(name.to_owned()))?;
    match pidfd_open(known, PidfdFlags::empty()) {
        // It is the same still.
        Ok(process) if holder(dir, name).is_some_and(|(holder, _)| holder == pid) => {
            let ended = signal::pidfd_send_signal(process.as_fd(), signal::SIGKILL);
            ended.map_err(failed("end the process that holds"))?;
            // It is free when the process has let its descriptors go.
            lock(&own)?;
        }
        Ok(_) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(failed("open the process that holds")(errno)),
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
pub(super) fn clear(dir: &Path, name: &str) {
    let own = dir.join(name);
    if !is_locked(&own) {
        forget(&own);
    }
}

fn forget(own: &Path) {
    let _ = fs::remove_file(own.join(FILE));
    let _ = fs::remove_file(own.join("new"));
    let _ = fs::remove_dir(own);
}
