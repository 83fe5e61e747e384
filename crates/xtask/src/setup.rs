//! `cargo xtask setup`: what the tests and the benchmark need, on a Debian machine that has Rust and a C compiler.
//! Where everything is there already it changes nothing and needs no network.

use crate::{Outcome, command};
use std::collections::HashSet;
use std::fs;
use std::process::Command;

const PACKAGES: &[&str] = &[
    "attr",
    "bubblewrap",
    "busybox-static",
    "crun",
    "dbus",
    "dbus-user-session",
    "debootstrap",
    "dpkg-dev",
    "e2fsprogs",
    "gcc",
    "golang-github-opencontainers-runc-dev",
    "golang-go",
    "hostname",
    "iproute2",
    "libc6-dev",
    "libcap2-bin",
    "libpam-systemd",
    "passwd",
    "procps",
    "python3",
    "runc",
    "strace",
    "systemd",
    "tmux",
    "uidmap",
    "util-linux",
    "xz-utils",
    "zstd",
];

/// An ordinary user with subordinate ids and a home directory.
pub(crate) const USER_WITH_RANGES: &str = "izba-test";
/// An ordinary user with one id and no home directory.
pub(crate) const USER_WITHOUT: &str = "izba-plain";

/// How many subordinate ids the first user gets: what one container needs.
const RANGE: u64 = 65_536;

pub(crate) fn run() -> Outcome {
    let missing = missing();
    if !missing.is_empty() && !rustix::process::geteuid().is_root() {
        return Err(format!("run `cargo xtask setup` as root once; missing here: {}", missing.join(", ")));
    }
    install_packages(PACKAGES)?;
    install_components()?;
    if rustix::process::geteuid().is_root() { make_users() } else { Ok(()) }
}

fn missing() -> Vec<String> {
    let packages = missing_packages(PACKAGES).into_iter().map(|name| format!("package {name}"));
    let users = [USER_WITH_RANGES, USER_WITHOUT].into_iter().filter(|name| account(name).is_none());
    packages.chain(users.map(|name| format!("user {name}"))).collect()
}

fn missing_packages(wanted: &[&'static str]) -> Vec<&'static str> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status} ${Package}\n"]).args(wanted);
    let known = command::output(&mut query).unwrap_or_default();
    let installed: HashSet<&str> = known.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    wanted.iter().copied().filter(|name| !installed.contains(name)).collect()
}

/// Installs what isn't there yet. Removes nothing for it: where a package is at odds with the machine's own, apt-get says so.
pub(crate) fn install_packages(wanted: &[&'static str]) -> Outcome {
    let missing = missing_packages(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: installing {}", missing.join(" "));
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--yes"]);
        apt
    };
    command::run(apt().arg("update"))?;
    command::run(apt().args(["install", "--no-install-recommends", "--no-remove"]).args(missing))
}

fn install_components() -> Outcome {
    let tools = [("fmt", "rustfmt"), ("clippy", "clippy")];
    for (subcommand, component) in tools {
        if !command::succeeds(command::cargo().args([subcommand, "--version"])) {
            println!("setup: installing {component}");
            command::run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

fn make_users() -> Outcome {
    if account(USER_WITH_RANGES).is_none() {
        println!("setup: making the user {USER_WITH_RANGES}");
        command::run(Command::new("useradd").args(["--create-home", "--shell", "/bin/sh", USER_WITH_RANGES]))?;
    }
    if account(USER_WITHOUT).is_none() {
        println!("setup: making the user {USER_WITHOUT}");
        let mut useradd = Command::new("useradd");
        useradd.args(["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh"]);
        useradd.args(["--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0", USER_WITHOUT]);
        command::run(&mut useradd)?;
    }
    for (file, add, remove) in
        [("/etc/subuid", "--add-subuids", "--del-subuids"), ("/etc/subgid", "--add-subgids", "--del-subgids")]
    {
        settle_ranges(&fs::read_to_string(file).unwrap_or_default(), add, remove)?;
    }
    Ok(())
}

/// One user has a range, the other has none, however this machine's `useradd` is configured.
fn settle_ranges(table: &str, add: &str, remove: &str) -> Outcome {
    let ranges: Vec<(&str, u64, u64)> = table.lines().filter_map(range).collect();
    if !ranges.iter().any(|(name, ..)| *name == USER_WITH_RANGES) {
        let first = ranges.iter().map(|(_, start, count)| start + count).fold(100_000, u64::max);
        let range = format!("{first}-{}", first + RANGE - 1);
        command::run(Command::new("usermod").args([add, &range, USER_WITH_RANGES]))?;
    }
    for (_, start, count) in ranges.iter().filter(|(name, _, count)| *name == USER_WITHOUT && *count > 0) {
        let range = format!("{start}-{}", start + count - 1);
        command::run(Command::new("usermod").args([remove, &range, USER_WITHOUT]))?;
    }
    Ok(())
}

/// A line of /etc/subuid or /etc/subgid, see subuid(5).
fn range(line: &str) -> Option<(&str, u64, u64)> {
    let mut fields = line.split(':');
    Some((fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// What the tests and the benchmark need to know of a user.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

impl Account {
    pub(crate) fn root() -> Self {
        Self { name: "root".into(), uid: 0, gid: 0, home: "/root".into() }
    }
}

/// Looks a user up in /etc/passwd.
pub(crate) fn account(name: &str) -> Option<Account> {
    fs::read_to_string("/etc/passwd").ok()?.lines().filter_map(passwd_line).find(|account| account.name == name)
}

fn passwd_line(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, _] = fields.as_slice() else { return None };
    Some(Account { name: (*name).into(), uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: (*home).into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passwd_line_is_read() {
        let account = passwd_line("izba-test:x:1001:1002::/home/izba-test:/bin/sh").unwrap();
        assert_eq!((account.uid, account.gid, account.home.as_str()), (1001, 1002, "/home/izba-test"));
        assert!(passwd_line("broken:x:1001").is_none());
    }

    #[test]
    fn a_subordinate_range_is_read() {
        assert_eq!(range("izba-test:100000:65536"), Some(("izba-test", 100_000, 65_536)));
        assert_eq!(range("izba-test:100000"), None);
    }
}
