//! Namespaces that the kernel itself lists, whether a process is in them or not.

use std::os::fd::{AsFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::namespace::CloneFlags;
use izba_sys::nsfs;
use izba_sys::path::{CWD, Mode, OFlags, openat};

use super::known::Known;

/// So many ids are asked for at a time.
const PAGE: usize = 1024;

/// Adds what listns(2) tells; where the kernel hasn't got it, at least the mount namespaces, which lead to each other.
pub(super) fn find(known: &mut Known) {
    if find_listed(known).is_err() {
        find_mounts(known);
    }
}

/// Linux 6.19. What ends meanwhile can't be opened any more.
fn find_listed(known: &mut Known) -> Result<(), Errno> {
    let mut page = [0; PAGE];
    let mut last = 0;
    loop {
        let count = match nsfs::list(last, &mut page) {
            Ok(0) | Err(Errno::NOENT) => return Ok(()),
            answer => answer?,
        };
        let ids = page.get(..count).unwrap_or_default();
        for &unique in ids {
            if let Ok(namespace) = nsfs::open(unique, CloneFlags::empty(), 0) {
                let _gone = known.add(namespace);
            }
        }
        last = ids.last().copied().unwrap_or(last);
    }
}

/// Linux 6.12: from the caller's own in both directions.
fn find_mounts(known: &mut Known) {
    let own = || openat(CWD, "/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
    walk(known, own(), |namespace| nsfs::next_mount(namespace.as_fd()).ok());
    walk(known, own(), |namespace| nsfs::previous_mount(namespace.as_fd()).ok());
}

fn walk(known: &mut Known, start: Option<OwnedFd>, step: impl Fn(&OwnedFd) -> Option<OwnedFd>) {
    let mut at = start;
    while let Some(namespace) = at {
        at = step(&namespace);
        let _gone = known.add(namespace);
    }
}
