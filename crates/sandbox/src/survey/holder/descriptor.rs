//! Descriptors and threads of one process.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::path::{Mode, OFlags, fstat, openat};
use izba_sys::process::have_one_table;

use super::super::known::Known;
use super::super::process::{entered, link, numbers, open_directory};
use super::super::{Id, SeenProcess};
use super::Search;
use crate::namespace::Kind;

impl Search {
    /// Goes through the descriptors and threads of a process.
    pub(super) fn look_into(&mut self, proc: &OwnedFd, process: &SeenProcess, known: &mut Known) {
        let read = open_directory(proc, &process.pid.to_string()).and_then(|dir| {
            // The main thread may have ended before the others.
            if let Err(errno @ (Errno::ACCESS | Errno::PERM)) = self.read_descriptors(&dir, process.pid, known) {
                return Err(errno);
            }
            self.read_threads(&dir, process, known)
        });
        if let Err(Errno::ACCESS | Errno::PERM) = read {
            self.unreadable.insert(process.pid);
        }
    }

    fn read_descriptors(&mut self, dir: &OwnedFd, pid: i32, known: &mut Known) -> Result<(), Errno> {
        let descriptors = open_directory(dir, "fd")?;
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        for fd in numbers(descriptors.as_fd())? {
            let Ok(name) = CString::new(fd.to_string()) else { continue };
            // One that is closed meanwhile says ENOENT.
            if let Ok(Some(id)) = link(descriptors.as_fd(), &name) {
                if pid == own && known.holds(id, fd) {
                    continue;
                }
                let id = if known.contains(id) { id } else { open(&descriptors, &name, known).unwrap_or(id) };
                self.descriptors.entry(id).or_default().insert((pid, fd));
            }
        }
        Ok(())
    }

    /// Most processes have one thread, and most threads the namespaces of their process.
    fn read_threads(&mut self, dir: &OwnedFd, process: &SeenProcess, known: &mut Known) -> Result<(), Errno> {
        let tasks = open_directory(dir, "task")?;
        // Links to the directory: itself, its name, and the parent's of each thread.
        if fstat(&tasks)?.st_nlink <= 3 {
            return Ok(());
        }
        let mut tables = Tables(vec![process.pid]);
        for tid in numbers(tasks.as_fd())?.into_iter().filter(|&tid| tid != process.pid) {
            let Ok(thread) = open_directory(&tasks, &tid.to_string()) else { continue };
            if tables.is_new(tid)
                && let Err(Errno::ACCESS | Errno::PERM) = self.read_descriptors(&thread, process.pid, known)
            {
                self.unreadable.insert(process.pid);
            }
            let Ok(entered) = entered(thread.as_fd(), known) else { continue };
            let own = Kind::ALL.into_iter().filter_map(|kind| Some(Id { kind, inode: entered.own[kind as usize]? }));
            let elsewhere = own.filter(|&id| process.namespace(id.kind) != Some(id));
            let for_children = entered.for_children.iter().copied().filter(|id| !process.for_children.contains(id));
            for id in elsewhere.chain(for_children) {
                self.threads.entry(id).or_default().push((process.pid, tid));
            }
        }
        Ok(())
    }
}

/// Threads of a process that each have a table of descriptors of their own: clone(2), CLONE_FILES. That of a main thread that has ended is gone.
struct Tables(Vec<i32>);

impl Tables {
    /// Is this thread's table none of those that were read? Few processes have more than one table, and it does no harm to read one twice:
    /// so it is compared with the latest only.
    fn is_new(&mut self, tid: i32) -> bool {
        const MOST: usize = 8;
        if self.0.iter().rev().take(MOST).any(|&other| have_one_table(tid, other) == Ok(true)) {
            return false;
        }
        self.0.push(tid);
        true
    }
}

/// Through the link of /proc/PID/fd: that needs no more rights than reading it.
fn open(descriptors: &OwnedFd, name: &CString, known: &mut Known) -> Result<Id, Errno> {
    let namespace = openat(descriptors, name.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    known.add(namespace)
}
