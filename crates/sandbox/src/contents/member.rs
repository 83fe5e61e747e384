//! What /proc shows of a process in a namespace.

use std::io::Read;
use std::os::fd::OwnedFd;

use izba_sys::path::{CWD, Mode, OFlags, openat, readlinkat};

use crate::namespace::Kind;
use crate::survey::Id;

/// A file of the first of these processes that lets it be read, and is still in the namespace when it has been read.
pub(super) fn text(id: Id, members: &[i32], file: &str) -> Option<String> {
    members.iter().find_map(|&pid| text_of(id, pid, id.kind.proc_name(), file))
}

/// timens_offsets of a process whose next children are in the time namespace `id`.
pub(super) fn clocks(id: Id, members: &[i32]) -> Option<String> {
    let link = format!("{}_for_children", Kind::Time);
    members.iter().find_map(|&pid| text_of(id, pid, &link, "timens_offsets"))
}

fn text_of(id: Id, pid: i32, link: &str, file: &str) -> Option<String> {
    let process =
        openat(CWD, format!("/proc/{pid}"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let process = process.ok()?;
    let inside = || is_in(&process, link, id);
    if !inside() {
        return None;
    }
    let mut bytes = Vec::new();
    open(&process, file)?.read_to_end(&mut bytes).ok()?;
    // A mount's path needn't be UTF-8, and mustn't hide the others.
    inside().then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn is_in(process: &OwnedFd, link: &str, id: Id) -> bool {
    let target = readlinkat(process, format!("ns/{link}"), Vec::new());
    target.is_ok_and(|target| target.to_bytes() == id.to_string().as_bytes())
}

fn open(process: &OwnedFd, file: &str) -> Option<std::fs::File> {
    openat(process, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok().map(Into::into)
}
