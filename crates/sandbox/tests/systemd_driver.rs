//! systemd's driver on a system that systemd runs: in the test machine, `systemd_` as root and `systemd_user_` as an ordinary user.
#![cfg(feature = "systemd")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use izba_sandbox::cgroup::systemd::{
    Address, PATIENCE, Property, Scope, Slice, Systemd, SystemdError, is_systemd_running, properties,
};
use izba_sandbox::cgroup::{Bound, CpuWeight, DeviceAccess, DeviceKind, DeviceRule, IoWeight, Limits, Throttle};

fn is_root() -> bool {
    izba_sys::credential::geteuid().is_root()
}

fn connect() -> Systemd {
    let variable = |name| std::env::var_os(name);
    let address = match is_root() {
        true => Address::system(variable("DBUS_SYSTEM_BUS_ADDRESS").as_deref()),
        false => {
            let uid = izba_sys::credential::geteuid().as_raw();
            let (session, dir) = (variable("DBUS_SESSION_BUS_ADDRESS"), variable("XDG_RUNTIME_DIR"));
            Address::user(session.as_deref(), dir.as_deref(), uid)
        }
    };
    Systemd::connect(&address.unwrap(), PATIENCE).unwrap()
}

/// A process that waits, and ends with the test.
struct Waiting(Child);

impl Waiting {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn group(&self) -> PathBuf {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.pid())).unwrap();
        text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().into()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It may have ended: then both are an error, and there is nothing to do.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn unit(test: &str) -> String {
    format!("izba-test-{test}-{}.scope", std::process::id())
}

fn dir(group: &Path) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(group.strip_prefix("/").unwrap())
}

fn read(group: &Path, file: &str) -> String {
    let path = dir(group).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn start(systemd: &mut Systemd, unit: &str, pids: &[u32], properties: &[Property]) -> Result<PathBuf, SystemdError> {
    systemd.start_scope(&Scope { unit, slice: None, description: "a test of izba", pids, properties })
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Where a unit's group is below the caller's systemd's own.
fn group_of(unit: &str, slice: &str) -> PathBuf {
    let uid = izba_sys::credential::geteuid().as_raw();
    let own = if is_root() { "/".to_owned() } else { format!("/user.slice/user-{uid}.slice/user@{uid}.service") };
    Path::new(&own).join(slice).join(unit)
}

fn limits() -> Limits {
    let mut limits = Limits { pids: Some(Bound::At(20)), ..Limits::default() };
    limits.cpu.weight = Some(CpuWeight::Shares(512));
    limits.cpu.quota = Some(Bound::At(7000));
    limits.cpu.period = Some(10_000);
    limits.cpu.cpus = Some("0".parse().unwrap());
    limits.cpu.mems = Some("0".parse().unwrap());
    limits.memory.limit = Some(Bound::At(64 << 20));
    limits.memory.reservation = Some(Bound::At(16 << 20));
    limits.io.weight = Some(IoWeight::Io(50));
    limits.unified =
        vec![("memory.high".to_owned(), "50331648".to_owned()), ("memory.oom.group".to_owned(), "1".to_owned())];
    limits
}

fn the_files_say_what_was_asked_for(group: &Path) {
    for (file, value) in [
        ("pids.max", "20"),
        ("cpu.weight", "20"),
        ("cpu.max", "7000 10000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("memory.max", "67108864"),
        ("memory.low", "16777216"),
        ("memory.high", "50331648"),
        ("io.weight", "default 50"),
    ] {
        assert_eq!(read(group, file), value, "{file}");
    }
}

fn a_waiting_process_is_put_into_its_scope(test: &str) {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit(test));
    let before = waiting.group();
    let group = start(&mut systemd, &unit, &[waiting.pid()], &properties(&limits(), "").unwrap()).unwrap();
    assert_eq!(group, group_of(&unit, if is_root() { "system.slice" } else { "user.slice" }));
    assert_ne!(before, group);
    assert_eq!(waiting.group(), group);
    the_files_say_what_was_asked_for(&group);
    // Delegated: the owner makes groups in it, with its controllers.
    let dir = dir(&group);
    std::fs::create_dir(dir.join("inner")).unwrap();
    systemd.attach(&unit, "/inner", &[waiting.pid()]).unwrap();
    assert_eq!(waiting.group(), group.join("inner"));
    std::fs::write(dir.join("cgroup.subtree_control"), "+memory +pids").unwrap();
    assert_eq!(read(&group, "inner/pids.max"), "max");
    drop(waiting);
    is_gone(&group);
}

/// systemd removes a scope without processes, and what was made in it.
fn is_gone(group: &Path) {
    for _ in 0..1000 {
        if !dir(group).exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{} is still there", group.display());
}

#[test]
fn systemd_puts_a_waiting_process_into_its_scope() {
    assert!(is_systemd_running() && is_root());
    a_waiting_process_is_put_into_its_scope("start");
}

#[test]
fn systemd_user_puts_a_process_from_outside_the_delegated_groups_into_its_scope() {
    assert!(is_systemd_running() && !is_root());
    let own = Waiting::new().group();
    assert!(!own.starts_with(group_of("", "")), "a login is not in one's own systemd's groups: {}", own.display());
    a_waiting_process_is_put_into_its_scope("start");
}

#[test]
fn systemd_user_is_told_to_ask_the_own_systemd_where_the_systems_refuses() {
    assert!(!is_root());
    let mut system = Systemd::connect(&Address::system(None).unwrap(), PATIENCE).unwrap();
    let waiting = Waiting::new();
    let error = start(&mut system, &unit("refused"), &[waiting.pid()], &[]).unwrap_err();
    assert!(matches!(error, SystemdError::Call { .. }), "{error}");
    assert!(error.remedy().contains("own systemd"), "{error}: {}", error.remedy());
}

#[test]
fn systemd_user_attaches_a_process_of_the_login_to_what_runs() {
    let (mut systemd, first, second, unit) = (connect(), Waiting::new(), Waiting::new(), unit("attach"));
    let group = start(&mut systemd, &unit, &[first.pid()], &[]).unwrap();
    systemd.attach(&unit, "", &[second.pid()]).unwrap();
    assert_eq!(second.group(), group);
    // Somebody else's process is not for the user to move.
    let error = systemd.attach(&unit, "", &[1]).unwrap_err();
    assert!(matches!(error, SystemdError::Call { .. }), "{error}");
    systemd.stop(&unit).unwrap();
}

#[test]
fn systemd_update_changes_what_holds_and_systemd_remembers_it() {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("update"));
    let group = start(&mut systemd, &unit, &[waiting.pid()], &properties(&limits(), "").unwrap()).unwrap();
    let mut less = Limits { pids: Some(Bound::Max), ..Limits::default() };
    less.memory.limit = Some(Bound::At(32 << 20));
    less.cpu.quota = Some(Bound::Max);
    systemd.set_properties(&unit, &properties(&less, "").unwrap()).unwrap();
    let files = || ["pids.max", "memory.max", "cpu.max", "cpu.weight"].map(|file| read(&group, file));
    let updated = ["max", "33554432", "max 100000", "20"];
    assert_eq!(files(), updated);
    run("systemctl", &["daemon-reload"]);
    assert_eq!(files(), updated);
    systemd.stop(&unit).unwrap();
}

#[test]
fn systemd_reads_a_list_of_cpus_from_its_lowest_byte() {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("cpus"));
    let mut limits = Limits::default();
    limits.cpu.cpus = Some("0,9,17-18".parse().unwrap());
    start(&mut systemd, &unit, &[waiting.pid()], &properties(&limits, "").unwrap()).unwrap();
    assert_eq!(run("systemctl", &["show", "-PAllowedCPUs", &unit]), "0 9 17-18");
    systemd.stop(&unit).unwrap();
}

#[test]
fn systemd_throttles_a_block_device_that_has_no_node() {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("io"));
    assert!(!Path::new("/dev/block/1:0").exists());
    let throttle = |rate| Throttle { device: (1, 0), rate };
    let mut limits = Limits::default();
    limits.io.read_bps = vec![throttle(Bound::At(1 << 20))];
    limits.io.write_iops = vec![throttle(Bound::At(100))];
    let group = start(&mut systemd, &unit, &[waiting.pid()], &properties(&limits, "").unwrap()).unwrap();
    assert_eq!(read(&group, "io.max"), "1:0 rbps=1048576 wbps=max riops=max wiops=100");
    limits.io.write_iops = vec![throttle(Bound::Max)];
    systemd.set_properties(&unit, &properties(&limits, "").unwrap()).unwrap();
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
    let limits = Limits { devices: rules.to_vec(), ..Limits::default() };
    let drivers = std::fs::read_to_string("/proc/devices").unwrap();
    start(&mut connect(), &unit(test), &[waiting.id()], &properties(&limits, &drivers).unwrap()).unwrap();
    // The end of its input is what it waits for.
    let output = waiting.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().replace('\n', " ")
}

