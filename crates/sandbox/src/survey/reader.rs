//! One reading of the machine, from its first process to its last namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use izba_sys::Errno;
use izba_sys::path::{CWD, Mode, OFlags, PROC_MAGIC, fstatfs, openat};

use super::known::{Known, is_shortage};
use super::{Detail, Id, Link, SeenNamespace, SeenProcess, Survey, listing, open_namespace, process};
use crate::mountinfo::{self, MountLine, unescape};
use crate::namespace::Kind;

/// What has been read so far.
pub(super) struct Reader {
    pub(super) proc: OwnedFd,
    pub(super) known: Known,
    pub(super) processes: BTreeMap<i32, SeenProcess>,
    pub(super) unreadable: Vec<i32>,
    /// There is always a process 1, but it may be hidden.
    pub(super) hides_processes: bool,
}

impl Reader {
    /// Reads.
    pub(super) fn read(detail: Detail) -> io::Result<Self> {
        let proc = procfs()?;
        let pids = process::pids(&proc)?;
        let mut reader = Self {
            proc,
            known: Known::new(BTreeMap::new()),
            processes: BTreeMap::new(),
            unreadable: Vec::new(),
            hides_processes: !pids.contains(&1),
        };
        for pid in pids {
            reader.read_process(pid, detail)?;
        }
        reader.find_pinned(&mountinfo::read(Path::new("/proc/self/mountinfo")).unwrap_or_default());
        reader.forget_ended();
        listing::find(&mut reader.known);
        Ok(reader)
    }

    pub(super) fn finish(self) -> Survey {
        Survey {
            namespaces: self.known.namespaces,
            processes: self.processes,
            unreadable: self.unreadable,
            hides_processes: self.hides_processes,
        }
    }

    fn read_process(&mut self, pid: i32, detail: Detail) -> Result<(), Errno> {
        match process::read(&self.proc, pid, detail, &mut self.known) {
            Ok(process) => {
                for id in Kind::ALL.into_iter().filter_map(|kind| process.namespace(kind)) {
                    if let Some(seen) = self.known.namespaces.get_mut(&id) {
                        seen.members.push(pid);
                    }
                }
                self.processes.insert(pid, process);
            }
            // It has gone meanwhile.
            Err(Errno::SRCH | Errno::NOENT) => {}
            Err(errno) if is_shortage(errno) => return Err(errno),
            Err(_) => self.unreadable.push(pid),
        }
        Ok(())
    }

    /// A path may be closed to the caller while its mount is in the table: then nothing but the id is known.
    fn find_pinned(&mut self, mountinfo: &str) {
        for (id, point) in mountinfo.lines().filter_map(MountLine::parse).filter_map(|line| pin(&line)) {
            // Another mount may be on top: what is there then isn't this one.
            let _other = open_namespace(&point).map(|namespace| self.known.add(namespace));
            let seen = self.known.namespaces.entry(id).or_insert_with(|| SeenNamespace::out_of_reach(id));
            seen.pins.push(point);
        }
    }

    /// A process that ended while it was read has left namespaces behind that nothing seen keeps alive.
    fn forget_ended(&mut self) {
        let namespaces = &self.known.namespaces;
        let held = namespaces.values().filter(|seen| !seen.members.is_empty() || !seen.pins.is_empty());
        let for_children = self.processes.values().flat_map(|process| process.for_children.iter().copied());
        let mut rest: Vec<Id> = held.map(|seen| seen.id).chain(for_children).collect();
        let mut kept = BTreeSet::new();
        while let Some(id) = rest.pop() {
            if let Some(seen) = namespaces.get(&id).filter(|_| kept.insert(id)) {
                rest.extend([seen.owner, seen.parent].into_iter().filter_map(Link::id));
            }
        }
        self.known.retain(&kept);
    }
}

/// The namespace of which a line of a mount table shows a bind mount, and where that is.
fn pin(line: &MountLine<'_>) -> Option<(Id, PathBuf)> {
    let id = (line.fstype == "nsfs").then(|| line.root.parse().ok()).flatten()?;
    Some((id, unescape(line.point)))
}

/// A descriptor of /proc, if that is one.
fn procfs() -> io::Result<OwnedFd> {
    let proc = openat(CWD, "/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if u64::try_from(fstatfs(&proc)?.f_type).ok() != Some(PROC_MAGIC) {
        return Err(io::Error::other("/proc is no procfs"));
    }
    Ok(proc)
}
