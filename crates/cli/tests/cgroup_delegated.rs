//! An ordinary user's limits: they hold below groups that were handed to that user, as cgroups(7) has it under "delegation"; elsewhere they are refused, or said not
//! to be enforced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod delegated;
mod disk;
mod group;
mod rate;
mod support;

use delegated::Delegated;
use disk::Disk;
use group::{ends_at_memory_and_swap, pure_v2, stays_on_cpu_1, take};
use serde_json::json;
use support::{Ground, User};

#[test]
fn memory_that_was_delegated_is_limited() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    let (starved, result) = groups.ended(&["--memory", "32M"], &format!("exec {}", take(100)));
    assert_eq!((starved.status, &result["oomKilled"]), (137, &json!(true)), "{starved:?} {result:#}");
    assert_eq!(result["memoryLimitBytes"], json!(32 << 20));
    assert!(starved.stderr.contains("for want of memory: limit 32.0 MiB"), "{starved:?}");
    let (fed, result) = groups.ended(&["--memory", "32M"], &take(16));
    assert_eq!((fed.status, &result["oomKilled"]), (0, &json!(false)), "{fed:?} {result:#}");
}

#[test]
fn memory_and_swap_that_were_delegated_are_limited_together() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    ends_at_memory_and_swap(|options, script| groups.start(options, script));
}

#[test]
fn processes_that_were_delegated_are_limited() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    // The bomb is in a PID namespace of its own.
    let bomb = "perl -e 'alarm 2; 1 while defined fork; sleep 1000' & wait; echo ended";
    let (bombed, result) = groups.ended(&["--pids-limit", "20"], bomb);
    assert_eq!(bombed.text(), "ended");
    assert!(result["pidsRefused"].as_u64() > Some(0) && result["pidsPeak"] == json!(20), "{result:#}");
}

#[test]
fn cpu_time_that_was_delegated_is_limited_and_changed() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    let run = groups.start(&["--cpus", "0.2", "--cpu-weight", "10000"], "echo up; while :; do :; done");
    run.holds_quota(20_000);
    assert_eq!(run.izba(&["resume", "web"]).text(), "");
    assert_eq!(run.izba(&["update", "web", "--cpus", "0.4"]).text(), "");
    assert_eq!(run.file("cpu", "cpu.cfs_quota_us", "cpu.max").split(' ').next(), Some("40000"));
}

#[test]
fn nobody_leaves_a_set_of_cpus_that_was_delegated() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    stays_on_cpu_1(|options, script| groups.ended(options, script).0);
}

#[test]
fn rates_of_a_disk_hold_where_they_were_delegated() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    let disk = Disk::new(&ground, 16);
    let node = disk.node(&ground, User::Ranges);
    for rate in [&rate::BYTES_WRITTEN, &rate::BYTES_READ, &rate::WRITES, &rate::READS] {
        rate.holds(&disk, &node, |options, script| groups.start(options, script));
    }
}

/// They take CAP_SYS_ADMIN, whoever the group belongs to: device_cgroup.c of v1, bpf(2).
#[test]
fn device_rules_are_refused_even_in_what_was_delegated() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    let refused = groups.run(&["--device-cgroup-rule", "c 10:229 rwm"], "true");
    let cause = if pure_v2() { "CAP_BPF" } else { "CAP_SYS_ADMIN" };
    assert!(refused.refusal().contains(cause), "{refused:?}");
}

#[test]
fn what_was_not_delegated_is_refused_with_the_remedy() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        for options in [["--memory", "32M"], ["--pids-limit", "20"], ["--cpus", "0.5"]] {
            let refused = ground.sh(user, &options, "host", "true");
            assert!(
                refused.refusal().contains("limits can't be enforced: you may not make groups in /sys/fs/cgroup"),
                "{refused:?}"
            );
            assert!(
                refused.stderr.contains("try: run izba as root") && refused.stderr.contains("--best-effort"),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn best_effort_goes_on_and_says_what_is_not_enforced() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let run = ground.sh(user, &["--best-effort", "--memory", "32M", "--pids-limit", "20"], "host", "echo on");
        assert_eq!(run.text(), "on");
        for controller in ["memory", "pids"] {
            assert!(
                run.stderr.contains(&format!("note: left out: the {controller} limits can't be enforced")),
                "{run:?}"
            );
        }
    }
}

#[test]
fn of_what_was_not_asked_nothing_is_said() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let run = ground.sh(user, &[], "host", "echo on");
        assert_eq!((run.text(), run.stderr.as_str()), ("on", ""));
    }
}
