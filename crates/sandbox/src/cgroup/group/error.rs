//! What went wrong with a group, and why.

use std::fmt;
use std::path::PathBuf;

use izba_sys::Errno;

use crate::cgroup::Version;
use crate::diagnose::{self, Failed, Hint};

/// What was being done to a file or directory of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening it.
    Open,
    /// Reading it.
    Read,
    /// Waiting for it to change: poll(2).
    Wait,
    /// Writing this to it.
    Write(String),
    /// Listing the sub-groups.
    List,
    /// Removing the directory.
    Remove,
    /// Signalling a process that its cgroup.procs names.
    Signal {
        /// Which signal.
        signal: i32,
        /// To which process.
        process: i32,
    },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("opening"),
            Self::Read => f.write_str("reading"),
            Self::Wait => f.write_str("waiting for"),
            Self::Write(value) => write!(f, "writing {value:?} to"),
            Self::List => f.write_str("listing"),
            Self::Remove => f.write_str("removing"),
            Self::Signal { signal, process } => write!(f, "sending signal {signal} to process {process} of"),
        }
    }
}

/// Why something can't be done to a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A call failed.
    #[error("{operation} {}: {errno}", path.display())]
    Call {
        /// What it was to do.
        operation: Operation,
        /// To which file or directory.
        path: PathBuf,
        /// What it gave.
        errno: Errno,
    },
    /// The path leads elsewhere.
    #[error("{} isn't in a control group file system", .0.display())]
    NotAGroup(PathBuf),
    /// The group was there, and has been removed.
    #[error("the group {} has been removed", .0.display())]
    Gone(PathBuf),
    /// The group has no directory where this file would be.
    #[error("the group has no directory for {file} (cgroup {version:?})")]
    NoDirectory {
        /// Of which interface.
        version: Version,
        /// Its name.
        file: String,
    },
    /// Nothing in the group's hierarchies can stop processes.
    #[error("the group can't be frozen: it is neither in a cgroup v2 hierarchy nor in one of the v1 freezer")]
    NoFreezer,
    /// Stopping, killing or removing it would do that to the caller too.
    #[error("the caller is in the group {} itself", .0.display())]
    CallerInside(PathBuf),
    /// Not all processes have stopped in time. The group has been thawed again.
    #[error("{} isn't frozen: some process in it doesn't stop", .0.display())]
    NotFrozen(PathBuf),
    /// Processes have been killed, and are still there.
    #[error("{} still has processes after they were killed: {processes:?}", path.display())]
    NotEmpty {
        /// One of the group's directories.
        path: PathBuf,
        /// Those that the caller can see: none where they are in a PID namespace that isn't below the caller's.
        processes: Vec<i32>,
    },
}

impl GroupError {
    pub(super) fn call(operation: Operation, path: impl Into<PathBuf>, errno: Errno) -> Self {
        Self::Call { operation, path: path.into(), errno }
    }

    /// Is the file, or the whole group, just not there? A group that was removed says ENODEV where a file of it is open.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Call { errno: Errno::NOENT | Errno::NODEV, .. } | Self::Gone(_))
    }

    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// The likely cause, and the remedy. `None` where the error says all that is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Call { operation: Operation::Write(_), path, errno } => {
                diagnose::cause(Failed::GroupFile(path), *errno)
            }
            Self::Call { operation: Operation::Remove, errno, .. } => not_removed(*errno),
            Self::Call { operation: Operation::Signal { .. }, errno: Errno::PERM, .. } => Some(Hint::new(
                "the process belongs to another user, and the caller has no CAP_KILL",
                "run izba as the user who started it, or as root",
            )),
            Self::Call { errno, .. } => no_access(*errno),
            Self::NotAGroup(_) => Some(Hint::new(
                "the path leads to another file system, or control groups aren't mounted",
                "see where they are mounted: findmnt -t cgroup,cgroup2",
            )),
            Self::NoDirectory { .. } => Some(Hint::new(
                "the controller isn't available here, or the group was made without it",
                "see cgroup.controllers of the group's parent, or /proc/cgroups, and give the limit at the start",
            )),
            Self::NoFreezer => Some(Hint::new(
                "on cgroup v1 only the freezer controller stops processes",
                "mount it (mount -t cgroup -o freezer freezer /sys/fs/cgroup/freezer) or a cgroup2 hierarchy, and start again",
            )),
            Self::CallerInside(_) => Some(Hint::new(
                "the group is the root of a hierarchy, or izba was started inside of it",
                "name the group that is meant, or run izba outside of it",
            )),
            Self::NotFrozen(_) => Some(Hint::new(
                "it waits in the kernel for something that doesn't come, such as a disk or network file system (state D)",
                "look at the state of its processes (ps -eo pid,stat,wchan:32,args), and try again",
            )),
            Self::NotEmpty { .. } => Some(Hint::new(
                "they wait in the kernel for something that doesn't come (state D), or a v1 group above is frozen",
                "look at their state (ps -eo pid,stat,wchan:32,args) and at freezer.state of the groups above, and try again",
            )),
            Self::Gone(_) => None,
        }
    }
}

fn not_removed(errno: Errno) -> Option<Hint> {
    let (cause, remedy) = match errno {
        Errno::BUSY => (
            "it still has processes or sub-groups, or the kernel still lets go of those that have ended",
            "see cgroup.procs and the directories in it, and try again",
        ),
        Errno::XDEV => (
            "it is where the file system is mounted, as in a cgroup namespace: it can't be removed from inside",
            "remove it outside of the cgroup namespace",
        ),
        _ => return no_access(errno),
    };
    Some(Hint::new(cause, remedy))
}

fn no_access(errno: Errno) -> Option<Hint> {
    let (cause, remedy) = match errno {
        Errno::ACCESS | Errno::PERM => (
            "the group belongs to another user, or lies outside of what was delegated to the caller",
            "run izba as the user whose group it is (ls -l), or as root",
        ),
        Errno::ROFS => ("control groups are mounted read-only here, as in a container", "run izba outside of it"),
        Errno::NOENT | Errno::NODEV => ("the group has been removed", "nothing is left to be done to it"),
        Errno::OPNOTSUPP => (
            "the group is threaded: its processes are counted and killed in the threaded domain above it",
            "name that group: the closest one above whose cgroup.type says \"domain threaded\"",
        ),
        _ => return None,
    };
    Some(Hint::new(cause, remedy))
}

/// What is left of a group, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RemoveError {
    /// Each of the things that went wrong; never empty.
    pub errors: Vec<GroupError>,
}
