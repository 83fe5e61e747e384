//! Processes in namespaces of their own, which other processes look at, enter and keep.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{Background, Ground, User};

/// Every kind and its letter.
pub const KINDS: [(&str, &str); 8] = [
    ("user", "-U"),
    ("mnt", "-m"),
    ("pid", "-p"),
    ("net", "-n"),
    ("ipc", "-i"),
    ("uts", "-u"),
    ("cgroup", "-C"),
    ("time", "-T"),
];

pub const ORDINARY: [User; 2] = [User::Ranges, User::OneId];

/// Options of unshare(1) for all kinds.
pub const ALL: [&str; 9] = ["-U", "-r", "-m", "-p", "-n", "-i", "-u", "-C", "-T"];

/// A process in new namespaces, which lives until it is dropped.
pub struct Target {
    pub pid: i32,
    pub namespaces: BTreeMap<&'static str, String>,
    pub process: Option<Background>,
}

impl Target {
    /// In new namespaces of these kinds.
    pub fn new(ground: &Ground, user: User, letters: &[&str]) -> Self {
        // Without a UTS namespace of its own it would be the machine's name.
        let own_name = letters.iter().any(|word| *word == "--uts" || (!word.starts_with("--") && word.contains('u')));
        let naming = if own_name { "hostname target; " } else { "" };
        Self::with(ground.command("unshare", user).args(letters), &format!("{naming}echo up; read end"))
    }

    /// unshare(1), which `command` is, runs this script.
    pub fn with(command: &mut Command, script: &str) -> Self {
        let (process, line) = Background::start(command.args(["--fork", "--kill-child", "sh", "-c", script]));
        assert_eq!(line, "up");
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.pid())).unwrap();
        let pid = children.trim().parse().unwrap();
        let link = |kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string();
        Self { pid, namespaces: KINDS.map(|(kind, _)| (kind, link(kind))).into(), process: Some(process) }
    }

    pub fn pid(&self) -> String {
        self.pid.to_string()
    }

    pub fn namespace(&self, kind: &str) -> &str {
        &self.namespaces[kind]
    }

    pub fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.pid)
    }

    /// No process is in its namespaces any more.
    pub fn end(&mut self, ground: &Ground) {
        self.process = None;
        let link = self.path("uts");
        ground.wait_for("the target has ended", || fs::read_link(Path::new(&link)).is_err());
    }
}

/// A script that shows the namespace of this kind.
pub fn show(kind: &str) -> String {
    format!("readlink /proc/self/ns/{kind}")
}

/// A program as this user, in the environment that izba has.
pub fn peer(ground: &Ground, user: User, program: &str) -> Command {
    let mut command = ground.command(program, user);
    let izba = ground.izba(user);
    command.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command
}

/// A name that nobody else has.
pub fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("izba-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
