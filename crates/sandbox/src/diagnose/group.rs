//! Control groups: why the kernel made no group, took no value, or let no process in. cgroups(7), cpuset(7).

use std::path::Path;

use izba_sys::Errno;

use super::Hint;

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

/// A file of a group that didn't take its value.
pub(super) fn written(path: &Path, errno: Errno) -> Option<Hint> {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match (file, errno) {
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
        (file, Errno::NOENT) => Some(absent(file)),
        (_, Errno::ACCESS | Errno::PERM) => Some(Hint::new(
            "you may not change this group",
            "run izba as root, or in a group that was handed to you: cgroups(7), \"delegation\"",
        )),
        (_, Errno::INVAL | Errno::RANGE) => Some(Hint::new("the kernel doesn't take this value", "choose another one")),
        _ => None,
    }
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
    Hint::new(format!("this kernel has no {file}"), "leave this limit out, or take a newer kernel")
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
