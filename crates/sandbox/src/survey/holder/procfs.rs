//! Which PID namespace a mount of procfs shows, and so keeps alive.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::path::{OFlags, fstat, major, minor};

use super::super::Id;
use super::super::process::{link, status};
use super::Mounted;
use super::mount::at_mount_point;
use crate::mountinfo::MountLine;

/// Mounts of procfs, by the number of the file system: each is made for one PID namespace, however often it is bind-mounted.
#[derive(Default)]
pub(super) struct ProcMounts(BTreeMap<String, Vec<ProcMount>>);

struct ProcMount {
    /// Is it the whole file system, and not a directory of it?
    whole: bool,
    mounted: Mounted,
}

impl ProcMounts {
    pub(super) fn add(&mut self, line: &MountLine<'_>, mounted: Mounted) {
        self.0.entry(line.device.to_owned()).or_default().push(ProcMount { whole: line.root == "/", mounted });
    }

    /// The mounts of each PID namespace, and how many there are of which it can't be told: it has no process any more, or its first one
    /// may not be looked into.
    pub(super) fn by_namespace(self, proc: &OwnedFd) -> (BTreeMap<Id, Vec<Mounted>>, usize) {
        let (mut known, mut unknown) = (BTreeMap::<Id, Vec<Mounted>>::new(), 0);
        for (device, mounts) in self.0 {
            let shown =
                mounts.iter().filter(|mount| mount.whole).find_map(|mount| shown(proc, &mount.mounted, &device));
            match shown {
                Some(id) => known.entry(id).or_default().extend(mounts.into_iter().map(|mount| mount.mounted)),
                None => unknown += mounts.len(),
            }
        }
        (known, unknown)
    }
}

/// Looks into a mount, through the root of a process that sees it. Another one may be on top of it.
fn shown(proc: &OwnedFd, mounted: &Mounted, device: &str) -> Option<Id> {
    let mount = at_mount_point(proc, mounted, OFlags::PATH | OFlags::DIRECTORY).ok()?;
    let found = fstat(&mount).ok()?.st_dev;
    if format!("{}:{}", major(found), minor(found)) != device {
        return None;
    }
    own(mount.as_fd()).or_else(|| link(mount.as_fd(), c"1/ns/pid").ok()?)
}

/// The caller's own, if it is that one: nobody has to be asked then. There the caller has one PID, from further out it has more.
fn own(mount: BorrowedFd<'_>) -> Option<Id> {
    let status = status(mount, c"self/status").ok()?;
    (status.pids.len() == 1).then(|| link(mount, c"self/ns/pid").ok()?)?
}
