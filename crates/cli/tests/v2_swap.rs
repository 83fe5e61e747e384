//! Limits of memory where there is swap, which the host is not given for a test's sake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod delegated;
mod disk;
mod group;
mod support;

use std::fs;

use delegated::Delegated;
use disk::Disk;
use group::{Limited, ended, take};
use serde_json::{Value, json};
use support::{Ended, Ground, User, run};

const MEBIBYTE: u64 = 1 << 20;

/// The machine's swap, until this is dropped.
struct Swap<'a> {
    ground: &'a Ground,
    disk: Disk,
}

impl<'a> Swap<'a> {
    fn new(ground: &'a Ground) -> Self {
        let line = fs::read_to_string("/proc/cmdline").unwrap();
        assert!(
            line.split_whitespace().any(|word| word == "testvm=1"),
            "only the test machine's swap is a test's to set"
        );
        let swap = Self { ground, disk: Disk::new(ground, 256) };
        run(ground.command("mkswap", User::Root).arg(&swap.disk.device)).text();
        run(ground.command("swapon", User::Root).arg(&swap.disk.device)).text();
        swap
    }
}

impl Drop for Swap<'_> {
    fn drop(&mut self) {
        run(self.ground.command("swapoff", User::Root).arg(&self.disk.device));
    }
}

/// Has a run that `start` starts take more than its memory, and looks where the rest of it is.
fn is_swapped<'a>(start: impl FnOnce(&[&str], &str) -> Limited<'a>) {
    let script = "exec python3 -c 'taken = b\"x\" * (64 << 20); print(\"up\", flush=True); input()'";
    let run = start(&["--memory", "32M", "--memory-swap", "128M"], script);
    let stats = run.stats();
    let of = |field: &str| stats["memory"][field].as_u64().unwrap();
    assert_eq!((of("limitBytes"), of("swapLimitBytes")), (32 * MEBIBYTE, 96 * MEBIBYTE), "{stats:#}");
    assert!(of("peakBytes") <= 32 * MEBIBYTE && of("swapBytes") > 30 * MEBIBYTE, "{stats:#}");
}

/// Has `ended` run scripts that take what is more than their limits, and what isn't.
fn ends_beyond_limits(ended: impl Fn(&[&str], &str) -> (Ended, Value)) {
    for (limits, mebibytes, status) in [
        (&["--memory", "32M", "--memory-swap", "64M"][..], 100, 137),
        (&["--memory", "32M", "--memory-swap", "32M"], 64, 137),
        (&["--memory", "32M", "--memory-swap", "128M"], 100, 0),
        // Who says nothing of swap doesn't limit it.
        (&["--memory", "32M"], 100, 0),
    ] {
        let (run, result) = ended(limits, &format!("exec {}", take(mebibytes)));
        assert_eq!((run.status, &result["oomKilled"]), (status, &json!(status == 137)), "{limits:?} {result:#}");
    }
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn what_does_not_fit_is_swapped_up_to_the_limit() {
    let ground = Ground::new();
    let _swap = Swap::new(&ground);
    is_swapped(|options, script| Limited::start(&ground, options, script));
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn what_exceeds_memory_and_swap_is_ended() {
    let ground = Ground::new();
    let _swap = Swap::new(&ground);
    ends_beyond_limits(|options, script| ended(&ground, options, script));
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn swap_that_was_delegated_is_limited() {
    let ground = Ground::new();
    let _swap = Swap::new(&ground);
    let groups = Delegated::new(&ground);
    is_swapped(|options, script| groups.start(options, script));
    ends_beyond_limits(|options, script| groups.ended(options, script));
}
