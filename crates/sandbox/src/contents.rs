//! What is in a namespace: interfaces, mounts, maps, names, clocks and objects, read from outside.
//!
//! [`read`] does it for one namespace, [`interfaces_of_all`] for the interfaces of many, [`read_seen`] and [`interfaces_seen`] for those of a
//! survey. What a process in the namespace shows in /proc is
//! read there; for the rest a short-lived child goes in, for which the caller needs CAP_SYS_ADMIN over the namespace or has to own
//! the user namespace that owns it: setns(2). The caller itself goes nowhere.

mod cgroup;
mod door;
mod ipc;
mod member;
mod mounts;
mod net;
mod peers;
mod rtnetlink;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use izba_sys::Errno;

pub use door::Door;
pub(crate) use door::Way;
pub use peers::{interfaces_of_all, interfaces_seen};

use crate::idmap::IdRange;
use crate::mountinfo;
use crate::namespace::{ClockOffsets, Kind};
use crate::survey::{Id, Survey};
use crate::visit::{Errand, Visitors};

/// Why something of a namespace isn't known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The namespace is gone, or was never there.
    #[error("it is gone")]
    Gone,
    /// The kernel refused it; mostly EPERM, without CAP_SYS_ADMIN over the namespace.
    #[error("{doing}: {errno}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// The kernel tells nobody.
    #[error("{0}")]
    Unknown(&'static str),
}

impl Unreadable {
    fn refused(doing: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| match errno {
            Errno::SRCH | Errno::NOENT | Errno::STALE => Self::Gone,
            errno => Self::Refused { doing, errno },
        }
    }
}

/// What is in the namespace `id`, which `door` leads to. `members` are processes in it, as far as they are known; `networks` are the
/// network namespaces in which the other ends of interfaces are looked for.
///
/// # Errors
/// Why it can't be read. That is usual for namespaces of other users.
pub fn read(id: Id, door: &Door, members: &[i32], networks: &[(Id, Door)]) -> Result<Contents, Unreadable> {
    let networks: Vec<_> = networks.iter().map(|(id, door)| (*id, Way::Door(door))).collect();
    read_by(id, Way::Door(door), members, &networks)
}

/// What is in a namespace of a survey, by whatever leads to it now. The other ends of interfaces are looked for in all networks that were seen.
///
/// # Errors
/// As [`read`].
pub fn read_seen(survey: &Survey, id: Id) -> Result<Contents, Unreadable> {
    let members = survey.namespaces.get(&id).map_or(&[][..], |seen| &seen.members);
    let networks = if id.kind == Kind::Net { peers::networks(survey) } else { Vec::new() };
    read_by(id, Way::Seen(survey), members, &networks)
}

fn read_by(id: Id, door: Way<'_>, members: &[i32], networks: &[(Id, Way<'_>)]) -> Result<Contents, Unreadable> {
    match id.kind {
        Kind::User => user(id, door, members).map(Contents::User),
        Kind::Mount => mounts(id, door, members).map(Contents::Mount),
        Kind::Net => peers::interfaces_of_one(id, door, networks).map(Contents::Net),
        Kind::Ipc => ipc::read(id, door).map(Contents::Ipc),
        Kind::Uts => names(id, door),
        Kind::Time => clocks(id, door, members).map(Contents::Time),
        Kind::Cgroup => cgroup::read(id, door, members).map(Contents::Cgroup),
        Kind::Pid => Ok(Contents::Pid),
    }
}

/// A file of /proc/PID of a process in the namespace: of a member, or else of a child that goes there for it.
fn text(id: Id, door: Way<'_>, members: &[i32], file: &str) -> Result<String, Unreadable> {
    if let Some(text) = member::text(id, members, file) {
        return Ok(text);
    }
    let namespace = door.open(id)?;
    let mut visitors = Visitors::default();
    let visit = visitors.ask(Errand::Stay, id, namespace.fd(), None);
    let (visitor, _) = visit.map_err(Unreadable::refused(ENTERING))?;
    member::text(id, &[visitor.pid()], file)
        .or_else(|| mountinfo::read(Path::new(&format!("/proc/{}/{file}", visitor.pid()))).ok())
        .ok_or(Unreadable::Unknown("/proc doesn't show the process that entered it"))
}

const ENTERING: &str = "cannot enter it";

fn user(id: Id, door: Way<'_>, members: &[i32]) -> Result<UserContents, Unreadable> {
    let map = |file| text(id, door, members, file).map(|text| ranges(&text));
    Ok(UserContents {
        uids: map("uid_map")?,
        gids: map("gid_map")?,
        setgroups: text(id, door, members, "setgroups")?.trim() == "allow",
    })
}

/// The lines of a map: user_namespaces(7).
fn ranges(text: &str) -> Vec<IdRange> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map_while(|number| number.parse().ok());
        Some(IdRange { inside: numbers.next()?, outside: numbers.next()?, count: numbers.next()? })
    };
    text.lines().filter_map(range).collect()
}

fn mounts(id: Id, door: Way<'_>, members: &[i32]) -> Result<Vec<MountRow>, Unreadable> {
    text(id, door, members, "mountinfo").map(|text| mounts::rows(&text))
}

