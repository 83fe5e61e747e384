//! The root that the caller has: is it a chroot, is it an initramfs, can pivot_root(2) replace it?

use std::fs;
use std::os::unix::fs::MetadataExt;

use izba_sys::Errno;
use izba_sys::mount::{MountAttributes, fchdir, pivot_root};
use izba_sys::namespace::CloneFlags;

use super::attempt::{Refused, in_child, way_in};
use super::refusal::Circumstances;
use super::{Finding, Hint, State, mounting, text};

/// Is the caller's root another than its mount namespace's? `None` where nobody can tell.
pub fn chrooted() -> Option<bool> {
    judge(&text("/proc/self/mountinfo"), root_of_init())
}

/// mountinfo shows what can be reached from the caller's root: without a line for / the root is inside of a mount. Where it is a
/// mount, only a comparison with the root of a process that shares the mount namespace tells.
fn judge(mountinfo: &str, same_as_init: Option<bool>) -> Option<bool> {
    if mountinfo.is_empty() {
        return None;
    }
    let shown = mountinfo.lines().any(|line| line.split(' ').nth(4) == Some("/"));
    if shown { same_as_init.map(|same| !same) } else { Some(true) }
}

/// Is the root that of PID 1? Only if it has the same mount namespace, and may be looked at.
fn root_of_init() -> Option<bool> {
    let (init, own) = (fs::read_link("/proc/1/ns/mnt").ok()?, fs::read_link("/proc/self/ns/mnt").ok()?);
    if init != own {
        return None;
    }
    let (init, own) = (fs::metadata("/proc/1/root").ok()?, fs::metadata("/").ok()?);
    Some((init.dev(), init.ino()) == (own.dev(), own.ino()))
}

/// Is the root the kernel's first one, which pivot_root(2) can't replace? The topmost mount at / decides.
pub fn is_initramfs(mountinfo: &str) -> bool {
    let mut at_root = mountinfo.lines().filter(|line| line.split(' ').nth(4) == Some("/"));
    at_root.next_back().is_some_and(|line| line.contains(" - rootfs "))
}

/// Why pivot_root(2) was refused.
pub fn pivot_refusal(errno: Errno) -> Option<Hint> {
    let mountinfo = text("/proc/self/mountinfo");
    if errno == Errno::INVAL && is_initramfs(&mountinfo) {
        return Some(Hint::new(
            "the root is an initramfs, which pivot_root(2) can't replace",
            "run with --no-pivot (chroot, which is no security boundary), or boot from a real root: switch_root(8)",
        ));
    }
    if judge(&mountinfo, root_of_init()) != Some(false) && errno == Errno::INVAL {
        return Some(Hint::new(
            "the root isn't a mount point: the caller is in a chroot, whose root pivot_root(2) can't replace",
            "run izba outside of the chroot, or with --no-pivot (chroot, which is no security boundary)",
        ));
    }
    None
}

/// Does changing the root work? Tried in a mount namespace of its own.
pub(super) fn finding(around: &Circumstances) -> Finding {
    let flags = CloneFlags::NEWNS | way_in(&around.caller);
    let name = "pivot_root";
    match in_child(flags, &change_root) {
        Ok(()) => Finding::works(name, "the root can be replaced"),
        Err(Refused::Clone(_)) => Finding::new(name, State::Missing, super::UNTRIED),
        Err(Refused::Within(errno)) => {
            let unknown = || Hint::new("none of the known settings explains it", "run with --no-pivot");
            let hint = pivot_refusal(errno).unwrap_or_else(unknown);
            Finding::refused(name, State::Missing, Hint::new(format!("{errno}: {}", hint.cause), hint.remedy))
        }
    }
}

fn change_root() -> Result<(), Errno> {
    let tmpfs = mounting::new_mount(c"tmpfs", MountAttributes::empty())?;
    mounting::attach_over_root(&tmpfs)?;
    fchdir(&tmpfs)?;
    pivot_root(c".", c".")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n";

    #[test]
    fn a_chroot_into_a_directory_shows_no_root() {
        assert_eq!(judge("22 27 0:21 / /proc rw - proc proc rw\n", None), Some(true));
        assert_eq!(judge(ROOT, None), None);
        assert_eq!(judge(ROOT, Some(true)), Some(false));
        assert_eq!(judge(ROOT, Some(false)), Some(true));
        assert_eq!(judge("", None), None);
    }

    #[test]
    fn the_topmost_mount_decides_whether_it_is_an_initramfs() {
        assert!(is_initramfs("1 1 0:2 / / rw - rootfs rootfs rw\n"));
        assert!(!is_initramfs(&format!("1 1 0:2 / / rw - rootfs rootfs rw\n{ROOT}")));
    }
}
