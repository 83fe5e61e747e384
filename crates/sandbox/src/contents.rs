//! What is in a namespace: interfaces, mounts, maps, names, clocks and objects, read from outside.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::idmap::IdRange;
use crate::namespace::ClockOffsets;
use crate::survey::Id;

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
    /// Of a time namespace.
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
    /// The other end, of a veth and its like.
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
