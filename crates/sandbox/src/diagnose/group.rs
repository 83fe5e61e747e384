//! Control groups: why the kernel made no group, took no value, or let no process in. cgroups(7), cpuset(7).

use std::path::Path;

use izba_sys::Errno;

use super::Hint;
use crate::cgroup::device;

/// A group that couldn't be made.
pub(super) fn made(path: &Path, errno: Errno) -> Option<Hint> {
    let shown = path.display();
    Some(match errno {
        Errno::EXIST => Hint::new(
            format!("there is a group {shown} already, which isn't this run's"),
            "remove the group (rmdir), if nobody needs it, and try again",
        ),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Hint::new(
            "you may not make groups there",
            "run izba as root, or in a group that was handed to you: cgroups(7), \"delegation\"",
        ),
        Errno::AGAIN => Hint::new(
            "there are as many groups as a group above allows: its cgroup.max.descendants or cgroup.max.depth",
            "end other runs, or raise that",
        ),
        Errno::NOENT => Hint::new("the group above it has been removed meanwhile", "try again"),
        Errno::NOSPC => Hint::new("the kernel has no more groups to give", "end other runs"),
        _ => return None,
    })
}

/// A file of a group that didn't take its value, at the start or later.
pub(super) fn written(path: &Path, errno: Errno) -> Option<Hint> {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    of_file(file, errno).or_else(|| of_any_file(file, errno))
}

fn of_file(file: &str, errno: Errno) -> Option<Hint> {
    match (file, errno) {
        ("devices.allow" | "devices.deny", errno) => device::list_refusal(errno),
        ("cgroup.subtree_control", Errno::BUSY) => Some(Hint::new(
            "the group has processes of its own, and such a group hands no controllers on (\"no internal processes\")",
            "move them into a group below it, or name another one with --cgroup-parent",
        )),
        ("tasks" | "cgroup.procs", Errno::NOSPC) => {
            Some(Hint::new("its cpuset has no CPUs or no memory nodes", "give it some: cpuset.cpus and cpuset.mems"))
        }
        ("cpuset.cpus" | "cpuset.mems", Errno::ACCESS | Errno::INVAL | Errno::NODEV | Errno::RANGE) => Some(Hint::new(
            "the group above hasn't all of these, or this machine hasn't",
            "choose among those in that group's cpuset.cpus and cpuset.mems",
        )),
        ("cpu.cfs_quota_us" | "cpu.cfs_period_us" | "cpu.cfs_burst_us", Errno::INVAL) => Some(Hint::new(
            "a group above has less CPU time, and on cgroup v1 one can't have more than that",
            "ask for less, or raise the quota above",
        )),
        ("cpu.rt_runtime_us" | "cpu.rt_period_us", Errno::INVAL) => {
            Some(Hint::new("the groups above haven't that much realtime", "raise theirs first, from the top down"))
        }
        (file, Errno::NODEV) if file.starts_with("io.") || file.starts_with("blkio.") => Some(Hint::new(
            "there is no such disk: limits are for whole disks, not for partitions",
            "name the disk (lsblk shows which)",
        )),
        ("io.weight" | "io.bfq.weight" | "blkio.bfq.weight_device", Errno::OPNOTSUPP) => Some(Hint::new(
            "nothing follows weights of this disk: neither BFQ (see its queue/scheduler in /sys/block) nor io.cost (see io.cost.qos)",
            "as root: echo bfq > /sys/block/DISK/queue/scheduler",
        )),
        _ => None,
    }
}