fn names(id: Id, door: Way<'_>) -> Result<Contents, Unreadable> {
    let namespace = door.open(id)?;
    let mut visitors = Visitors::default();
    let visit = visitors.ask(Errand::Names, id, namespace.fd(), None);
    let (_, found) = visit.map_err(Unreadable::refused(ENTERING))?;
    let mut names = found.bytes.split(|&byte| byte == 0).map(|name| String::from_utf8_lossy(name).into_owned());
    Ok(Contents::Uts { hostname: names.next().unwrap_or_default(), domainname: names.next().unwrap_or_default() })
}

/// /proc/PID/timens_offsets is about the time namespace of the next children, which a member's needn't be.
fn clocks(id: Id, door: Way<'_>, members: &[i32]) -> Result<ClockOffsets, Unreadable> {
    if let Some(text) = member::clocks(id, members) {
        return Ok(offsets(&text));
    }
    let namespace = door.open(id)?;
    let mut visitors = Visitors::default();
    let visit = visitors.ask(Errand::Clocks, id, namespace.fd(), None);
    let (_, found) = visit.map_err(Unreadable::refused(ENTERING))?;
    Ok(offsets(&String::from_utf8_lossy(&found.bytes)))
}

/// Lines such as "monotonic 3600 0", the seconds before the nanoseconds: time_namespaces(7).
fn offsets(text: &str) -> ClockOffsets {
    let mut offsets = ClockOffsets::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (clock, seconds) = (words.next(), words.next().and_then(|seconds| seconds.parse().ok()));
        match (clock, seconds) {
            (Some("monotonic"), Some(seconds)) => offsets.monotonic = seconds,
            (Some("boottime"), Some(seconds)) => offsets.boottime = seconds,
            _ => {}
        }
    }
    offsets
}

/// What is read of bytes from outside, for the fuzz target: its tool sets the cfg.
#[cfg(fuzzing)]
pub fn read_any(received: &[u8], table: &str) {
    net::read_any(received);
    ipc::objects(table, ["shmid", "size"]);
    offsets(table);
}

/// What is in a namespace, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Of a user namespace.
    User(UserContents),
    /// Of a mount namespace, in the order of its mount table.
    Mount(Vec<MountRow>),
    /// Of a network namespace, by index.
    Net(Vec<Interface>),
    /// Of an IPC namespace.
    Ipc(IpcContents),
    /// Of a UTS namespace.
    Uts {
        /// The host name.
        hostname: String,
        /// The NIS domain name.
        domainname: String,
    },
    /// Of a time namespace: whole seconds.
    Time(ClockOffsets),
    /// Of a cgroup namespace: its root in each hierarchy, as the caller sees it ("cpu,cpuacct" and "/group").
    Cgroup(Vec<(String, String)>),
    /// A PID namespace holds nothing but its processes.
    Pid,
}

/// Maps of a user namespace, as the caller sees the outer ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserContents {
    /// uid_map.
    pub uids: Vec<IdRange>,
    /// gid_map.
    pub gids: Vec<IdRange>,
    /// May groups be set? /proc/PID/setgroups.
    pub setgroups: bool,
}

/// One mount: a line of proc_pid_mountinfo(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountRow {
    /// Where, in the root of the process that was asked.
    pub point: PathBuf,
    /// Of which type.
    pub fstype: String,
    /// What is mounted.
    pub source: String,
    /// `shared:1`, `master:2`, `propagate_from:3`, `unbindable`; empty for a private mount.
    pub propagation: Vec<String>,
    /// Per-mount options.
    pub options: String,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Of which kind: `veth`, `bridge`, ...; `None` of a physical or loopback one.
    pub kind: Option<String>,
    /// Is it set up?
    pub up: bool,
    /// Its hardware address, as text.
    pub address: Option<String>,
    /// Addresses with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The bridge or bond that it is in.
    pub master: Option<u32>,
    /// The other end of a veth and its like; of a vlan, macvlan and their like the device that it stands on.
    pub peer: Option<Peer>,
}

/// The other end of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number in its own namespace.
    pub index: u32,
    /// Which that is, where it is known.
    pub namespace: Option<Id>,
}

/// Objects of an IPC namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpcContents {
    /// System V shared memory segments: id and bytes.
    pub shared_memory: Vec<(i32, u64)>,
    /// System V semaphore sets: id and number of semaphores.
    pub semaphores: Vec<(i32, u64)>,
    /// System V message queues: id and bytes that wait in it.
    pub queues: Vec<(i32, u64)>,
    /// POSIX message queues: their names. `None` where they can't be seen.
    pub posix_queues: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read() {
        let map = ranges("         0       1000          1\n         1     100000      65536\n");
        assert_eq!(map, [IdRange::one(0, 1000), IdRange { inside: 1, outside: 100_000, count: 65_536 }]);
        assert_eq!(ranges("         0          0 4294967295\n")[0].count, u32::MAX);
        assert!(ranges("").is_empty() && ranges("0 1\n").is_empty());
    }

    #[test]
    fn offsets_are_read() {
        let text = "monotonic      -3600         5\nboottime    86400         0\n";
        assert_eq!(offsets(text), ClockOffsets { monotonic: -3600, boottime: 86_400 });
        assert_eq!(offsets("later 1 0\n"), ClockOffsets::default());
    }
}
