//! Limits of a run are changed while it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use group::{file, izba, json, pure_v2};
use support::{Ground, User};

/// A quota of v1 and of v2 in one form.
fn quota(ground: &Ground) -> String {
    let quota = file(ground, "web", "cpu", "cpu.cfs_quota_us", "cpu.max");
    quota.split(' ').next().unwrap().to_owned()
}

#[test]
fn what_is_named_is_changed_and_the_rest_stays() {
    let ground = Ground::new();
    let limits = ["--memory", "64m", "--pids-limit", "10", "--cpus", "0.5"];
    let _run = ground.named(User::Root, "web", &limits, "host", "echo up; exec sleep 1000");
    assert_eq!(izba(&ground, &["update", "web", "--memory", "128m", "--cpus", "0.7"]).text(), "");
    let memory = || file(&ground, "web", "memory", "memory.limit_in_bytes", "memory.max");
    let pids = || file(&ground, "web", "pids", "pids.max", "pids.max");
    assert_eq!((memory(), pids(), quota(&ground)), ("134217728".into(), "10".into(), "70000".into()));
    assert_eq!(izba(&ground, &["update", "web", "--pids-limit", "max", "-m", "32m"]).text(), "");
    assert_eq!((memory(), pids(), quota(&ground)), ("33554432".into(), "max".into(), "70000".into()));
}

#[test]
fn a_controller_that_was_not_joined_at_the_start_is_said_or_had_later() {
    let ground = Ground::new();
    let _run = ground.named(User::Root, "web", &[], "host", "echo up; exec sleep 1000");
    // cgroup v2 would take it.
    izba(&ground, &["update", "web", "--cpuset-cpus", "99999"]).refusal();
    let changed = izba(&ground, &["update", "web", "--cpuset-cpus", "0"]);
    if pure_v2() {
        let cpus = file(&ground, "web", "cpuset", "cpuset.cpus", "cpuset.cpus");
        assert_eq!((changed.text(), cpus.as_str()), ("", "0"));
    } else {
        let said = changed.refusal();
        assert!(
            said.contains("the cpuset limits of the run web can't be changed") && said.contains("try: start it with"),
            "{said}"
        );
    }
}

#[test]
fn an_update_that_fails_leaves_what_was() {
    let ground = Ground::new();
    let limits = ["--cpus", "0.5", "--memory", "64m", "--pids-limit", "10", "--cpuset-cpus", "0"];
    let _run = ground.named(User::Root, "web", &limits, "host", "echo up; exec sleep 1000");
    // The kernel refuses it when others have been written.
    let refused = if pure_v2() { ["--cgroup-conf", "memory.high=lots"] } else { ["--memory", "4k"] };
    for wrong in [["--cpuset-cpus", "4095"], ["--cpuset-mems", "4095"], refused] {
        let said = izba(&ground, &[&["update", "web", "--cpus", "0.3"][..], &wrong].concat());
        assert!(!said.refusal().contains("changed already"), "{said:?}");
        let memory = file(&ground, "web", "memory", "memory.limit_in_bytes", "memory.max");
        assert_eq!((quota(&ground), memory.as_str()), ("50000".into(), "67108864"), "{said:?}");
    }
}

#[test]
fn a_burst_needs_a_quota() {
    let ground = Ground::new();
    let _run = ground.named(User::Root, "web", &["--cpu-weight", "100"], "host", "echo up; exec sleep 1000");
    let burst = || izba(&ground, &["update", "web", "--cpu-burst", "1000"]);
    let said = burst();
    assert!(said.refusal().contains("--cpu-burst 1000: without a quota"), "{said:?}");
    assert_eq!(izba(&ground, &["update", "web", "--cpus", "0.5"]).text(), "");
    assert_eq!(burst().text(), "");
    assert_eq!(file(&ground, "web", "cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "1000");
}

#[test]
fn device_rules_are_changed() {
    let ground = Ground::new();
    let script = "echo up; while read line; do cat $line >/dev/null 2>&1 </dev/null && echo yes || echo no; done";
    let mut run = ground.named(User::Root, "web", &["--device-cgroup-rule", "c 1:3 rwm"], "host", script);
    let mut ask = |device: &str| {
        use std::io::Write;
        writeln!(run.child.stdin.as_mut().unwrap(), "{device}").unwrap();
        run.line()
    };
    assert_eq!(ask("/dev/null"), "yes");
    assert_eq!(izba(&ground, &["update", "web", "--device-cgroup-rule", "deny c 1:3 r"]).text(), "");
    assert_eq!(ask("/dev/null"), "no");
    drop(run);
}

#[test]
fn nothing_and_nobody_cannot_be_changed() {
    let ground = Ground::new();
    assert!(izba(&ground, &["update", "web", "--memory", "64m"]).refusal().contains("nothing runs under the name web"));
    assert!(izba(&ground, &["update", "web"]).refusal().contains("no limit is named"));
    let _run = ground.named(User::Root, "web", &["--cgroup-manager", "none"], "host", "echo up; exec sleep 1000");
    let said = izba(&ground, &["update", "web", "--memory", "64m"]);
    assert!(said.refusal().contains("the run web has no control group of its own"), "{said:?}");
    assert!(json(&ground, &["inspect", "web"]).get("cgroup").is_none());
}
