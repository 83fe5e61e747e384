//! One process, read through a descriptor of its directory in /proc: that stays the process's own when its id is given to another, and
//! says ESRCH from then on.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;

use izba_sys::Errno;
use izba_sys::path::{Mode, OFlags, directory_entries, fstat, openat, read as read_bytes, readlinkat_raw};

use super::known::Known;
use super::status::Status;
use super::{Detail, Id, SeenProcess};
use crate::namespace::Kind;

/// In the order of [`Kind::ALL`].
const LINKS: [&CStr; 8] = [c"ns/user", c"ns/mnt", c"ns/pid", c"ns/net", c"ns/ipc", c"ns/uts", c"ns/cgroup", c"ns/time"];

/// Of what the next children are in, and its kind.
const FOR_CHILDREN: [(&CStr, Kind); 2] = [(c"ns/pid_for_children", Kind::Pid), (c"ns/time_for_children", Kind::Time)];

/// Longer command lines are cut: nobody reads them, and they can be megabytes.
const LONGEST_COMMAND: usize = 4096;

/// The ids of all processes, as the kernel lists them: ascending.
pub(super) fn pids(proc: &OwnedFd) -> io::Result<Vec<i32>> {
    Ok(numbers(proc.as_fd())?)
}

/// The entries of a directory of /proc whose names are numbers.
pub(super) fn numbers(dir: BorrowedFd<'_>) -> Result<Vec<i32>, Errno> {
    let mut numbers = Vec::new();
    for entry in directory_entries(dir)? {
        numbers.extend(entry?.file_name().to_str().ok().and_then(|name| i32::from_str(name).ok()));
    }
    Ok(numbers)
}

/// Opens an entry of a directory of /proc.
pub(super) fn open_directory(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Reads a process, and adds those of its namespaces that aren't known yet.
///
/// # Errors
/// EACCES where its namespaces may not be read; ESRCH or ENOENT where it has gone.
pub(super) fn read(proc: &OwnedFd, pid: i32, detail: Detail, known: &mut Known) -> Result<SeenProcess, Errno> {
    let dir = open_directory(proc, &pid.to_string())?;
    let uid = fstat(&dir)?.st_uid;
    let mut entered = entered(dir.as_fd(), known)?;
    // A zombie has no mount namespace any more; neither has a main thread that has ended before the others.
    if entered.own[Kind::Mount as usize].is_none() {
        entered = of_another_thread(&dir, pid, known).unwrap_or(entered);
    }
    let mut process =
        SeenProcess { pid, uid, namespaces: entered.own, for_children: entered.for_children, ..SeenProcess::default() };
    if entered.first || detail == Detail::All {
        describe(dir.as_fd(), &mut process)?;
    }
    Ok(process)
}

/// What a process is in whose main thread has ended, if another lives on.
fn of_another_thread(dir: &OwnedFd, pid: i32, known: &mut Known) -> Option<Entered> {
    let tasks = open_directory(dir, "task").ok()?;
    let others = numbers(tasks.as_fd()).ok()?.into_iter().filter(|&tid| tid != pid);
    let mut living = others.filter_map(|tid| {
        let thread = open_directory(&tasks, &tid.to_string()).ok()?;
        entered(thread.as_fd(), known).ok().filter(|entered| entered.own[Kind::Mount as usize].is_some())
    });
    living.next()
}

/// The namespaces of a process or a thread.
#[derive(Default)]
pub(super) struct Entered {
    /// Those that it is in, by kind.
    pub(super) own: [Option<u64>; 8],
    /// Others that its next children will be in.
    pub(super) for_children: Vec<Id>,
    /// Is it the first that is seen in one of its own?
    first: bool,
}

/// Reads the links of a directory of /proc/PID or /proc/PID/task/TID.
pub(super) fn entered(dir: BorrowedFd<'_>, known: &mut Known) -> Result<Entered, Errno> {
    let mut entered = Entered::default();
    for (kind, path) in Kind::ALL.into_iter().zip(LINKS) {
        let Some(id) = namespace(dir, path, known)? else { continue };
        entered.own[kind as usize] = Some(id.inode);
        entered.first |= known.namespaces.get(&id).is_some_and(|seen| seen.members.is_empty());
    }
    for (path, kind) in FOR_CHILDREN {
        let children = namespace(dir, path, known)?;
        entered.for_children.extend(children.filter(|id| entered.own[kind as usize] != Some(id.inode)));
    }
    Ok(entered)
}

/// The namespace that a link shows. One that isn't known is opened: if the process has changed over meanwhile, that is the one that counts.
/// `None` where the kernel lacks the kind, or a zombie has left it.
fn namespace(dir: BorrowedFd<'_>, path: &CStr, known: &mut Known) -> Result<Option<Id>, Errno> {
    let id = match link(dir, path) {
        Err(Errno::NOENT) => return Ok(None),
        answer => answer?,
    };
    if id.is_some_and(|id| known.contains(id)) {
        return Ok(id);
    }
    match openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(namespace) => known.add(namespace).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The id in a link of /proc/PID/ns or /proc/PID/fd; `None` where it leads to something else.
pub(super) fn link(dir: BorrowedFd<'_>, path: &CStr) -> Result<Option<Id>, Errno> {
    let mut buffer = [0; 64];
    let length = readlinkat_raw(dir, path, &mut buffer)?;
    let text = buffer.get(..length).and_then(|text| std::str::from_utf8(text).ok());
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Parent, PIDs and command.
fn describe(dir: BorrowedFd<'_>, process: &mut SeenProcess) -> Result<(), Errno> {
    let status = status(dir, c"status")?;
    process.command = status.command(&file(dir, c"cmdline", LONGEST_COMMAND)?);
    process.parent = status.parent;
    process.pids = if status.pids.is_empty() { vec![process.pid] } else { status.pids };
    Ok(())
}

/// A status file. Its groups, of which there may be 65536, come before its PIDs.
pub(super) fn status(dir: BorrowedFd<'_>, path: &CStr) -> Result<Status, Errno> {
    file(dir, path, LONGEST_STATUS).map(|text| Status::parse(&String::from_utf8_lossy(&text)))
}

/// 65536 groups of up to ten digits take less.
const LONGEST_STATUS: usize = 1 << 20;

/// A file as far as it is no longer than this.
fn file(dir: BorrowedFd<'_>, name: &CStr, most: usize) -> Result<Vec<u8>, Errno> {
    let file = openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while text.len() < most {
        let length = read_bytes(&file, &mut part)?;
        if length == 0 {
            break;
        }
        text.extend_from_slice(part.get(..length).unwrap_or_default());
    }
    text.truncate(most);
    Ok(text)
}
