//! Which namespaces there are, who is in them, and how they hang together: namespaces(7), ioctl_ns(2), proc_pid_ns(5).
//!
//! A [`Survey`] is one reading of /proc. Processes come and go while it is read: one that has gone is left out, and one that may
//! not be looked into is in [`Survey::unreadable`]. Nothing here needs root; root sees more.
//!
//! Found are the namespaces that a process is in (its main thread), those that its children will be in, those above them, those that
//! are bind-mounted where the caller sees it, the mount namespaces that the kernel leads to (Linux 6.12), and all that listns(2) tells
//! (Linux 6.19). What only a descriptor, another thread or a mount elsewhere keeps alive takes a longer search: [`holder`].

pub mod holder;
mod listing;
mod open;
mod process;
mod relation;
pub mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use izba_sys::Errno;
use izba_sys::nsfs::NSFS_MAGIC;
use izba_sys::path::{CWD, Mode, OFlags, PROC_MAGIC, fstatfs, openat};

use crate::mountinfo::{self, MountLine, unescape};
use crate::namespace::Kind;

pub use relation::identify;

/// The inode number that the kernel gives to the first namespace made after its own: PROC_DYNAMIC_FIRST in linux/proc_ns.h.
const FIRST_MADE: u64 = 0xf000_0000;

/// Which namespace: its inode number on nsfs, as `readlink /proc/PID/ns/net` and lsns(8) show it. Unique while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Of which kind.
    pub kind: Kind,
    /// The inode number.
    pub inode: u64,
}

impl Id {
    /// Is it one of those that the kernel starts with? The numbers of six kinds have been fixed since Linux 3.8, those of the initial
    /// mount and network namespaces since Linux 6.17; before, this is `false` for these two.
    pub fn is_initial(self) -> bool {
        self.inode < FIRST_MADE
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[{}]", self.kind, self.inode)
    }
}

impl FromStr for Id {
    type Err = String;

    /// Takes what the kernel shows: `net:[4026531833]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (kind, rest) = text.split_once(":[")?;
            let inode = rest.strip_suffix(']')?.parse().ok()?;
            Some(Self { kind: kind.parse().ok()?, inode })
        };
        parsed().ok_or_else(|| format!("{text:?} is no namespace: the kernel writes net:[4026531833]"))
    }
}

/// Another namespace that one hangs from.
///
/// NS_GET_USERNS and NS_GET_PARENT say EPERM both of what lies outside the caller's own namespace and of what isn't there. They are told
/// apart by the namespace that was asked: the initial ones have inode numbers of their own, and only they have nothing above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none above: the initial one.
    None,
    /// This.
    To(Id),
    /// The kernel doesn't show it to the caller: it lies outside the caller's own, or the namespace that hangs from it can't be opened.
    Hidden,
}

impl Link {
    /// The namespace, where it is known.
    pub fn id(self) -> Option<Id> {
        match self {
            Self::To(id) => Some(id),
            Self::None | Self::Hidden => None,
        }
    }
}

/// A namespace as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenNamespace {
    /// Which.
    pub id: Id,
    /// The 64-bit id that is never used again: NS_GET_ID, Linux 6.18.
    pub unique: Option<u64>,
    /// The user namespace that owns it; of a user namespace its parent.
    pub owner: Link,
    /// The parent, of a PID or user namespace; else [`Link::None`].
    pub parent: Link,
    /// The uid of who made it, of a user namespace: NS_GET_OWNER_UID.
    pub owner_uid: Option<u32>,
    /// The processes in it, ascending. The first is who leads it in lists. A zombie has left all but its user and PID namespaces.
    pub members: Vec<i32>,
    /// Where it is bind-mounted, as far as the caller's own mount table tells.
    pub pins: Vec<PathBuf>,
}

impl SeenNamespace {
    /// One of which nothing but the id is known, as it can't be opened.
    fn out_of_reach(id: Id) -> Self {
        Self {
            id,
            unique: None,
            owner: Link::Hidden,
            parent: if matches!(id.kind, Kind::User | Kind::Pid) { Link::Hidden } else { Link::None },
            owner_uid: None,
            members: Vec::new(),
            pins: Vec::new(),
        }
    }
}

