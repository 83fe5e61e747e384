//! systemd's driver on a system that systemd runs: in the test machine, `systemd_` as root and `systemd_user_` as an ordinary user.
//! The test of a bus that hangs or is dead runs everywhere.
#![cfg(feature = "systemd")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use izba_sandbox::cgroup::systemd::{
    Address, PATIENCE, Property, Scope, Slice, Systemd, SystemdError, is_systemd_running, properties,
};
use izba_sandbox::cgroup::{Bound, CpuWeight, DeviceAccess, DeviceKind, DeviceRule, IoWeight, Limits};

const MOUNT: &str = "/sys/fs/cgroup";

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
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn unit(test: &str) -> String {
    format!("izba-test-{test}-{}.scope", std::process::id())
}

fn read(group: &Path, file: &str) -> String {
    let path = Path::new(MOUNT).join(group.strip_prefix("/").unwrap()).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn start(systemd: &mut Systemd, unit: &str, pids: &[u32], properties: &[Property]) -> Result<PathBuf, SystemdError> {
    systemd.start_scope(&Scope { unit, slice: None, description: "a test of izba", pids, properties })
}

#[test]
fn systemd_puts_a_waiting_process_into_its_scope() {
    assert!(is_systemd_running());
    let (mut systemd, waiting, unit) = (connect(), Waiting::new(), unit("start"));
    let group = start(&mut systemd, &unit, &[waiting.pid()], &[]).unwrap();
    assert_eq!(group, Path::new("/system.slice").join(&unit));
    assert_eq!(waiting.group(), group);
    systemd.stop(&unit).unwrap();
}
