//! The eight kinds of namespace, and what is wanted of each: namespaces(7).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use izba_sys::namespace::CloneFlags;

use crate::idmap::IdMaps;

/// A kind of namespace, named as in /proc/PID/ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// user_namespaces(7)
    User,
    /// mount_namespaces(7)
    Mount,
    /// pid_namespaces(7)
    Pid,
    /// network_namespaces(7)
    Net,
    /// ipc_namespaces(7)
    Ipc,
    /// uts_namespaces(7)
    Uts,
    /// cgroup_namespaces(7)
    Cgroup,
    /// time_namespaces(7)
    Time,
}

impl Kind {
    /// Every kind, in the order in which they are joined: user first, as it gives the rights for the others.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Mount, Self::Pid, Self::Net, Self::Ipc, Self::Uts, Self::Cgroup, Self::Time];

    /// The name in /proc/PID/ns.
    pub fn proc_name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The option of unshare(1) that makes a new one.
    pub fn unshare_option(self) -> &'static str {
        match self {
            Self::User => "--user",
            Self::Mount => "--mount",
            Self::Pid => "--pid",
            Self::Net => "--net",
            Self::Ipc => "--ipc",
            Self::Uts => "--uts",
            Self::Cgroup => "--cgroup",
            Self::Time => "--time",
        }
    }

    /// The clone(2) flag.
    pub fn clone_flag(self) -> CloneFlags {
        match self {
            Self::User => CloneFlags::NEWUSER,
            Self::Mount => CloneFlags::NEWNS,
            Self::Pid => CloneFlags::NEWPID,
            Self::Net => CloneFlags::NEWNET,
            Self::Ipc => CloneFlags::NEWIPC,
            Self::Uts => CloneFlags::NEWUTS,
            Self::Cgroup => CloneFlags::NEWCGROUP,
            Self::Time => CloneFlags::NEWTIME,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.proc_name())
    }
}

impl FromStr for Kind {
    type Err = String;

    /// Takes the name in /proc/PID/ns, and the words of unshare(1) for two of them.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "mount" => return Ok(Self::Mount),
            "network" => return Ok(Self::Net),
            _ => {}
        }
        Self::ALL.into_iter().find(|kind| kind.proc_name() == name).ok_or_else(|| {
            format!("no namespace is called {name:?}: use user, mnt, pid, net, ipc, uts, cgroup or time")
        })
    }
}

/// What is wanted of a namespace; `New` carries what a new one needs besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace<With = ()> {
    /// A new one.
    New(With),
    /// The caller's.
    Share,
    /// An existing one, named by a path such as /proc/PID/ns/net or /run/netns/NAME.
    Join(PathBuf),
}

impl<With> Namespace<With> {
    fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }

    fn joined(&self) -> Option<&Path> {
        match self {
            Self::Join(path) => Some(path),
            _ => None,
        }
    }
}

/// What a new network namespace's loopback interface is: it is made down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// Set up.
    #[default]
    Up,
    /// Left down.
    Down,
}

/// How far the clocks of a new time namespace are ahead of the caller's, in seconds: time_namespaces(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffsets {
    /// CLOCK_MONOTONIC.
    pub monotonic: i64,
    /// CLOCK_BOOTTIME, which is what uptime(1) shows.
    pub boottime: i64,
}

/// What is wanted of all eight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// Ids and capabilities.
    pub user: Namespace<IdMaps>,
    /// The mount table.
    pub mount: Namespace,
    /// Process ids.
    pub pid: Namespace,
    /// The network stack.
    pub net: Namespace<Loopback>,
    /// System V IPC and POSIX message queues.
    pub ipc: Namespace,
    /// Host name and NIS domain name.
    pub uts: Namespace,
    /// The root of the cgroup hierarchy.
    pub cgroup: Namespace,
    /// Boot and monotonic clocks.
    pub time: Namespace<ClockOffsets>,
}

impl Namespaces {
    /// All new but user and time, which stay the caller's: the default for root.
    pub fn isolated() -> Self {
        Self {
            user: Namespace::Share,
            mount: Namespace::New(()),
            pid: Namespace::New(()),
            net: Namespace::New(Loopback::Up),
            ipc: Namespace::New(()),
            uts: Namespace::New(()),
            cgroup: Namespace::New(()),
            time: Namespace::Share,
        }
    }

    /// The caller's own, all eight.
    pub fn shared() -> Self {
        Self {
            user: Namespace::Share,
            mount: Namespace::Share,
            pid: Namespace::Share,
            net: Namespace::Share,
            ipc: Namespace::Share,
            uts: Namespace::Share,
            cgroup: Namespace::Share,
            time: Namespace::Share,
        }
    }

    /// Is a new namespace of this kind made?
    pub fn is_new(&self, kind: Kind) -> bool {
        match kind {
            Kind::User => self.user.is_new(),
            Kind::Mount => self.mount.is_new(),
            Kind::Pid => self.pid.is_new(),
            Kind::Net => self.net.is_new(),
            Kind::Ipc => self.ipc.is_new(),
            Kind::Uts => self.uts.is_new(),
            Kind::Cgroup => self.cgroup.is_new(),
            Kind::Time => self.time.is_new(),
        }
    }

    /// The path of the namespace of this kind that is joined.
    pub fn joined(&self, kind: Kind) -> Option<&Path> {
        match kind {
            Kind::User => self.user.joined(),
            Kind::Mount => self.mount.joined(),
            Kind::Pid => self.pid.joined(),
            Kind::Net => self.net.joined(),
            Kind::Ipc => self.ipc.joined(),
            Kind::Uts => self.uts.joined(),
            Kind::Cgroup => self.cgroup.joined(),
            Kind::Time => self.time.joined(),
        }
    }

    /// Is the caller's namespace of this kind kept?
    pub fn is_shared(&self, kind: Kind) -> bool {
        !self.is_new(kind) && self.joined(kind).is_none()
    }

    /// The kinds of which a new one is made.
    pub fn new_kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|&kind| self.is_new(kind))
    }

    /// Keeps the caller's namespace of this kind.
    pub fn share(&mut self, kind: Kind) {
        match kind {
            Kind::User => self.user = Namespace::Share,
            Kind::Mount => self.mount = Namespace::Share,
            Kind::Pid => self.pid = Namespace::Share,
            Kind::Net => self.net = Namespace::Share,
            Kind::Ipc => self.ipc = Namespace::Share,
            Kind::Uts => self.uts = Namespace::Share,
            Kind::Cgroup => self.cgroup = Namespace::Share,
            Kind::Time => self.time = Namespace::Share,
        }
    }

    /// Joins the namespace of this kind that a path names.
    pub fn join(&mut self, kind: Kind, path: PathBuf) {
        match kind {
            Kind::User => self.user = Namespace::Join(path),
            Kind::Mount => self.mount = Namespace::Join(path),
            Kind::Pid => self.pid = Namespace::Join(path),
            Kind::Net => self.net = Namespace::Join(path),
            Kind::Ipc => self.ipc = Namespace::Join(path),
            Kind::Uts => self.uts = Namespace::Join(path),
            Kind::Cgroup => self.cgroup = Namespace::Join(path),
            Kind::Time => self.time = Namespace::Join(path),
        }
    }
}
