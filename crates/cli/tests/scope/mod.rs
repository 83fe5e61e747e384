//! Limits hold in scopes of systemd's, whoever's systemd it is: the tests of the two binaries that say whose, in `USER`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::USER;
use crate::disk::Disk;
use crate::group::{Limited, ended_as, stays_on_cpu_1, take};
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

/// What systemd says of a property of the unit's.
fn property(ground: &Ground, unit: &str, name: &str) -> String {
    systemctl(ground, &["show", &format!("--property={name}"), "--value", unit]).text().to_owned()
}

fn is_loaded(ground: &Ground, unit: &str) -> bool {
    property(ground, unit, "LoadState") != "not-found"
}

/// Do the group's files have these values?
#[track_caller]
fn has(group: &Path, values: &[(&str, &str)]) {
    for (file, value) in values {
        assert_eq!(std::fs::read_to_string(group.join(file)).unwrap().trim(), *value, "{file}");
    }
}

/// The scope has the limits, systemd knows of them, and both go with the run.
#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn limits_are_those_of_a_scope() {
    let ground = Ground::new();
    let options = ["--memory", "64M", "--pids-limit", "20", "--cpus", "0.5", "--cpu-weight", "50"];
    let mut run = Limited::start_as(&ground, USER, &options, "echo up; read end; exit 7");
    let (scope, group) = (unit(&run), run.group("memory"));
    has(&group, &[("memory.max", "67108864"), ("pids.max", "20"), ("cpu.max", "50000 100000"), ("cpu.weight", "50")]);
    assert_eq!(property(&ground, &scope, "MemoryMax"), "67108864");
    assert_eq!(property(&ground, &scope, "TasksMax"), "20");
    drop(run.process.child.stdin.take());
    assert_eq!(run.process.status(), 7);
    ground.wait_for("the scope is gone", || !is_loaded(&ground, &scope) && !group.exists());
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn an_io_weight_is_that_of_the_scope() {
    let ground = Ground::new();
    // Only root may choose a disk's scheduler. Where none follows weights, they are for later.
    let disk = (USER == User::Root).then(|| {
        let mut disk = Disk::new(&ground, 1);
        disk.schedule("bfq");
        disk
    });
    let of_disk = disk.as_ref().map(|disk| format!("{}:200", disk.device));
    let more = of_disk.as_ref().map_or(vec!["--best-effort"], |of_disk| vec!["--io-weight-device", of_disk]);
    let mut run = Limited::start_as(&ground, USER, &[&["--io-weight", "50"], &more[..]].concat(), "echo up; read end");
    let (scope, group) = (unit(&run), run.group("io"));
    assert_eq!(property(&ground, &scope, "IOWeight"), "50");
    has(&group, &[("io.weight", "default 50")]);
    if let Some(disk) = disk {
        let number = disk.number();
        assert_eq!(property(&ground, &scope, "IODeviceWeight"), format!("/dev/block/{number} 200"));
        // BFQ's weights go up to 1000, not to 10000: 200 is 100 + 100 * 900 / 9900.
        has(&group, &[("io.bfq.weight", &format!("default 50\n{number} 109"))]);
    } else {
        has(&group, &[("io.bfq.weight", "default 50")]);
        drop(run.process.child.stdin.take());
        run.process.status();
        let said = std::io::read_to_string(run.process.child.stderr.take().unwrap()).unwrap();
        assert!(said.contains("note: without effect for now: nothing follows the I/O weight"), "{said}");
    }
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn nobody_leaves_the_set_of_cpus() {
    let ground = Ground::new();
    stays_on_cpu_1(|options, script| ground.sh(USER, options, "host", script));
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
    ground.wait_for("a process is refused", || run.count("pids", "refused") > 0);
    run.holds_quota(50_000);
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
