//! systemd's driver as root, on a system that systemd runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod scope;

use std::path::Path;
use std::process::{Command, Stdio};

use izba_sandbox::cgroup::systemd::{Scope, Slice, SystemdError, device_properties, is_systemd_running};
use izba_sandbox::cgroup::{Bound, DeviceAccess, DeviceKind, DeviceRule, Limits, Throttle};
use scope::*;

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_waiting_process_is_put_into_a_scope_that_is_limited_and_delegated() {
    assert!(is_systemd_running() && is_root());
    a_waiting_process_is_put_into_its_scope("start");
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn an_update_holds_and_systemd_remembers_it() {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("update"));
    let group = start(&mut systemd, &unit, &[waiting.pid()], &asked(&limits())).unwrap();
    let mut less = Limits { pids: Some(Bound::Max), ..Limits::default() };
    less.memory.limit = Some(Bound::At(32 << 20));
    less.cpu.quota = Some(Bound::Max);
    systemd.set_properties(&unit, &asked(&less)).unwrap();
    let files = || ["pids.max", "memory.max", "cpu.max", "cpu.weight"].map(|file| read(&group, file));
    let updated = ["max", "33554432", "max 100000", "20"];
    assert_eq!(files(), updated);
    run("systemctl", &["daemon-reload"]);
    assert_eq!(files(), updated);
    systemd.stop(&unit).unwrap();
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn systemd_reads_a_list_of_cpus_from_its_lowest_byte() {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("cpus"));
    let mut limits = Limits::default();
    limits.cpu.cpus = Some("0,9,17-18".parse().unwrap());
    start(&mut systemd, &unit, &[waiting.pid()], &asked(&limits)).unwrap();
    assert_eq!(run("systemctl", &["show", "-PAllowedCPUs", &unit]), "0 9 17-18");
    systemd.stop(&unit).unwrap();
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn systemd_throttles_a_block_device_that_has_no_node() {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("io"));
    assert!(!Path::new("/dev/block/1:0").exists());
    let throttle = |rate| Throttle { device: (1, 0), rate };
    let mut limits = Limits::default();
    limits.io.read_bps = vec![throttle(Bound::At(1 << 20))];
    limits.io.write_iops = vec![throttle(Bound::At(100))];
    let group = start(&mut systemd, &unit, &[waiting.pid()], &asked(&limits)).unwrap();
    assert_eq!(read(&group, "io.max"), "1:0 rbps=1048576 wbps=max riops=max wiops=100");
    limits.io.write_iops = vec![throttle(Bound::Max)];
    systemd.set_properties(&unit, &asked(&limits)).unwrap();
    assert_eq!(read(&group, "io.max"), "1:0 rbps=1048576 wbps=max riops=max wiops=max");
    systemd.stop(&unit).unwrap();
}

fn rule(allow: bool, (major, minor): (Option<u32>, Option<u32>)) -> DeviceRule {
    let access = DeviceAccess { read: true, write: true, mknod: true };
    DeviceRule { allow, kind: DeviceKind::Char, major, minor, access }
}

