//! The root file system and what is mounted in it, as intent.

use std::ffi::OsString;
use std::path::PathBuf;

use izba_sys::mount::{MountAttributes, Propagation};

/// Where the root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The caller's own root, or that of the mount namespace that is joined.
    Caller(CallerRoot),
    /// A directory.
    Directory {
        /// As the caller names it.
        path: PathBuf,
        /// What becomes of writes.
        writes: Writes,
    },
    /// A private tmpfs, filled with what is listed: see [`crate::host`].
    Assembled {
        /// In the order in which they are made; parents are made as needed.
        entries: Vec<Entry>,
        /// The most that the tmpfs may hold, in bytes.
        size: u64,
    },
}

impl Root {
    /// Is it the caller's own, or a joined one?
    pub fn is_callers(&self) -> bool {
        matches!(self, Self::Caller(_))
    }
}

/// What is changed of a root that isn't new: nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerRoot {
    /// The root directory is changed to this one with chroot(2). It is looked up before any namespace is joined, so that it can be
    /// /proc/PID/root. Not a security boundary.
    pub chroot: Option<PathBuf>,
    /// How mounts travel between a new mount namespace and the caller's; as they do there where it is `None`.
    pub propagation: Option<Propagation>,
    /// Mount a new procfs over /proc. Needs a new mount namespace.
    pub proc: bool,
}

/// What becomes of writes to a root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// They change the directory.
    InPlace,
    /// They are refused with EROFS.
    Refused,
    /// They go to a tmpfs of this many bytes and are gone at the end.
    DiscardedFromMemory {
        /// The most that may be written, in bytes.
        size: u64,
    },
    /// They go to `upper` in this directory of the caller's, which has to be on a file system that overlayfs can
    /// write to, and which the caller removes afterwards.
    DiscardedFromDisk {
        /// An empty directory.
        dir: PathBuf,
    },
}

/// One thing in an assembled root. Paths are absolute in the new root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file or directory of the host, with everything mounted below it, read-only, no devices.
    Bind {
        /// On the host.
        source: PathBuf,
        /// In the new root.
        path: PathBuf,
        /// Is it a directory?
        directory: bool,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: PathBuf,
        /// In the new root.
        path: PathBuf,
    },
    /// An empty directory.
    Directory {
        /// In the new root.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
        /// User and group, as seen inside; else who sets the sandbox up.
        owner: Option<(u32, u32)>,
    },
}

/// What is mounted at /proc, /dev and /sys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemMounts {
    /// New ones of the new namespaces, with leaking or harmful paths masked. Where the kernel doesn't allow a new one
    /// (its namespace is shared), the caller's, with the same masks.
    Private,
    /// The caller's, as they are: rescue work.
    Caller,
    /// Nothing is mounted there.
    None,
}

/// A mount that the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where: an absolute path in the new root. Links in it are followed inside the root.
    pub target: PathBuf,
    /// What.
    pub source: MountSource,
    /// Read-only, nosuid, ... for this mount and, for a bind, for all mounts below it.
    pub attributes: MountAttributes,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A file or directory of the host.
    Bind {
        /// On the host, as the caller names it.
        path: PathBuf,
        /// Is it a directory? Decides what is made at a missing target.
        directory: bool,
        /// With everything mounted below it.
        recursive: bool,
        /// Ids are shifted as the new user namespace maps them: who is root inside owns what root owns outside.
        idmap: bool,
    },
    /// A new file system, such as tmpfs, proc or overlay.
    Filesystem {
        /// As in /proc/filesystems.
        fstype: String,
        /// What mount(8) shows as the source.
        source: OsString,
        /// For fsconfig(2): `size=1m` has a value, `ro` has none.
        options: Vec<(String, Option<OsString>)>,
    },
}