#[test]
fn systemd_lets_a_scope_use_the_devices_that_the_rules_allow() {
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
fn systemd_scopes_end_with_their_processes_and_their_names_are_free_again() {
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
fn systemd_stop_ends_what_runs() {
    let (mut systemd, mut waiting, unit) = (connect(), Waiting::new(), unit("stop"));
    let group = start(&mut systemd, &unit, &[waiting.pid()], &[]).unwrap();
    systemd.stop(&unit).unwrap();
    assert!(!dir(&group).exists());
    assert!(waiting.0.try_wait().unwrap().is_some());
}

#[test]
fn systemd_refuses_a_name_that_is_taken_or_is_none() {
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
fn systemd_slices_are_made_where_their_names_say() {
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
fn systemd_says_which_process_or_unit_or_value_is_wrong() {
    let (mut systemd, unit) = (connect(), unit("wrong"));
    let mut ended = Waiting::new();
    ended.0.kill().unwrap();
    ended.0.wait().unwrap();
    let pid = ended.pid();
    let error = start(&mut systemd, &unit, &[pid], &[]).unwrap_err();
    assert!(error.to_string().contains("systemd"), "{error}");
    assert!(start(&mut systemd, &unit, &[], &[]).is_err());
    let none = Err(SystemdError::NoSuchUnit { unit: unit.clone() });
    assert_eq!(systemd.set_properties(&unit, &properties(&limits(), "").unwrap()), none);
    assert_eq!(systemd.attach(&unit, "", &[pid]), none);
    systemd.stop(&unit).unwrap();
    let mut limits = Limits::default();
    limits.cpu.weight = Some(CpuWeight::Weight(20_000));
    let waiting = Waiting::new();
    let error = start(&mut systemd, &unit, &[waiting.pid()], &properties(&limits, "").unwrap()).unwrap_err();
    assert!(error.to_string().contains("CPUWeight"), "{error}");
}
