//! `--join`: entering namespaces that exist.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Background, Ground, MARK, User, run};
use target::{NAMES, child};

/// A process in new namespaces of all kinds, which lives until it is dropped.
struct Target {
    pid: i32,
    _process: Background,
}

impl Target {
    fn start(ground: &Ground, user: User) -> Self {
        let mut unshare = ground.command("unshare", user);
        unshare.args(["-U", "-r", "-m", "-p", "-n", "-i", "-u", "-C", "-T", "--fork", "--kill-child"]);
        Self::from(unshare.args(["sh", "-c", "hostname joined; echo up; read end"]))
    }

    /// As root, without a user namespace of its own.
    fn of_root(ground: &Ground) -> Self {
        let mut unshare = ground.command("unshare", User::Root);
        unshare.args(["-m", "-p", "-n", "-i", "-u", "-C", "-T", "--fork", "--kill-child"]);
        Self::from(unshare.args(["sh", "-c", "hostname joined; echo up; read end"]))
    }

    fn from(command: &mut Command) -> Self {
        let (process, line) = Background::start(command);
        assert_eq!(line, "up");
        Self { pid: child(process.pid()), _process: process }
    }

    fn namespace(&self, kind: &str) -> PathBuf {
        fs::read_link(format!("/proc/{}/ns/{kind}", self.pid)).unwrap()
    }
}

/// A joined mount namespace has its own root already.
fn root_for(kind: &str) -> &'static str {
    if kind == "mnt" { "/" } else { "host" }
}

fn show(kind: &str) -> String {
    format!("readlink /proc/self/ns/{kind}")
}

#[test]
fn root_joins_each_kind_by_process_id() {
    let ground = Ground::new();
    let target = Target::of_root(&ground);
    for kind in NAMES.into_iter().filter(|&kind| kind != "user") {
        let ended = ground.sh(User::Root, &["--join", &format!("{kind}={}", target.pid)], root_for(kind), &show(kind));
        assert_eq!(Path::new(ended.text()), target.namespace(kind), "{kind}");
    }
}

#[test]
fn root_joins_each_kind_by_path() {
    let ground = Ground::new();
    let target = Target::of_root(&ground);
    for kind in NAMES.into_iter().filter(|&kind| kind != "user") {
        let option = format!("{kind}=/proc/{}/ns/{kind}", target.pid);
        let ended = ground.sh(User::Root, &["--join", &option], root_for(kind), &show(kind));
        assert_eq!(Path::new(ended.text()), target.namespace(kind), "{kind}");
    }
}

#[test]
fn the_user_namespace_is_joined_alone() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::start(&ground, user);
        let ended = ground.sh(user, &["--join", &format!("user={}", target.pid)], "host", &show("user"));
        assert_eq!(Path::new(ended.text()), target.namespace("user"), "{user:?}");
    }
}

#[test]
fn every_kind_is_joined_together_with_its_user_namespace() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::start(&ground, user);
        for kind in NAMES.into_iter().filter(|&kind| kind != "user") {
            let options = ["--join", &format!("user={}", target.pid), "--join", &format!("{kind}={}", target.pid)];
            let ended = ground.sh(user, &options, root_for(kind), &show(kind));
            assert_eq!(Path::new(ended.text()), target.namespace(kind), "{user:?} {kind}");
        }
    }
}

#[test]
fn all_kinds_are_joined_at_once() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::start(&ground, user);
        let joins: Vec<String> = NAMES.iter().map(|kind| format!("--join={kind}={}", target.pid)).collect();
        let joins: Vec<&str> = joins.iter().map(String::as_str).collect();
        let script = NAMES.map(show).join(";");
        let ended = ground.sh(user, &joins, "/", &script);
        let expected: Vec<PathBuf> = NAMES.iter().map(|kind| target.namespace(kind)).collect();
        assert_eq!(ended.text().lines().map(PathBuf::from).collect::<Vec<_>>(), expected, "{user:?}");
    }
}

#[test]
fn a_joined_uts_namespace_keeps_its_name() {
    let ground = Ground::new();
    let target = Target::of_root(&ground);
    let ended = ground.sh(User::Root, &["--join", &format!("uts={}", target.pid)], "host", "hostname");
    assert_eq!(ended.text(), "joined");
}

