//! May procfs or sysfs be mounted in a new user namespace? Only where the caller sees one fully: nothing of it
//! is hidden by another mount (mount_too_revealing() in fs/namespace.c).

use crate::mountinfo::MountLine;

/// Judges from the text of /proc/self/mountinfo: proc(5). `read_only` says that the new mount is to be read-only, as a
/// mount that may be written isn't given to who only sees one that may not.
pub fn fully_visible(mountinfo: &str, fstype: &str, read_only: bool) -> bool {
    let mounts: Vec<MountLine<'_>> = mountinfo.lines().filter_map(MountLine::parse).collect();
    mounts
        .iter()
        .filter(|mount| mount.fstype == fstype && mount.root == "/" && (read_only || !mount.is_read_only()))
        .any(|mount| !mounts.iter().any(|other| other.parent == mount.id && hides(mount, other)))
}

/// The mounts that hide parts of the caller's procfs or sysfs: what [`fully_visible`] objects to.
pub fn hiding<'a>(mountinfo: &'a str, fstype: &str) -> Vec<&'a str> {
    let mounts: Vec<MountLine<'a>> = mountinfo.lines().filter_map(MountLine::parse).collect();
    let shown = mounts.iter().filter(|mount| mount.fstype == fstype && mount.root == "/");
    shown
        .flat_map(|mount| mounts.iter().filter(|other| other.parent == mount.id && hides(mount, other)))
        .map(|over| over.point)
        .collect()
}

/// The directories of procfs and sysfs that exist to be mounted over are always empty, so a mount there hides nothing:
/// proc_create_mount_point() and sysfs_create_mount_point() in the kernel.
const EMPTY_MOUNT_POINTS: [&str; 14] = [
    "/fs/bpf",
    "/fs/cgroup",
    "/fs/fuse/connections",
    "/fs/nfsd",
    "/fs/pstore",
    "/fs/resctrl",
    "/fs/selinux",
    "/firmware/efi/efivars",
    "/kernel/debug",
    "/sys/fs/binfmt_misc",
    "/kernel/config",
    "/kernel/security",
    "/kernel/tracing",
    "/fs/smackfs",
];

fn hides(mount: &MountLine<'_>, over: &MountLine<'_>) -> bool {
    let inside = over.point.strip_prefix(mount.point).unwrap_or(over.point);
    !EMPTY_MOUNT_POINTS.contains(&inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "22 27 0:21 / /proc rw - proc proc rw\n23 27 0:22 / /sys rw - sysfs sysfs rw\n\
        31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n40 22 0:30 / /proc/sys/fs/binfmt_misc rw - binfmt_misc b rw\n";

    #[test]
    fn a_plain_host_shows_all() {
        assert!(fully_visible(OPEN, "proc", false));
        assert!(fully_visible(OPEN, "sysfs", true));
    }

    #[test]
    fn a_mask_hides() {
        let masked = format!("{OPEN}50 22 0:40 / /proc/acpi ro - tmpfs tmpfs ro\n");
        assert!(!fully_visible(&masked, "proc", false));
        assert!(fully_visible(&masked, "sysfs", true));
    }

    #[test]
    fn a_part_or_nothing_is_not_enough() {
        assert!(!fully_visible("", "proc", false));
        assert!(!fully_visible("22 27 0:21 /sys /proc/sys rw - proc proc rw\n", "proc", false));
    }

    #[test]
    fn a_read_only_one_allows_only_read_only_ones() {
        let text = "23 27 0:22 / /sys ro,nosuid - sysfs sysfs rw\n";
        assert!(fully_visible(text, "sysfs", true));
        assert!(!fully_visible(text, "sysfs", false));
    }

    #[test]
    fn a_second_full_mount_is_enough() {
        let masked =
            format!("{OPEN}50 22 0:40 / /proc/acpi ro - tmpfs t ro\n60 27 0:21 / /mnt/proc rw - proc proc rw\n");
        assert!(fully_visible(&masked, "proc", false));
    }
}