/// How much is read of processes beside their namespaces and their owners. Each file of /proc takes the kernel some microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Parent, PIDs and command of the first process of each namespace only; they are empty for the others.
    Leaders,
    /// Of every process.
    All,
}

/// A process as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenProcess {
    /// Its id for the caller.
    pub pid: i32,
    /// Its parent's; 0 where that isn't in the caller's PID namespace.
    pub parent: i32,
    /// Its id in every PID namespace that it is in, from the caller's inwards: NSpid of proc_pid_status(5).
    pub pids: Vec<i32>,
    /// Its effective user id, as the caller sees it.
    pub uid: u32,
    /// Its command line, spaces between the arguments, cut after 4 KiB; its name in brackets where it has none (a kernel thread, a
    /// zombie). It is the process's own text, control characters and all.
    pub command: String,
    /// The namespaces that it is in. `None` may not be read, or the kernel lacks the kind.
    pub namespaces: [Option<u64>; 8],
    /// Those that its next children will be in: pid_for_children and time_for_children, where they differ from its own.
    pub for_children: Vec<Id>,
}

impl SeenProcess {
    /// The namespace of this kind that it is in.
    pub fn namespace(&self, kind: Kind) -> Option<Id> {
        self.namespaces[kind as usize].map(|inode| Id { kind, inode })
    }
}

/// All that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// By id.
    pub namespaces: BTreeMap<Id, SeenNamespace>,
    /// By PID.
    pub processes: BTreeMap<i32, SeenProcess>,
    /// Processes whose namespaces may not be read: ptrace(2), PTRACE_MODE_READ_FSCREDS.
    pub unreadable: Vec<i32>,
}

impl Survey {
    /// Looks at all that the caller can see.
    ///
    /// # Errors
    /// There is no procfs at /proc. What else can't be read is left out, or in [`Survey::unreadable`].
    pub fn take(detail: Detail) -> io::Result<Self> {
        let proc = procfs()?;
        let mut survey = Self::default();
        for pid in process::pids(&proc)? {
            survey.read_process(&proc, pid, detail);
        }
        survey.find_pinned(&mountinfo::read(Path::new("/proc/self/mountinfo")).unwrap_or_default());
        survey.forget_ended();
        listing::find(&mut survey.namespaces);
        Ok(survey)
    }

    /// Adds the namespace that a path leads to, such as a descriptor of a process that keeps it: /proc/PID/fd/3.
    ///
    /// # Errors
    /// What open(2) gives; ENOTTY where it isn't a namespace.
    pub fn look_at(&mut self, path: &Path) -> io::Result<Id> {
        let namespace = open_namespace(path)?;
        Ok(relation::add(&mut self.namespaces, namespace.as_fd())?)
    }

    /// The namespace of this inode number. The kinds share one range of numbers, so there is no more than one.
    pub fn by_inode(&self, inode: u64) -> Option<&SeenNamespace> {
        self.namespaces.values().find(|seen| seen.id.inode == inode)
    }

    /// The namespace of this 64-bit id.
    pub fn by_unique(&self, unique: u64) -> Option<&SeenNamespace> {
        self.namespaces.values().find(|seen| seen.unique == Some(unique))
    }

    /// The processes of a namespace, as far as they are known.
    pub fn members(&self, id: Id) -> impl Iterator<Item = &SeenProcess> {
        let members = self.namespaces.get(&id).map_or(&[][..], |seen| &seen.members);
        members.iter().filter_map(|pid| self.processes.get(pid))
    }

    /// The process that leads a namespace in lists.
    pub fn leader(&self, id: Id) -> Option<&SeenProcess> {
        self.members(id).next()
    }

    /// Who made the user namespace that owns this one, or that it is.
    pub fn owner_uid(&self, id: Id) -> Option<u32> {
        let seen = self.namespaces.get(&id)?;
        let user = if id.kind == Kind::User { id } else { seen.owner.id()? };
        self.namespaces.get(&user)?.owner_uid
    }

