//! That a test machine with systemd as PID 1 is what tests of its cgroup driver need. See `v2_machine.rs` for how such tests
//! are written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use support::{Ended, Ground, User, run};

fn systemctl(ground: &Ground, arguments: &[&str]) -> Ended {
    run(ground.command("systemctl", User::Root).args(arguments))
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn systemd_runs_and_nothing_has_failed() {
    let ground = Ground::new();
    assert_eq!(systemctl(&ground, &["is-system-running", "--wait"]).text(), "running");
    let owner =
        ["--system", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.DBus.Peer"];
    run(ground.command("busctl", User::Root).args(owner).arg("Ping")).text();
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_scope_has_its_limits_in_files() {
    let ground = Ground::new();
    let mut scope = ground.command("systemd-run", User::Root);
    scope.args(["--scope", "--quiet", "--unit=izba-machine", "-p", "TasksMax=7", "-p", "MemoryMax=64M", "sh", "-c"]);
    scope.arg("cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) && pwd && cat pids.max memory.max");
    let ended = run(&mut scope);
    let lines: Vec<&str> = ended.text().lines().collect();
    assert_eq!(lines, ["/sys/fs/cgroup/system.slice/izba-machine.scope", "7", "67108864"]);
}
