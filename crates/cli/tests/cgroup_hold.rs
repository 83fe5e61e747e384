//! Limits hold: by the clocks and counters of the group, on cgroup v1 and v2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use group::{Limited, ended, ends_at_memory_and_swap, is_v1, stays_on_cpu_1, take};
use serde_json::json;
use support::{Ground, User};

const MEBIBYTE: u64 = 1 << 20;

fn quota_holds(cpus: &str, quota: u64, script: &str) {
    let ground = Ground::new();
    // The weight is for a machine that is busy with other things, which would not give it so much.
    Limited::start(&ground, &["--cpus", cpus, "--cpu-weight", "10000"], script).holds_quota(quota);
}

#[test]
fn a_part_of_one_cpu_is_all_there_is() {
    quota_holds("0.7", 70_000, "echo up; while :; do :; done");
}

#[test]
fn two_that_are_busy_share_a_quota() {
    quota_holds("0.5", 50_000, "echo up; while :; do :; done & while :; do :; done");
}

#[test]
fn nobody_leaves_the_set_of_cpus() {
    let ground = Ground::new();
    stays_on_cpu_1(|options, script| ground.sh(User::Root, options, "host", script));
}

#[test]
fn memory_ends_at_its_limit() {
    let ground = Ground::new();
    let (starved, result) =
        ended(&ground, &["--memory", "32M", "--memory-swap", "32M"], &format!("exec {}", take(100)));
    assert_eq!((starved.status, &result["oomKilled"]), (137, &json!(true)), "{starved:?} {result:#}");
    assert_eq!(result["memoryLimitBytes"], json!(32 * MEBIBYTE));
    let peak = result["memoryPeakBytes"].as_u64().unwrap();
    assert!((30 * MEBIBYTE..=32 * MEBIBYTE).contains(&peak), "{result:#}");
    let (fed, result) = ended(&ground, &["--memory", "32M"], &take(16));
    assert_eq!((fed.status, &result["oomKilled"]), (0, &json!(false)), "{fed:?} {result:#}");
    assert!(result["memoryPeakBytes"].as_u64() > Some(16 * MEBIBYTE), "{result:#}");
}

#[test]
fn memory_and_swap_together_end_at_their_limit() {
    let ground = Ground::new();
    ends_at_memory_and_swap(|options, script| Limited::start(&ground, options, script));
}

#[test]
fn a_fork_bomb_comes_to_its_limit_and_ends() {
    let ground = Ground::new();
    // Each of them makes more until one is refused, and stays. It is in a PID namespace of its own.
    let bomb = "exec perl -e '$| = 1; print qq(up\\n); 1 while defined fork; sleep 1000'";
    let mut run = Limited::start(&ground, &["--pids-limit", "20"], bomb);
    ground.wait_for("a process is refused", || run.count("pids", "refused") > 0 && run.count("pids", "current") == 20);
    assert_eq!((run.count("pids", "limit"), run.count("pids", "peak")), (20, 20));
    assert_eq!(run.izba(&["kill", "web", "KILL"]).text(), "");
    assert_eq!(run.process.status(), 137);
    assert!(ground.processes().is_empty());
}

#[test]
fn changes_hold_too() {
    let ground = Ground::new();
    let script = format!("echo up; while read go; do {}; echo $?; done", take(32));
    let mut run = Limited::start(&ground, &["--memory", "64M", "--memory-swap", "64M"], &script);
    assert_eq!(run.ask("go"), "0");
    for (limit, status) in [("24M", "137"), ("96M", "0"), ("24M", "137")] {
        assert_eq!(run.izba(&["update", "web", "--memory", limit, "--memory-swap", limit]).text(), "", "{limit}");
        assert_eq!(run.ask("go"), status, "{limit}");
    }
}

/// v1 refuses a limit below what is used and can't be got back, v2 ends processes for it.
#[test]
fn a_limit_below_what_is_used_takes_effect_or_is_refused() {
    let ground = Ground::new();
    let script = "exec python3 -c 'taken = b\"x\" * (48 << 20); print(\"up\", flush=True); input()'";
    let mut run = Limited::start(&ground, &["--memory", "64M", "--memory-swap", "64M"], script);
    // On v2 the run may end by it, and its group with it.
    let v1 = is_v1(&run.group("memory"));
    let changed = run.izba(&["update", "web", "--memory", "16M", "--memory-swap", "16M"]);
    if v1 {
        assert!(
            changed.refusal().contains("memory.limit_in_bytes") || changed.refusal().contains("memory.memsw"),
            "{changed:?}"
        );
        assert_eq!(run.count("memory", "limitBytes"), 64 * MEBIBYTE);
    } else {
        assert_eq!(run.process.status(), 137, "{changed:?}");
    }
}
