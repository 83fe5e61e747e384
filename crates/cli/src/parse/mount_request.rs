//! A mount as it was asked for, before the host's paths in it are looked at.

use std::ffi::OsString;
use std::path::PathBuf;

/// A mount as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountRequest {
    /// An absolute path in the new root.
    pub target: PathBuf,
    /// What is mounted there.
    pub what: Wanted,
    /// With what attributes.
    pub flags: Flags,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A file or directory of the host.
    Bind {
        /// As it was written.
        source: OsString,
        /// With what is mounted below it.
        recursive: bool,
        /// With the ids of the new user namespace.
        idmap: bool,
    },
    /// A new file system.
    Filesystem {
        /// As in /proc/filesystems.
        fstype: String,
        /// What mount(8) shows as the source.
        source: Option<OsString>,
        /// The file system's own options.
        options: Vec<(String, Option<OsString>)>,
    },
}

/// Attributes of a mount. `None` leaves the choice to the kind of the mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Writes are refused.
    pub read_only: bool,
    /// Set-user-ID bits count.
    pub suid: Option<bool>,
    /// Device nodes work.
    pub dev: Option<bool>,
    /// Programs can be executed.
    pub exec: Option<bool>,
}

impl Flags {
    /// Takes one of mount(8)'s words for an attribute; says whether it was one.
    pub fn take(&mut self, word: &[u8]) -> bool {
        match word {
            b"ro" => self.read_only = true,
            b"rw" => self.read_only = false,
            b"suid" => self.suid = Some(true),
            b"nosuid" => self.suid = Some(false),
            b"dev" => self.dev = Some(true),
            b"nodev" => self.dev = Some(false),
            b"exec" => self.exec = Some(true),
            b"noexec" => self.exec = Some(false),
            _ => return false,
        }
        true
    }
}
