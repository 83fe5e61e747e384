//! Which namespaces there are, who is in them, and how they hang together: namespaces(7), ioctl_ns(2), proc_pid_ns(5).
//!
//! A [`Survey`] is one reading of /proc. Processes come and go while it is read: one that has gone is left out, and one that may
//! not be looked into is in [`Survey::unreadable`]. Nothing here needs root; root sees more.
//!
//! Found are the namespaces that a process is in (its main thread), those that its children will be in, those above them, those that
//! are bind-mounted where the caller sees it, the mount namespaces that the kernel leads to (Linux 6.12), and all that listns(2) tells
//! (Linux 6.19). What only a descriptor, another thread or a mount elsewhere keeps alive takes a longer search: [`holder`].

pub mod holder;
mod known;
mod listing;
mod open;
mod process;
mod reader;
pub mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use izba_sys::Errno;
use izba_sys::nsfs::NSFS_MAGIC;
use izba_sys::path::{CWD, Mode, OFlags, fstatfs, openat, stat};

use crate::namespace::Kind;
use known::Known;
use reader::Reader;

pub use known::identify;

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
    /// The caller's own of this kind. `None` where the kernel lacks the kind or there is no procfs at /proc.
    pub fn own(kind: Kind) -> Option<Self> {
        stat(format!("/proc/self/ns/{kind}")).ok().map(|stat| Self { kind, inode: stat.st_ino })
    }

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
    /// Does procfs hide processes of others altogether, so that they are in no list? `hidepid` of proc(5).
    pub hides_processes: bool,
}

impl Survey {
    /// Looks at all that the caller can see. While it does so, namespaces are open, but no more than half of the descriptors that
    /// RLIMIT_NOFILE allows are taken.
    ///
    /// # Errors
    /// There is no procfs at /proc; EMFILE, ENFILE, ENOMEM. What has gone is left out, what may not be read is in [`Survey::unreadable`].
    pub fn take(detail: Detail) -> io::Result<Self> {
        Ok(Reader::read(detail)?.finish())
    }

    /// Adds the namespace that a path leads to, such as a descriptor of a process that keeps it: /proc/PID/fd/3.
    ///
    /// # Errors
    /// What open(2) gives; ENOTTY where it isn't a namespace.
    pub fn look_at(&mut self, path: &Path) -> io::Result<Id> {
        let namespace = open_namespace(path)?;
        let mut known = Known::new(std::mem::take(&mut self.namespaces));
        let added = known.add(namespace);
        self.namespaces = known.namespaces;
        Ok(added?)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: Kind, inode: u64) -> Id {
        Id { kind, inode }
    }

    #[test]
    fn an_id_is_what_the_kernel_shows() {
        let net = id(Kind::Net, 4_026_531_833);
        assert_eq!((net.to_string().as_str(), "net:[4026531833]".parse()), ("net:[4026531833]", Ok(net)));
        for bad in ["", "net", "net:[]", "net:[x]", "net:[1", "pipe:[1]", "net:[-1]", "net:[99999999999999999999]"] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
        assert!(id(Kind::User, 0xEFFF_FFFD).is_initial() && !id(Kind::User, FIRST_MADE).is_initial());
    }

    /// A survey of processes, each with its PID namespace and its network namespace.
    fn survey(processes: &[(i32, u64, u64)], parent: Link) -> Survey {
        let mut survey = Survey::default();
        for &(pid, pid_namespace, net) in processes {
            let mut process = SeenProcess { pid, ..SeenProcess::default() };
            for (at, link) in [(id(Kind::Pid, pid_namespace), parent), (id(Kind::Net, net), Link::None)] {
                process.namespaces[at.kind as usize] = Some(at.inode);
                let unseen = SeenNamespace { parent: link, ..SeenNamespace::out_of_reach(at) };
                survey.namespaces.entry(at).or_insert(unseen).members.push(pid);
            }
            survey.processes.insert(pid, process);
        }
        survey
    }

    #[test]
    fn the_ground_is_initial_or_that_of_the_first_process() {
        let (initial, other) = (0xEFFF_FFFC, FIRST_MADE + 7);
        let host = survey(&[(1, initial, 0xEFFF_FFF9), (2, initial, other)], Link::None);
        assert_eq!(host.ground()[Kind::Net as usize], Some(id(Kind::Net, 0xEFFF_FFF9)));
        // The numbers of an older kernel, or of a container, say nothing by themselves.
        let container = survey(&[(1, FIRST_MADE + 9, other), (2, FIRST_MADE + 9, FIRST_MADE)], Link::Hidden);
        let ground = container.ground();
        assert_eq!(ground[Kind::Pid as usize], Some(id(Kind::Pid, FIRST_MADE + 9)));
        assert_eq!((ground[Kind::Net as usize], ground[Kind::Uts as usize]), (Some(id(Kind::Net, other)), None));
    }
}