/// Which of /dev/null (1:3), /dev/zero (1:5) and /dev/ptmx (5:2) can be opened in a scope with these rules.
fn opened(test: &str, rules: &[DeviceRule]) -> String {
    let script = "read line; for device in null zero ptmx; do (: < /dev/$device) && echo $device; done";
    let mut waiting = Command::new("sh");
    let waiting = waiting.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let waiting = waiting.spawn().unwrap();
    let drivers = std::fs::read_to_string("/proc/devices").unwrap();
    start(&mut connect(), &unit(test), &[waiting.id()], &device_properties(rules, &drivers)).unwrap();
    // The end of its input is what it waits for.
    let output = waiting.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().replace('\n', " ")
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_scope_may_use_the_devices_that_the_rules_allow() {
    let denied = rule(false, (None, None));
    assert_eq!(opened("one", &[denied, rule(true, (Some(1), Some(3)))]), "null");
    assert_eq!(opened("driver", &[denied, rule(true, (Some(1), None))]), "null zero");
    assert_eq!(opened("no-node", &[denied, rule(true, (Some(5), Some(2))), rule(true, (Some(200), Some(7)))]), "ptmx");
    // A hole in what is allowed is for the caller's own program: systemd is not to deny more than was asked for.
    assert_eq!(
        opened("hole", &[denied, rule(true, (Some(1), None)), rule(false, (Some(1), Some(3)))]),
        "null zero ptmx"
    );
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn scopes_end_with_their_processes_and_their_names_are_free_again() {
    let (mut systemd, unit) = (connect(), unit("again"));
    for _ in 0..2 {
        let waiting = Waiting::new();
        let group = start(&mut systemd, &unit, &[waiting.pid()], &[]).unwrap();
        drop(waiting);
        is_gone(&group);
        // The unit goes a little later than its group.
        systemd.stop(&unit).unwrap();
    }
    assert_eq!(systemd.control_group(&unit), Err(SystemdError::NoSuchUnit { unit }));
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn stop_ends_what_runs() {
    let (mut systemd, mut waiting, unit) = (connect(), Waiting::new(), unit("stop"));
    let group = start(&mut systemd, &unit, &[waiting.pid()], &[]).unwrap();
    systemd.stop(&unit).unwrap();
    assert!(!dir(&group).exists());
    assert!(waiting.0.try_wait().unwrap().is_some());
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_name_that_is_taken_or_is_none_is_refused() {
    let (mut systemd, first, second, unit) = (connect(), Waiting::new(), Waiting::new(), unit("taken"));
    let group = start(&mut systemd, &unit, &[first.pid()], &[]).unwrap();
    let before = second.group();
    assert_eq!(start(&mut systemd, &unit, &[second.pid()], &[]), Err(SystemdError::UnitExists { unit: unit.clone() }));
    assert_eq!((first.group(), second.group()), (group, before));
    for unit in ["izba", "a/b.scope", "it's.scope", "", ".scope", "a.service"] {
        assert_eq!(
            start(&mut systemd, unit, &[second.pid()], &[]),
            Err(SystemdError::BadName { unit: unit.to_owned() })
        );
    }
    systemd.stop(&unit).unwrap();
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn slices_are_made_where_their_names_say() {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("slice"));
    let slice: Slice = "izbatest-inner.slice".parse().unwrap();
    let scope = Scope { unit: &unit, slice: Some(&slice), description: "", pids: &[waiting.pid()], properties: &[] };
    let group = systemd.start_scope(&scope).unwrap();
    assert_eq!(group, Path::new("/").join(slice.path()).join(&unit));
    assert_eq!(group, Path::new("/izbatest.slice/izbatest-inner.slice").join(&unit));
    systemd.stop(&unit).unwrap();
    run("systemctl", &["stop", "izbatest.slice"]);
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn an_error_says_which_process_or_unit_or_value_is_wrong() {
    let (mut systemd, unit) = (connect(), unit("wrong"));
    let mut ended = Waiting::new();
    ended.0.kill().unwrap();
    ended.0.wait().unwrap();
    let pid = ended.pid();
    let error = start(&mut systemd, &unit, &[pid], &[]).unwrap_err();
    assert!(error.to_string().contains("systemd"), "{error}");
    assert!(start(&mut systemd, &unit, &[], &[]).is_err());
    let none = Err(SystemdError::NoSuchUnit { unit: unit.clone() });
    assert_eq!(systemd.set_properties(&unit, &asked(&limits())), none);
    assert_eq!(systemd.attach(&unit, "", &[pid]), none);
    systemd.stop(&unit).unwrap();
    let limits = Limits { unified: vec![("cpu.weight".to_owned(), "20000".to_owned())], ..Limits::default() };
    let waiting = Waiting::new();
    let error = start(&mut systemd, &unit, &[waiting.pid()], &asked(&limits)).unwrap_err();
    assert!(error.to_string().contains("CPUWeight"), "{error}");
}
