//! A hundred starts at once are normal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{Ground, User, run};

/// What is counted before and after. Of the machine's own things only those that a start makes.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    mounts: usize,
    links: usize,
    entries: usize,
    making: usize,
}

fn members(path: &Path) -> usize {
    fs::read_dir(path).into_iter().flatten().count()
}

/// Groups that are named after izbas: others may have theirs at the same time.
fn cgroups(top: &Path, depth: u32, names: &BTreeSet<String>, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(top)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        if names.contains(entry.file_name().to_string_lossy().as_ref()) {
            found.insert(entry.path());
        }
        if depth > 0 {
            cgroups(&entry.path(), depth - 1, names, found);
        }
    }
}

fn count(ground: &Ground, user: User) -> Count {
    let cache = ground.path(&format!("cache-{}", user.name()));
    let ours = ground.path("");
    let ours = ours.to_str().unwrap().trim_end_matches('/');
    Count {
        mounts: fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(ours)).count(),
        links: members(Path::new("/sys/class/net")),
        entries: members(&cache.join("v1/trees")),
        making: members(&cache.join("v1/making")) + members(&cache.join("scratch")),
    }
}

fn a_hundred(user: User, options: &[&str]) {
    let ground = Ground::new();
    let root = ground.busybox_root("root", user);
    let first = run(ground.izba(user).arg("run").args(options).arg(&root).args(["sh", "-c", "exit 0"]));
    assert_eq!(first.status, 0, "{first:?}");
    let before = count(&ground, user);
    let start = |number: u32| {
        let mut command = ground.izba(user);
        command.args(["run", "--keep-env"]).args(options).arg(&root).args([
            "sh",
            "-c",
            &format!("echo {number} > /tmp/{number}; exit {}", number % 100),
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..100).map(start).collect();
    let names = children.iter().map(|izba| format!("izba-{}", izba.id())).collect();
    for (number, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), i32::try_from(number % 100).ok(), "{number}: {errors}");
    }
    ground.wait_for("no process is left", || ground.processes().is_empty());
    assert_eq!(count(&ground, user), before);
    let mut groups = BTreeSet::new();
    cgroups(Path::new("/sys/fs/cgroup"), 4, &names, &mut groups);
    assert!(groups.is_empty(), "{groups:?}");
    let kept = members(&root.join("tmp"));
    assert_eq!(kept, if options.is_empty() { 100 } else { 0 }, "each has written once, where writes stay");
}

#[test]
fn a_hundred_as_root() {
    a_hundred(User::Root, &[]);
}

#[test]
fn a_hundred_as_root_whose_writes_go() {
    a_hundred(User::Root, &["--ephemeral=disk"]);
}

#[test]
fn a_hundred_as_an_ordinary_user() {
    a_hundred(User::Ranges, &[]);
}

#[test]
fn a_hundred_with_one_id() {
    a_hundred(User::OneId, &["--ephemeral"]);
}
