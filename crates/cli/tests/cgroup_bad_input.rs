//! Limits that can't be meant: one error each, with the option and the value; nothing is started, and no group is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use group::groups_of;
use support::{Ground, User};

/// What izba says of these options, with which nothing may be started.
fn refusal(ground: &Ground, options: &[&str]) -> String {
    let touched = ground.directory("out", User::Root);
    let volume = format!("{}:/out", touched.display());
    let options = [&["--name", "bad-input", "-v", &volume], options].concat();
    let refused = ground.sh(User::Root, &options, "host", "touch /out/started");
    assert!(!touched.join("started").exists(), "{options:?}");
    assert!(groups_of("bad-input").is_empty(), "{options:?}");
    refused.refusal().to_owned()
}

#[test]
fn values_out_of_range_are_named_with_their_options() {
    let ground = Ground::new();
    for (option, value) in [
        ("--cpus", "-1"),
        ("--cpus", "0"),
        ("--cpus", "0.001"),
        ("--cpus", "99999999999999999999"),
        ("--cpu-quota", "-2"),
        ("--cpu-weight", "10001"),
        ("--cpuset-cpus", "3-1"),
        ("--memory", "-64m"),
        ("--memory", "0"),
        ("--memory", "99999999999999999999"),
        ("--pids-limit", "0"),
        ("--device-read-bps", "/dev/null:1m"),
        ("--device-write-iops", "4095:1048575:5"),
        ("--hugetlb", "3MB=1m"),
        ("--net-prio", "eth0=-1"),
        ("--device-cgroup-rule", "c x 1:3"),
        ("--cgroup-conf", "cgroup.procs=1"),
        ("--cgroup-parent", "/a/../b"),
        ("--cgroup-parent", "../b"),
        ("--cgroup-manager", "docker"),
    ] {
        let said = refusal(&ground, &[option, value]);
        assert!(said.contains(option) && said.contains(value.split(':').next().unwrap()), "{option} {value}: {said}");
    }
}

#[test]
fn contradictions_are_said() {
    let ground = Ground::new();
    for options in [
        &["--memory", "64m", "--memory-swap", "32m"][..],
        &["--cpus", "0.5", "--cpu-quota", "1000"],
        &["--cpus", "0.5", "--cpu-burst", "60000"],
        &["--cpu-burst", "1000"],
        &["--cgroup-manager", "none", "--memory", "64m"],
        &["--cgroup-manager", "none", "--cgroup-parent", "/izba-test"],
        &["--cgroup-manager", "cgroupfs", "--cgroup-parent", "izba-test.slice"],
    ] {
        refusal(&ground, options);
    }
}

#[test]
fn a_cpu_that_is_not_there_is_said() {
    let ground = Ground::new();
    let said = refusal(&ground, &["--cpuset-cpus", "0,4095"]);
    assert!(said.contains("4095") && said.contains("aren't all there"), "{said}");
}
