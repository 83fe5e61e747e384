//! Where a group is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Controller, Version};

/// A group: one directory in each hierarchy in which it has one. Plain data, which can be written down and used by another process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In the cgroup v2 hierarchy, absolute.
    pub unified: Option<PathBuf>,
    /// In v1 hierarchies, absolute. Controllers that are mounted together have the same directory.
    pub v1: BTreeMap<Controller, PathBuf>,
    /// The unit of systemd's that the group belongs to, if systemd has made it.
    pub unit: Option<Unit>,
}

/// A scope of systemd's: systemd.scope(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `izba-web.scope`
    pub name: String,
    /// Whose it is.
    pub manager: Manager,
}

/// Which systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The system's, PID 1.
    System,
    /// The caller's own: `systemd --user`, user@.service(5).
    User,
}

impl Place {
    /// The directory that has the controller's files: the v1 one where there is one, as a controller is in one hierarchy only.
    pub fn of(&self, controller: Controller) -> Option<(Version, &Path)> {
        let v1 = self.v1.get(&controller).map(|dir| (Version::V1, dir.as_path()));
        v1.or_else(|| {
            let dir = self.unified.as_deref().filter(|_| controller.name(Version::V2).is_some())?;
            Some((Version::V2, dir))
        })
    }

    /// Every directory, once.
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        let mut v1: Vec<&PathBuf> = self.v1.values().collect();
        v1.sort();
        v1.dedup();
        self.unified.iter().chain(v1).map(PathBuf::as_path)
    }
}
