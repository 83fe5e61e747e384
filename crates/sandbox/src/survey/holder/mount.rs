//! Mount tables: bind mounts of namespaces, mounts of procfs and mqueue.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use izba_sys::Errno;
use izba_sys::path::{Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};

use super::super::reader::Reader;
use super::super::{Id, SeenNamespace, reopen_namespace};
use super::procfs::ProcMounts;
use super::{Mounted, Search};
use crate::mountinfo::{self, MountLine, unescape};
use crate::namespace::Kind;

impl Search {
    /// Reads one table for each mount namespace, and one more for each other root directory in it, as a table shows what is below that.
    pub(super) fn read_tables(&mut self, reader: &mut Reader) {
        let proc = &reader.proc;
        let (mut read, mut seen, mut procs) = (BTreeSet::new(), BTreeSet::new(), ProcMounts::default());
        for process in reader.processes.values() {
            let Some(namespace) = process.namespace(Kind::Mount) else { continue };
            let root = readlinkat(proc, format!("{}/root", process.pid), Vec::new()).ok();
            if read.contains(&(namespace, root.clone())) {
                continue;
            }
            // A process that ends meanwhile leaves the table to the next one.
            let table = mountinfo::read(Path::new(&format!("/proc/{}/mountinfo", process.pid))).unwrap_or_default();
            for line in table.lines().filter_map(MountLine::parse) {
                read.insert((namespace, root.clone()));
                if seen.insert((namespace, line.id.to_owned())) {
                    self.sort(&line, Mounted { namespace, pid: process.pid, point: unescape(line.point) }, &mut procs);
                }
            }
        }
        let read: BTreeSet<Id> = read.into_iter().map(|(namespace, _)| namespace).collect();
        let unread = |id: &&Id| id.kind == Kind::Mount && !read.contains(id);
        self.unreadable_tables = reader.known.namespaces.keys().filter(unread).count();
        (self.proc_mounts, self.unknown_procs) = procs.by_namespace(proc);
        for (&id, mounts) in &self.bind_mounts {
            if !reader.known.contains(id) {
                let opened = mounts.iter().find_map(|mounted| open_mounted(proc, mounted).ok());
                let _other = opened.map(|namespace| reader.known.add(namespace));
                reader.known.namespaces.entry(id).or_insert_with(|| SeenNamespace::out_of_reach(id));
            }
        }
    }

    fn sort(&mut self, line: &MountLine<'_>, mounted: Mounted, procs: &mut ProcMounts) {
        match line.fstype {
            "nsfs" => {
                if let Ok(id) = line.root.parse() {
                    self.bind_mounts.entry(id).or_default().push(mounted);
                }
            }
            "proc" => procs.add(line, mounted),
            "mqueue" => self.mqueue_mounts.entry(line.device.to_owned()).or_default().push(mounted),
            _ => {}
        }
    }
}

/// Opens what is at a mount point, if that is a namespace.
fn open_mounted(proc: &OwnedFd, mounted: &Mounted) -> Result<OwnedFd, Errno> {
    let found = at_mount_point(proc, mounted, OFlags::PATH)?;
    reopen_namespace(&found)
}

/// What is at a mount point, as the process sees it: another mount may be on top of the one that is meant.
pub(super) fn at_mount_point(proc: &OwnedFd, mounted: &Mounted, flags: OFlags) -> Result<OwnedFd, Errno> {
    let root_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(proc, format!("{}/root", mounted.pid), root_flags, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let within = mounted.point.strip_prefix("/").ok().filter(|path| !path.as_os_str().is_empty());
    openat2(&root, within.unwrap_or(Path::new(".")), flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}
