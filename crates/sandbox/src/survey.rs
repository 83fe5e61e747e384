//! Which namespaces there are, who is in them, and how they hang together: namespaces(7), ioctl_ns(2), proc_pid_ns(5).
//!
//! A [`Survey`] is one reading of /proc. Processes come and go while it is read: one that has gone is left out, and one that may
//! not be looked into is in [`Survey::unreadable`]. Nothing here needs root; root sees more.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::namespace::Kind;

/// Which namespace: its inode number on nsfs, as `readlink /proc/PID/ns/net` and lsns(8) show it. Unique while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Of which kind.
    pub kind: Kind,
    /// The inode number.
    pub inode: u64,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none above: the initial one.
    None,
    /// This.
    To(Id),
    /// The kernel doesn't show it to the caller: it lies outside the caller's own, NS_GET_USERNS and NS_GET_PARENT, EPERM.
    Hidden,
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
    /// The processes in it, ascending. The first is who leads it in lists.
    pub members: Vec<i32>,
    /// Where it is bind-mounted, as far as the caller's own mount table tells.
    pub pins: Vec<PathBuf>,
}

/// A process as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenProcess {
    /// Its id for the caller.
    pub pid: i32,
    /// Its parent's; 0 where that isn't in the caller's PID namespace.
    pub parent: i32,
    /// Its id in every PID namespace that it is in, from the caller's inwards: NSpid of proc_pid_status(5).
    pub pids: Vec<i32>,
    /// Its effective user id, as the caller sees it.
    pub uid: u32,
    /// Its command line, spaces between the arguments; its name in brackets where it has none (a kernel thread, a zombie).
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
