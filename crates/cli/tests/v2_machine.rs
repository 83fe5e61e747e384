//! That the test machine is what tests of pure cgroup v2 need, and how such tests are written.
//!
//! The beginning of a file's name says where `cargo xtask test` runs it, each in a throw-away machine: `v2_*` as here, root
//! with pure cgroup v2; `systemd_*` below systemd; `systemd_user_*` as izba-test with a manager of its own; `cgroup_*` on the
//! host and in the v2 machine. Tests that can't run on the host carry `#[ignore = "needs the test machine: cargo xtask test"]`,
//! so that there `cargo test` says so. One file or test, while it is being written:
//!
//! ```text
//! cargo xtask vm --test v2_machine
//! cargo xtask vm --test v2_machine the_controllers_are_all_there
//! ```
//!
//! [`Ground`] works in the machine as on the host. All in it is its own and goes with it: its groups, mounts and devices need
//! no care but for the next test's sake, and its root group holds only processes of the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Ground, User, run};

const ROOT: &str = "/sys/fs/cgroup";

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn the_controllers_are_all_there() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let kinds = mounts.lines().filter(|line| line.contains(" - cgroup")).map(|line| line.split(' ').nth(4).unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), [ROOT], "cgroup2 alone, and no v1 hierarchy");
    assert_eq!(fs::read_to_string("/proc/self/cgroup").unwrap(), "0::/\n");
    let controllers = fs::read_to_string(format!("{ROOT}/cgroup.controllers")).unwrap();
    for needed in ["cpu", "cpuset", "io", "memory", "pids"] {
        assert!(controllers.split_whitespace().any(|controller| controller == needed), "{needed}: {controllers}");
    }
    // What says that a test which does damage elsewhere may run.
    let line = fs::read_to_string("/proc/cmdline").unwrap();
    assert!(line.split_whitespace().any(|word| word == "testvm=1"), "{line}");
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_limit_holds_and_is_counted() {
    let group = Path::new(ROOT).join("izba-machine-pids");
    fs::write(format!("{ROOT}/cgroup.subtree_control"), "+pids").unwrap();
    fs::create_dir(&group).unwrap();
    fs::write(group.join("pids.max"), "2").unwrap();
    let script = format!("echo $$ > {}/cgroup.procs; for i in 1 2 3; do sleep 0.1 & done; wait", group.display());
    let ground = Ground::new();
    run(ground.command("bash", User::Root).args(["-c", &script]));
    let events = fs::read_to_string(group.join("pids.events")).unwrap();
    ground.wait_for("the group is empty", || fs::remove_dir(&group).is_ok());
    let refused: u32 = events.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(refused > 0, "{events}");
}

/// A block device to throttle and to swap to: a loop device, as the machine has no other disk.
#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_device_can_be_throttled_and_swapped_to() {
    let group = Path::new(ROOT).join("izba-machine-io");
    fs::write(format!("{ROOT}/cgroup.subtree_control"), "+io +memory").unwrap();
    fs::create_dir(&group).unwrap();
    fs::write("/dev/shm/disk", vec![0; 16 << 20]).unwrap();
    let ground = Ground::new();
    let sh = |script: &str| run(ground.command("sh", User::Root).args(["-c", script])).text().to_owned();
    let device = sh("losetup --find --show /dev/shm/disk");
    let number = sh(&format!("lsblk --noheadings --output MAJ:MIN {device}")).trim().to_owned();
    fs::write(group.join("io.max"), format!("{number} rbps=1048576")).unwrap();
    let limits = fs::read_to_string(group.join("io.max")).unwrap();
    sh(&format!("mkswap {device}; swapon {device}"));
    let swaps = fs::read_to_string("/proc/swaps").unwrap();
    sh(&format!("swapoff {device}; losetup --detach {device}; rm /dev/shm/disk; rmdir {}", group.display()));
    assert_eq!(limits, format!("{number} rbps=1048576 wbps=max riops=max wiops=max\n"));
    assert!(swaps.contains(&device), "{swaps}");
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn izba_and_the_users_of_the_host_work_here() {
    let ground = Ground::new();
    for user in User::ALL {
        let own = fs::read_link("/proc/self/ns/pid").unwrap();
        let theirs = ground.sh(user, &[], "host", "readlink /proc/self/ns/pid");
        assert_ne!(theirs.text(), own.to_str().unwrap(), "{user:?}");
    }
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn what_is_written_outside_of_it_is_lost() {
    let uname = Command::new("uname").arg("-r").output().unwrap();
    assert!(String::from_utf8(uname.stdout).unwrap().contains("testvm"));
    let root = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(root.lines().any(|line| line.contains(" / / ") && line.contains(" - overlay ")), "{root}");
}
