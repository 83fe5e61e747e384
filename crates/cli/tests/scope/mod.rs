//! Limits hold in scopes of systemd's, whoever's systemd it is: the tests of the two binaries that say whose, in `USER`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::USER;
use crate::group::{Limited, ended_as, take};
use crate::support::{Ended, Ground, User, run};

/// systemctl of the user's manager.
fn systemctl(ground: &Ground, arguments: &[&str]) -> Ended {
    let mut command = ground.command("systemctl", USER);
    if USER != User::Root {
        let dir = format!("/run/user/{}", USER.account().0);
        command
            .env("XDG_RUNTIME_DIR", &dir)
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={dir}/bus"))
            .arg("--user");
    }
    run(command.args(arguments))
}

/// The run's scope, as systemd names it.
fn unit(run: &Limited<'_>) -> String {
    let group = run.group("memory");
    let unit = group.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(unit, format!("izba-web-{}.scope", run.process.pid()), "{}", group.display());
    unit
}

fn is_loaded(ground: &Ground, unit: &str) -> bool {
    systemctl(ground, &["show", "--property=LoadState", "--value", unit]).text() != "not-found"
}

/// The scope has the limits, systemd knows of them, and both go with the run.
#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn limits_are_those_of_a_scope() {
    let ground = Ground::new();
    let options = ["--memory", "64M", "--pids-limit", "20", "--cpus", "0.5", "--cpu-weight", "50"];
    let mut run = Limited::start_as(&ground, USER, &options, "echo up; read end; exit 7");
    let (scope, group) = (unit(&run), run.group("memory"));
    for (file, value) in
        [("memory.max", "67108864"), ("pids.max", "20"), ("cpu.max", "50000 100000"), ("cpu.weight", "50")]
    {
        assert_eq!(std::fs::read_to_string(group.join(file)).unwrap().trim(), value, "{file}");
    }
    let told = systemctl(&ground, &["show", "--property=MemoryMax,TasksMax", &scope]);
    assert_eq!(
        told.text().lines().collect::<std::collections::BTreeSet<_>>(),
        ["MemoryMax=67108864", "TasksMax=20"].into()
    );
    drop(run.process.child.stdin.take());
    assert_eq!(run.process.status(), 7);
    ground.wait_for("the scope is gone", || !is_loaded(&ground, &scope) && !group.exists());
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn memory_holds_and_its_end_is_said() {
    let ground = Ground::new();
    let (starved, result) = ended_as(&ground, USER, &["--memory", "32M"], &format!("exec {}", take(100)));
    assert_eq!((starved.status, &result["oomKilled"]), (137, &json!(true)), "{starved:?} {result:#}");
    assert!(result["memoryPeakBytes"].as_u64() <= Some(32 << 20), "{result:#}");
    assert!(starved.stderr.contains("for want of memory: limit 32.0 MiB"), "{starved:?}");
    let (fed, result) = ended_as(&ground, USER, &["--memory", "32M"], &take(16));
    assert_eq!((fed.status, &result["oomKilled"]), (0, &json!(false)), "{fed:?} {result:#}");
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn processes_and_cpu_time_hold() {
    let ground = Ground::new();
    // The bomb is in a PID namespace of its own.
    let bomb = "exec perl -e '$| = 1; print qq(up\\n); 1 while defined fork; 1 while 1'";
    let run = Limited::start_as(&ground, USER, &["--pids-limit", "20", "--cpus", "0.5"], bomb);
    ground.wait_for("it has come to its limits", || {
        run.count("pids", "refused") > 0 && run.count("cpu", "throttledPeriods") >= 10
    });
    assert_eq!(run.izba(&["pause", "web"]).text(), "");
    let stats = run.stats();
    let of = |field: &str| stats["cpu"][field].as_u64().unwrap();
    assert!(of("totalMicroseconds") <= 50_000 * (of("periods") + 1) + 30_000, "{stats:#}");
    assert!(of("totalMicroseconds") >= 45_000 * of("throttledPeriods"), "{stats:#}");
    assert_eq!(run.count("pids", "peak"), 20);
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_scope_is_paused_changed_and_ended() {
    let ground = Ground::new();
    let mut run =
        Limited::start_as(&ground, USER, &["--memory", "64M"], "echo up; while :; do :; done & while :; do :; done");
    let (scope, group) = (unit(&run), run.group("memory"));
    assert_eq!(run.izba(&["pause", "web"]).text(), "");
    let before = run.count("cpu", "totalMicroseconds");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(run.count("cpu", "totalMicroseconds"), before);
    assert_eq!(run.izba(&["resume", "web"]).text(), "");
    ground.wait_for("the run goes on", || run.count("cpu", "totalMicroseconds") > before);
    assert_eq!(run.izba(&["update", "web", "--memory", "128M", "--pids-limit", "30"]).text(), "");
    let wrong = ["update", "web", "--memory", "96M", "--pids-limit", "20", "--cgroup-conf", "memory.high=lots"];
    let failed = run.izba(&wrong);
    assert!(!failed.refusal().contains("changed already"), "{failed:?}");
    // What systemd wasn't told it would write back.
    systemctl(&ground, &["daemon-reload"]).text();
    let limits = ["memory.max", "pids.max"].map(|file| std::fs::read_to_string(group.join(file)).unwrap());
    assert_eq!(limits, ["134217728\n", "30\n"]);
    assert_eq!(run.izba(&["kill", "--all", "web", "KILL"]).text(), "");
    assert_eq!(run.process.status(), 137);
    ground.wait_for("the scope is gone", || !is_loaded(&ground, &scope) && !group.exists());
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_scope_is_in_the_slice_that_was_named() {
    let ground = Ground::new();
    let options = ["--cgroup-parent", "izba-test-hold.slice", "--memory", "64M"];
    let run = Limited::start_as(&ground, USER, &options, "echo up; read end");
    let group = run.group("memory");
    unit(&run);
    assert!(
        group.parent().unwrap().ends_with(Path::new("izba.slice/izba-test.slice/izba-test-hold.slice")),
        "{group:?}"
    );
    assert_eq!(std::fs::read_to_string(group.join("memory.max")).unwrap(), "67108864\n");
    drop(run);
    systemctl(&ground, &["stop", "izba.slice"]).text();
}
