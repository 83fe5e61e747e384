//! That izba-test has a manager of its own in a test machine with systemd, and that controllers are delegated to it. The test
//! runs as that user, in a session's scope, which belongs to root: as in a shell after a login. See `v2_machine.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;

use support::{Ground, User, run};

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn the_session_is_outside_of_what_is_delegated() {
    let (uid, ..) = User::Ranges.account();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(own.starts_with(&format!("0::/user.slice/user-{uid}.slice/session-")), "{own}");
    let delegated = format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service");
    let controllers = fs::read_to_string(format!("{delegated}/cgroup.controllers")).unwrap();
    assert_eq!(controllers, "cpuset cpu io memory pids\n");
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn the_users_manager_makes_scopes_with_limits() {
    let ground = Ground::new();
    let mut scope = ground.command("systemd-run", User::Ranges);
    for name in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"] {
        scope.env(name, std::env::var_os(name).unwrap());
    }
    scope.args(["--user", "--scope", "--quiet", "--unit=izba-machine", "-p", "TasksMax=7", "sh", "-c"]);
    scope.arg("cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/pids.max; cat /proc/self/cgroup");
    let ended = run(&mut scope);
    let (limit, group) = ended.text().split_once('\n').unwrap();
    assert_eq!(limit, "7");
    assert!(group.ends_with(".service/app.slice/izba-machine.scope"), "{group}");
}