fn of_any_file(file: &str, errno: Errno) -> Option<Hint> {
    Some(match errno {
        Errno::NOENT => absent(file),
        Errno::ACCESS | Errno::PERM => Hint::new(
            "you may not change this group",
            "run izba as root, as the user whose group it is, or in a group that was handed to you: cgroups(7), \"delegation\"",
        ),
        Errno::ROFS => {
            Hint::new("control groups are mounted read-only here, as in a container", "run izba outside of it")
        }
        Errno::INVAL | Errno::RANGE => Hint::new(
            "the kernel doesn't take this value for this file",
            "choose another one; cgroups(7) has their forms",
        ),
        Errno::BUSY => Hint::new(
            "more is in use than the limit allows and it can't be reclaimed, or processes depend on what would be taken away",
            "choose a higher limit, or end some of the group's processes first",
        ),
        Errno::NODEV => Hint::new(
            "the group has been removed, or there is no such device",
            "look for both: ls /sys/fs/cgroup, lsblk",
        ),
        Errno::OPNOTSUPP => {
            Hint::new("the group is threaded, or the kernel can't do this here", "see cgroup.type of the group")
        }
        Errno::NOSPC => Hint::new(
            "a group above has already given these CPUs or devices to others",
            "compare the value with the same file of the groups above",
        ),
        _ => return None,
    })
}

fn absent(file: &str) -> Hint {
    if file.contains("memsw") || file.contains("swap") {
        return Hint::new("this kernel doesn't count swap", "boot it with swapaccount=1, or leave the swap limit out");
    }
    if file.contains("weight") {
        return Hint::new(
            "no scheduler of this kernel's knows weights of block devices (BFQ, iocost)",
            "load one, or leave the weight out",
        );
    }
    Hint::new(
        format!(
            "there is no {file} here: its controller isn't on in the group above, or the kernel was built without it"
        ),
        "see cgroup.subtree_control of the group above (cgroup v2), leave this limit out, or take another kernel",
    )
}

/// A group that the first process couldn't be made in.
pub(super) fn entered(path: &Path, errno: Errno) -> Option<Hint> {
    let shown = path.display();
    Some(match errno {
        Errno::ACCESS | Errno::PERM => Hint::new(
            format!(
                "a process is moved to {shown} only by who may write cgroup.procs of the nearest group above both it and the caller's"
            ),
            "run izba as root, or from a group within what was handed to you: systemd-run --user --scope -p Delegate=yes izba ...",
        ),
        Errno::BUSY => Hint::new(
            format!("{shown} hands controllers on, so it takes no processes (\"no internal processes\")"),
            "name a group below it",
        ),
        Errno::OPNOTSUPP => {
            Hint::new(format!("{shown} is in a threaded subtree, which takes no processes"), "name another group")
        }
        Errno::NODEV => Hint::new(format!("{shown} has been removed meanwhile"), "try again"),
        Errno::AGAIN => full(),
        _ => return None,
    })
}

/// No further process.
pub(super) fn full() -> Hint {
    Hint::new(
        "there are as many processes as the group, one above it (pids.max) or the user (RLIMIT_NPROC) may have; our own init is one, the program is another",
        "raise --pids-limit, which has to be 2 at least, or ulimit -u",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
mod tests {
    use super::*;
    use crate::cgroup::GroupError;
    use crate::cgroup::group::Operation;

    #[test]
    fn a_file_is_explained_alike_at_the_start_and_later() {
        for (file, errno, word) in [
            ("devices.allow", Errno::PERM, "CAP_SYS_ADMIN"),
            ("devices.deny", Errno::INVAL, "sub-groups"),
            ("devices.deny", Errno::NOENT, "no devices.deny"),
            ("memory.max", Errno::BUSY, "in use"),
            ("cpuset.cpus", Errno::INVAL, "hasn't all of these"),
            ("cpuset.cpus", Errno::NOSPC, "given these CPUs"),
            ("pids.max", Errno::ROFS, "read-only"),
            ("blkio.bfq.weight_device", Errno::OPNOTSUPP, "weights of this disk"),
        ] {
            let path = Path::new("/sys/fs/cgroup/a").join(file);
            let hint = written(&path, errno).unwrap();
            assert!(hint.cause.contains(word), "{file} {errno}: {}", hint.cause);
            let later = GroupError::Call { operation: Operation::Write("1".to_owned()), path, errno };
            assert_eq!(later.hint().unwrap(), hint);
        }
    }
}
