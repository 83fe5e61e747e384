//! What the tests of systemd's driver have in common: a waiting process, its scope, and the files of its group.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use izba_sandbox::cgroup::systemd::{Address, PATIENCE, Property, Scope, Systemd, SystemdError, properties};
use izba_sandbox::cgroup::{Bound, CpuWeight, IoWeight, Limits, Setting, Version};

pub fn is_root() -> bool {
    izba_sys::credential::geteuid().is_root()
}

pub fn connect() -> Systemd {
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
pub struct Waiting(pub Child);

impl Waiting {
    pub fn new() -> Self {
        Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn group(&self) -> PathBuf {
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

pub fn unit(test: &str) -> String {
    format!("izba-test-{test}-{}.scope", std::process::id())
}

pub fn dir(group: &Path) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(group.strip_prefix("/").unwrap())
}

pub fn read(group: &Path, file: &str) -> String {
    let path = dir(group).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

pub fn start(
    systemd: &mut Systemd,
    unit: &str,
    pids: &[u32],
    properties: &[Property],
) -> Result<PathBuf, SystemdError> {
    systemd.start_scope(&Scope { unit, slice: None, description: "a test of izba", pids, properties })
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Where a unit's group is below the caller's systemd's own.
pub fn group_of(unit: &str, slice: &str) -> PathBuf {
    let uid = izba_sys::credential::geteuid().as_raw();
    let own = if is_root() { "/".to_owned() } else { format!("/user.slice/user-{uid}.slice/user@{uid}.service") };
    Path::new(&own).join(slice).join(unit)
}

pub fn settings(limits: &Limits) -> Vec<Setting> {
    limits.settings(&|_| Some(Version::V2)).unwrap().strict().unwrap()
}

/// What systemd is asked for.
pub fn asked(limits: &Limits) -> Vec<Property> {
    properties(&settings(limits))
}

pub fn limits() -> Limits {
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

pub fn the_files_say_what_was_asked_for(group: &Path) {
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

pub fn a_waiting_process_is_put_into_its_scope(test: &str) {
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit(test));
    let before = waiting.group();
    let group = start(&mut systemd, &unit, &[waiting.pid()], &asked(&limits())).unwrap();
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
pub fn is_gone(group: &Path) {
    for _ in 0..1000 {
        if !dir(group).exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{} is still there", group.display());
}