#[test]
fn the_processes_of_a_joined_pid_namespace_are_seen() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::start(&ground, user);
        let options = ["--join", &format!("user={}", target.pid), "--join", &format!("pid={}", target.pid)];
        assert_eq!(ground.sh(user, &options, "host", "cat /proc/1/comm").text(), "sh", "{user:?}");
    }
}

#[test]
fn a_named_network_namespace_of_ip_netns_is_joined() {
    let ground = Ground::new();
    let name = format!("izba-test-{}", std::process::id());
    let path = format!("/run/netns/{name}");
    assert_eq!(run(Command::new("ip").args(["netns", "add", &name])).status, 0);
    let ended = ground.sh(User::Root, &["--join", &format!("net={path}")], "host", &show("net"));
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
    assert_eq!(run(Command::new("ip").args(["netns", "delete", &name])).status, 0);
    assert_eq!(ended.text(), format!("net:[{inode}]"));
}

#[test]
fn a_namespace_that_is_kept_by_a_bind_mount_is_joined() {
    let ground = Ground::new();
    let kept = ground.path("uts");
    fs::write(&kept, "").unwrap();
    assert_eq!(
        run(Command::new("unshare").arg(format!("--uts={}", kept.display())).args(["hostname", "kept"])).status,
        0
    );
    let ended = ground.sh(User::Root, &["--join", "uts=./uts"], "host", "hostname");
    // Another test's izba may have it open for a moment: EBUSY.
    assert_eq!(run(Command::new("umount").arg("--lazy").arg(&kept)).status, 0);
    assert_eq!(ended.text(), "kept");
}

#[test]
fn an_ordinary_user_is_told_to_join_the_owner_too() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let target = Target::start(&ground, user);
        for kind in ["net", "uts", "ipc", "cgroup", "time", "pid"] {
            let refused = ground.sh(user, &["--join", &format!("{kind}={}", target.pid)], "host", "true");
            assert!(refused.refusal().contains("--join user=PID"), "{user:?} {kind}: {refused:?}");
        }
    }
}

#[test]
fn a_process_of_root_is_closed_to_ordinary_users_with_the_cause() {
    let ground = Ground::new();
    let target = Target::of_root(&ground);
    let refused = ground.sh(User::OneId, &["--join", &format!("user={0}", target.pid)], "host", "true");
    let text = refused.refusal();
    assert!(text.contains("open the user namespace") && text.contains("ptrace"), "{refused:?}");
}

#[test]
fn what_cannot_be_joined_is_named_with_its_cause() {
    let ground = Ground::new();
    let own = format!("user={}", std::process::id());
    let cases = [
        ("net=/nonexistent", "/nonexistent"),
        ("net=2147483647", "process has ended"),
        ("net=/etc/passwd", "another kind, or for none"),
        ("net=/proc/self/ns/uts", "another kind, or for none"),
        (own.as_str(), "in that user namespace already"),
        ("net=0", "no process id"),
        ("net=", "names no namespace"),
        ("net", "names no namespace"),
    ];
    for (option, expected) in cases {
        let refused = ground.sh(User::Root, &["--join", option], "host", "true");
        assert!(refused.refusal().contains(expected), "{option}: {refused:?}");
    }
}

#[test]
fn joining_and_its_contradictions_are_refused() {
    let ground = Ground::new();
    let pid = std::process::id();
    let (net, user, time) = (format!("net={pid}"), format!("user={pid}"), format!("time={pid}"));
    let cases = [
        ["--join", &net, "--join", &net],
        ["--join", &net, "--share", "net"],
        ["--join", &user, "--uidmap", "0:1:1"],
        ["--join", &time, "--boottime", "1"],
        ["--share", "time", "--monotonic", "1"],
    ];
    for options in cases {
        ground.sh(User::Root, &options, "host", "true").refusal();
    }
}

#[test]
fn the_program_of_a_joined_pid_namespace_dies_with_izba() {
    let ground = Ground::new();
    let target = Target::of_root(&ground);
    let mut izba = ground.izba(User::Root);
    izba.arg("run").args(MARK).args([
        "--join",
        &format!("pid={}", target.pid),
        "host",
        "sh",
        "-c",
        "echo up; exec sleep 1000",
    ]);
    let (mut background, line) = Background::start(&mut izba);
    assert_eq!(line, "up");
    background.signal("KILL");
    assert_eq!(background.status(), 137);
    ground.wait_for("only the target is left", || {
        ground.processes().iter().all(|pid| [target.pid, target._process.pid()].contains(pid))
    });
}
