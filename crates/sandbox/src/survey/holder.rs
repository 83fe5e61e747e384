//! Why a namespace lives: everything that namespaces(7), "Namespace lifetime", lists, as far as the kernel shows it to the caller.
//!
//! A [`Search`] goes through the descriptors and threads of every process and through every mount table. What it can't find is a
//! descriptor on its way through a socket, whatever hides in processes that it may not look into, and references of the kernel's own:
//! the sockets of a network namespace, the file systems and open files of a user namespace. So a namespace that nothing explains is held
//! by something not visible.

mod descriptor;
mod mount;
mod procfs;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use super::reader::Reader;
use super::{Detail, Id, Survey};
use crate::namespace::Kind;

/// What keeps a namespace alive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// This process is in it.
    Member(i32),
    /// This thread of a process is in it, and the process itself isn't: setns(2) and unshare(2) change one thread.
    Thread {
        /// The process.
        pid: i32,
        /// The thread, as the caller sees it.
        tid: i32,
    },
    /// The next children of this process will be in it: pid_for_children and time_for_children of proc_pid_ns(5).
    ForChildren(i32),
    /// A descriptor of this process is open on it.
    Descriptor {
        /// The process.
        pid: i32,
        /// The number of the descriptor, in the table of a thread: /proc/PID/task/TID/fd. Mostly all threads have the same.
        fd: i32,
    },
    /// It is bind-mounted.
    BindMount(Mounted),
    /// It is the parent of this one.
    Child(Id),
    /// It owns this one.
    Owned(Id),
    /// A procfs that shows this PID namespace is mounted.
    Proc(Mounted),
    /// The message queues of this IPC namespace are mounted: mq_overview(7).
    Mqueue(Mounted),
}

/// A mount, where a process sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mounted {
    /// In which mount namespace.
    pub namespace: Id,
    /// A process of it that has the mount point below its root directory.
    pub pid: i32,
    /// Where, in the root directory of that process.
    pub point: PathBuf,
}

/// What keeps one namespace alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// All that was found. The initial namespaces live without.
    pub found: Vec<Holder>,
    /// What couldn't be looked into and may hold it too.
    pub unreadable: Unreadable,
}

/// How much couldn't be looked into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Processes whose descriptors or namespaces may not be read.
    pub processes: usize,
    /// Are there processes besides that procfs doesn't even list?
    pub hidden_processes: bool,
    /// Mount namespaces whose table can't be read: no process is in them that may be looked into.
    pub mount_tables: usize,
    /// Mounts of procfs or mqueue of which it can't be told whose they are.
    pub mounts: usize,
}

/// What was found beside the survey, by namespace.
#[derive(Debug, Default)]
pub struct Search {
    threads: BTreeMap<Id, Vec<(i32, i32)>>,
    /// A process whose threads have tables of their own has one number more than once.
    descriptors: BTreeMap<Id, BTreeSet<(i32, i32)>>,
    bind_mounts: BTreeMap<Id, Vec<Mounted>>,
    proc_mounts: BTreeMap<Id, Vec<Mounted>>,
    /// By the number of their file system, which is one for each IPC namespace.
    mqueue_mounts: BTreeMap<String, Vec<Mounted>>,
    unreadable: BTreeSet<i32>,
    unreadable_tables: usize,
    unknown_procs: usize,
}

impl Search {
    /// Takes a survey and searches in the same go, so that both speak of the same namespaces. Those that only a descriptor, a thread or a
    /// mount elsewhere leads to are in the survey too.
    ///
    /// # Errors
    /// As [`Survey::take`].
    pub fn run(detail: Detail) -> io::Result<(Survey, Self)> {
        let mut reader = Reader::read(detail)?;
        let mut search = Self { unreadable: reader.unreadable.iter().copied().collect(), ..Self::default() };
        for process in reader.processes.values() {
            search.look_into(&reader.proc, process, &mut reader.known);
        }
        search.read_tables(&mut reader);
        Ok((reader.finish(), search))
    }

    /// What keeps this namespace alive.
    pub fn holders(&self, survey: &Survey, id: Id) -> Holders {
        let mut found: Vec<Holder> = survey.members(id).map(|process| Holder::Member(process.pid)).collect();
        let for_children = survey.processes.values().filter(|process| process.for_children.contains(&id));
        found.extend(for_children.map(|process| Holder::ForChildren(process.pid)));
        found.extend(of(&self.threads, &id).map(|&(pid, tid)| Holder::Thread { pid, tid }));
        found.extend(of(&self.descriptors, &id).map(|&(pid, fd)| Holder::Descriptor { pid, fd }));
        found.extend(of(&self.bind_mounts, &id).cloned().map(Holder::BindMount));
        found.extend(below(survey, id));
        found.extend(of(&self.proc_mounts, &id).cloned().map(Holder::Proc));
        let mut unreadable = Unreadable {
            processes: self.unreadable.len(),
            hidden_processes: survey.hides_processes,
            mount_tables: self.unreadable_tables,
            mounts: if id.kind == Kind::Pid { self.unknown_procs } else { 0 },
        };
        if id.kind == Kind::Ipc && !self.mqueue_mounts.is_empty() {
            match queue::device(survey, id) {
                Some(device) => found.extend(of(&self.mqueue_mounts, &device).cloned().map(Holder::Mqueue)),
                None => unreadable.mounts = self.mqueue_mounts.values().map(Vec::len).sum(),
            }
        }
        Holders { found, unreadable }
    }
}

fn of<'m, K: Ord, C>(map: &'m BTreeMap<K, C>, key: &K) -> impl Iterator<Item = <&'m C as IntoIterator>::Item>
where
    &'m C: IntoIterator,
{
    map.get(key).into_iter().flatten()
}

/// The children of a namespace, and what it owns.
fn below(survey: &Survey, id: Id) -> impl Iterator<Item = Holder> {
    survey.namespaces.values().filter_map(move |seen| {
        if seen.parent.id() == Some(id) {
            return Some(Holder::Child(seen.id));
        }
        (seen.owner.id() == Some(id)).then_some(Holder::Owned(seen.id))
    })
}
