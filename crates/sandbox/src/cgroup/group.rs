//! A group that is there: changed, stopped, counted, ended and removed.
//!
//! A [`Group`] is its directories, opened once: whatever is done goes to the group that was opened, not to another one that has its name by now.
//! Sub-groups belong to it everywhere.
//!
//! ```no_run
//! use std::time::Duration;
//! use izba_sandbox::cgroup::{Group, Place};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let place = Place { unified: Some("/sys/fs/cgroup/web".into()), ..Place::default() };
//! let group = Group::open(&place)?;
//! group.freeze(Duration::from_secs(10))?;
//! println!("stopped: {:?}", group.processes()?);
//! group.remove(Duration::from_secs(10))?;
//! # Ok(())
//! # }
//! ```

mod change;
mod deadline;
mod directory;
mod error;
mod events;
mod freeze;
mod interface;
mod kill;
mod oom;
mod processes;
mod remove;
mod usage;
mod walk;

use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Controller, Place, Version};
use directory::Directory;
pub use error::{GroupError, Operation, RemoveError};
pub use freeze::State;
pub use oom::{Oom, Watch};
pub use usage::{
    CpuUsage, DeviceIo, HugetlbUsage, MemoryEvents, MemoryUsage, PidsUsage, Pressure, Pressures, Stall, Throttling,
    Usage,
};

/// The open directories of a group.
#[derive(Debug)]
pub struct Group {
    unified: Option<Directory>,
    v1: Vec<Hierarchy>,
}

/// One directory of cgroup v1.
#[derive(Debug)]
struct Hierarchy {
    /// Mounted together here.
    controllers: Vec<Controller>,
    directory: Directory,
}

impl Group {
    /// Opens every directory of the group.
    ///
    /// # Errors
    /// One of them isn't there (any more), isn't in a control group file system, or may not be opened.
    pub fn open(place: &Place) -> Result<Self, GroupError> {
        Self::open_with(place, &mut |error| Err(error))
    }

    /// Opens the directories that are there: of a group that was made or removed in part. There may be none.
    ///
    /// # Errors
    /// One of them isn't in a control group file system, or may not be opened.
    pub fn open_rest(place: &Place) -> Result<Self, GroupError> {
        Self::open_with(place, &mut |error| if error.is_absence() { Ok(()) } else { Err(error) })
    }

    fn open_with(
        place: &Place,
        failed: &mut dyn FnMut(GroupError) -> Result<(), GroupError>,
    ) -> Result<Self, GroupError> {
        let mut group = Self { unified: None, v1: Vec::new() };
        for path in place.dirs() {
            let directory = match Directory::open(path) {
                Ok(directory) => directory,
                Err(error) => {
                    failed(error)?;
                    continue;
                }
            };
            match directory.version {
                Version::V2 => group.unified = Some(directory),
                Version::V1 => {
                    let here = place.v1.iter().filter(|(_, dir)| *dir == path);
                    let controllers = here.map(|(controller, _)| *controller).collect();
                    group.v1.push(Hierarchy { controllers, directory });
                }
            }
        }
        Ok(group)
    }

    /// A directory that is open already; its version is seen from the file system that it is in.
    pub(super) fn of_directory(fd: OwnedFd, path: &Path) -> Result<Self, GroupError> {
        let directory = Directory::of(fd, path)?;
        Ok(match directory.version {
            Version::V2 => Self { unified: Some(directory), v1: Vec::new() },
            Version::V1 => Self { unified: None, v1: vec![Hierarchy { controllers: Vec::new(), directory }] },
        })
    }

    fn directories(&self) -> impl Iterator<Item = &Directory> {
        self.unified.iter().chain(self.v1.iter().map(|hierarchy| &hierarchy.directory))
    }

    /// The v1 directory with this controller's files.
    fn v1(&self, controller: Controller) -> Option<&Directory> {
        let mut having = self.v1.iter().filter(|hierarchy| hierarchy.controllers.contains(&controller));
        having.next().map(|hierarchy| &hierarchy.directory)
    }

    /// The directory that has this controller's files, if it is on: a controller is in one hierarchy only.
    fn of(&self, controller: Controller) -> Option<&Directory> {
        self.v1(controller).or(self.unified.as_ref())
    }
}