    /// The namespaces that everything else is set off from: the initial ones where they are seen, else those of the first process that
    /// is in the topmost PID namespace, as in a container.
    pub fn ground(&self) -> [Option<Id>; 8] {
        let top = self.namespaces.values().find(|seen| seen.id.kind == Kind::Pid && seen.parent.id().is_none());
        let first = top.and_then(|top| self.leader(top.id));
        Kind::ALL.map(|kind| {
            let initial = self.namespaces.keys().find(|id| id.kind == kind && id.is_initial());
            initial.copied().or_else(|| first?.namespace(kind))
        })
    }

    fn read_process(&mut self, proc: &OwnedFd, pid: i32, detail: Detail) {
        match process::read(proc, pid, detail, &mut self.namespaces) {
            Ok(process) => {
                for id in Kind::ALL.into_iter().filter_map(|kind| process.namespace(kind)) {
                    if let Some(seen) = self.namespaces.get_mut(&id) {
                        seen.members.push(pid);
                    }
                }
                self.processes.insert(pid, process);
            }
            Err(Errno::ACCESS | Errno::PERM) => self.unreadable.push(pid),
            // It has gone meanwhile.
            Err(_) => {}
        }
    }

    /// A process that ended while it was read has left namespaces behind that nothing seen keeps alive.
    fn forget_ended(&mut self) {
        let held = self.namespaces.values().filter(|seen| !seen.members.is_empty() || !seen.pins.is_empty());
        let for_children = self.processes.values().flat_map(|process| process.for_children.iter().copied());
        let mut rest: Vec<Id> = held.map(|seen| seen.id).chain(for_children).collect();
        let mut kept = BTreeSet::new();
        while let Some(id) = rest.pop() {
            if let Some(seen) = self.namespaces.get(&id).filter(|_| kept.insert(id)) {
                rest.extend([seen.owner, seen.parent].into_iter().filter_map(Link::id));
            }
        }
        self.namespaces.retain(|id, _| kept.contains(id));
    }

    /// A path may be closed to the caller while its mount is in the table: then nothing but the id is known.
    fn find_pinned(&mut self, mountinfo: &str) {
        for (id, point) in mountinfo.lines().filter_map(MountLine::parse).filter_map(|line| pin(&line)) {
            let opened = open_namespace(&point).and_then(|fd| Ok(relation::add(&mut self.namespaces, fd.as_fd())?));
            // Another mount may be on top: what is there then isn't this one.
            drop(opened);
            let seen = self.namespaces.entry(id).or_insert_with(|| SeenNamespace::out_of_reach(id));
            seen.pins.push(point);
        }
    }
}

/// The namespace of which a line of a mount table shows a bind mount, and where that is.
fn pin(line: &MountLine<'_>) -> Option<(Id, PathBuf)> {
    let id = (line.fstype == "nsfs").then(|| line.root.parse().ok()).flatten()?;
    Some((id, unescape(line.point)))
}

/// Opens the namespace that a path leads to, and nothing else.
///
/// # Errors
/// What open(2) gives; ENOTTY where it isn't a namespace.
pub fn open_namespace(path: &Path) -> io::Result<OwnedFd> {
    let found = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(reopen_namespace(&found)?)
}

/// Whatever a path leads to is looked at before it is opened for reading, as that can do something to a device or wait for a FIFO.
fn reopen_namespace(found: &OwnedFd) -> Result<OwnedFd, Errno> {
    if u64::try_from(fstatfs(found)?.f_type).ok() != Some(NSFS_MAGIC) {
        return Err(Errno::NOTTY);
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// A descriptor of /proc, if that is one.
fn procfs() -> io::Result<OwnedFd> {
    let proc = openat(CWD, "/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if u64::try_from(fstatfs(&proc)?.f_type).ok() != Some(PROC_MAGIC) {
        return Err(io::Error::other("/proc is no procfs"));
    }
    Ok(proc)
}
