//! A tar archive as a root file system: unpacked once, its writes thrown away; and `izba cache`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Ended, Ground, User, run};

/// A small root file system with files of several owners, packed; `flag` is tar's for the compression.
fn archive(ground: &Ground, name: &str, flag: &str) -> PathBuf {
    let root = ground.path("packed");
    if !root.exists() {
        ground.busybox_root("packed", User::Root);
        fs::write(root.join("etc/theirs"), "of ann\n").unwrap();
        std::os::unix::fs::chown(root.join("etc/theirs"), Some(1000), Some(60)).unwrap();
        assert_eq!(run(Command::new("mknod").arg(root.join("dev/console")).args(["c", "5", "1"])).status, 0);
    }
    let path = ground.path(name);
    assert_eq!(run(Command::new("tar").arg("-C").arg(&root).arg(flag).arg("-cf").arg(&path).arg(".")).status, 0);
    path
}

fn entries(ground: &Ground, user: User) -> Vec<Value> {
    let listed = run(ground.izba(user).args(["cache", "list", "--format", "json"]));
    serde_json::from_str::<Value>(listed.text()).unwrap().as_array().unwrap().clone()
}

#[test]
fn archives_of_every_compression_are_run() {
    let ground = Ground::new();
    for (name, flag) in
        [("a.tar", "--sort=name"), ("b.tar.gz", "-z"), ("c.tar.xz", "-J"), ("d.tar.zst", "--zstd"), ("e", "-z")]
    {
        let archive = archive(&ground, name, flag);
        for user in User::ALL {
            let ended = ground.sh(user, &[], &archive, "cat /etc/theirs; hostname; id -u");
            assert_eq!(ended.text(), "of ann\nizba\n0", "{user:?} {name}");
        }
    }
}

#[test]
fn owners_are_kept_where_the_caller_has_ids_for_them() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar", "--sort=name");
    let owner = |user| ground.sh(user, &[], &archive, "stat -c %u:%g /etc/theirs /bin/busybox").text().to_owned();
    assert_eq!(owner(User::Root), "1000:60\n0:0");
    assert_eq!(owner(User::Ranges), "1000:60\n0:0");
    assert_eq!(owner(User::OneId), "0:0\n0:0");
}

#[test]
fn what_one_id_cannot_have_is_said_in_one_line_once() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar", "--sort=name");
    let notes = |ended: &Ended| ended.stderr.lines().filter(|line| line.starts_with("note: ")).count();
    let first = ground.sh(User::OneId, &[], &archive, "true");
    assert_eq!((first.status, notes(&first)), (0, 1), "{first:?}");
    assert!(first.stderr.contains("one id only") && first.stderr.contains("devices are left out"), "{first:?}");
    let second = ground.sh(User::OneId, &[], &archive, "true");
    assert_eq!((second.status, second.stderr.as_str()), (0, ""));
    let root = ground.sh(User::Root, &[], &archive, "true");
    assert_eq!((root.status, root.stderr.as_str()), (0, ""), "nothing is left out for root");
}

#[test]
fn writes_are_thrown_away() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar", "--sort=name");
    for user in User::ALL {
        for options in [&[][..], &["--ephemeral=disk"]] {
            let script = "[ ! -e /made ] && echo x > /made && rm /etc/theirs && echo x >> /etc/passwd && echo done";
            assert_eq!(ground.sh(user, options, &archive, script).text(), "done", "{user:?} {options:?}");
            assert_eq!(ground.sh(user, options, &archive, script).text(), "done", "{user:?} {options:?}: again");
        }
        let ended = ground.sh(user, &["--read-only"], &archive, "touch /made 2>/dev/null || echo refused");
        assert_eq!(ended.text(), "refused", "{user:?}");
    }
}

#[test]
fn an_archive_is_unpacked_once_and_listed() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar.gz", "-z");
    for user in User::ALL {
        assert!(entries(&ground, user).is_empty(), "{user:?}");
        ground.sh(user, &[], &archive, "true").text();
        let before = entries(&ground, user);
        assert!(
            before.len() == 1 && before[0]["archive"].as_str().unwrap().ends_with("root.tar.gz"),
            "{user:?}: {before:?}"
        );
        ground.sh(user, &[], &archive, "true").text();
        assert_eq!(entries(&ground, user), before, "{user:?}: not unpacked again");
        let table = run(ground.izba(user).args(["cache", "list"]));
        assert!(table.text().starts_with("DIGEST") && table.stdout.contains("root.tar.gz"), "{table:?}");
    }
}

#[test]
fn an_unchanged_archive_is_not_read_again() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar", "--sort=name");
    // newuidmap(1) is set-user-ID, which does nothing in a process that an ordinary user traces.
    for user in [User::Root, User::OneId] {
        ground.sh(user, &[], &archive, "true").text();
        let mut strace = ground.command("strace", user);
        strace.env("IZBA_CACHE", ground.path(&format!("cache-{}", user.name()))).args([
            "-f",
            "-e",
            "trace=open,openat,openat2",
            "-o",
        ]);
        let trace = ground.directory(&format!("trace-{user:?}"), user).join("calls");
        let ended = run(strace.arg(&trace).arg(ground.path("izba")).arg("run").arg(&archive).arg("true"));
        let calls = fs::read_to_string(&trace).unwrap();
        assert_eq!(ended.status, 0, "{user:?}: {ended:?}");
        let opened: Vec<&str> =
            calls.lines().filter(|line| line.contains("root.tar\"") && !line.contains("O_PATH")).collect();
        assert!(opened.is_empty(), "{user:?}: {opened:?}");
    }
}

#[test]
fn a_changed_archive_is_noticed() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar", "--sort=name");
    for user in User::ALL {
        let text = format!("of {user:?}\n");
        assert_ne!(ground.sh(user, &[], &archive, "cat /etc/theirs").text(), text.trim());
        fs::write(ground.path("packed/etc/theirs"), &text).unwrap();
        self::archive(&ground, "root.tar", "--sort=name");
        assert_eq!(ground.sh(user, &[], &archive, "cat /etc/theirs").text(), text.trim(), "{user:?}");
        assert_eq!(entries(&ground, user).len(), 2, "{user:?}");
    }
}

#[test]
fn starts_at_once_share_the_work() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar.gz", "-z");
    for user in User::ALL {
        let start = |_| {
            let mut izba = ground.izba(user);
            izba.arg("run").arg(&archive).args(["cat", "/etc/theirs"]).stdout(Stdio::piped()).stderr(Stdio::piped());
            izba.spawn().unwrap()
        };
        let started: Vec<_> = (0..8).map(start).collect();
        let ended: Vec<Ended> =
            started.into_iter().map(|child| Ended::from(child.wait_with_output().unwrap())).collect();
        assert!(ended.iter().all(|ended| ended.text() == "of ann"), "{user:?}: {ended:?}");
        assert_eq!(entries(&ground, user).len(), 1, "{user:?}");
        let notes = ended.iter().filter(|ended| ended.stderr.contains("one id only")).count();
        assert_eq!(notes, usize::from(user == User::OneId), "{user:?}: only who unpacked says so");
    }
}

#[test]
fn the_cache_is_pruned_with_files_of_subordinate_ids() {
    let ground = Ground::new();
    let (one, two) = (archive(&ground, "one.tar", "--sort=name"), archive(&ground, "two.tar.gz", "-z"));
    for user in User::ALL {
        for archive in [&one, &two] {
            ground.sh(user, &[], archive, "true").text();
        }
        let digest = entries(&ground, user)[0]["digest"].as_str().unwrap().to_owned();
        let pruned = run(ground.izba(user).args(["cache", "prune", &digest[..20]]));
        assert_eq!((pruned.status, entries(&ground, user).len()), (0, 1), "{user:?}: {pruned:?}");
        let pruned = run(ground.izba(user).args(["cache", "prune", "--all"]));
        assert_eq!((pruned.status, entries(&ground, user).len()), (0, 0), "{user:?}: {pruned:?}");
        assert_eq!(files(&ground.path(&format!("cache-{}", user.name()))), 0, "{user:?}");
    }
}

fn files(dir: &Path) -> usize {
    let found = run(Command::new("find").arg(dir).args(["-name", "busybox", "-o", "-name", "theirs"]));
    found.text().lines().count()
}

#[test]
fn a_tree_in_use_is_not_pruned() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar", "--sort=name");
    for user in User::ALL {
        let mut izba = ground.izba(user);
        izba.arg("run").args(support::MARK).arg(&archive).args(["sh", "-c", "echo up; read line; cat /etc/theirs"]);
        let (mut running, line) = support::Background::start(&mut izba);
        assert_eq!(line, "up");
        run(ground.izba(user).args(["cache", "prune", "--all"]));
        assert_eq!(entries(&ground, user).len(), 1, "{user:?}");
        drop(running.child.stdin.take());
        assert_eq!((running.line().as_str(), running.status()), ("of ann", 0), "{user:?}");
    }
}

#[test]
fn what_is_no_archive_is_one_error_and_leaves_nothing() {
    let ground = Ground::new();
    let whole = archive(&ground, "root.tar.gz", "-z");
    let (text, cut) = (ground.path("text"), ground.path("cut.tar.gz"));
    fs::write(&text, "no archive ".repeat(1000)).unwrap();
    fs::write(&cut, &fs::read(&whole).unwrap()[..100_000]).unwrap();
    fs::write(ground.path("empty"), "").unwrap();
    for user in User::ALL {
        for bad in [&text, &cut, &ground.path("empty")] {
            let refused = run(ground.izba(user).arg("run").arg(bad).arg("true"));
            let name = bad.file_name().unwrap().to_str().unwrap();
            assert!(refused.refusal().contains(name), "{user:?}: {refused:?}");
        }
        assert!(entries(&ground, user).is_empty(), "{user:?}");
        assert_eq!(files(&ground.path(&format!("cache-{}", user.name()))), 0, "{user:?}");
    }
}

#[test]
fn gc_finds_nothing_after_an_ordinary_run() {
    let ground = Ground::new();
    let archive = archive(&ground, "root.tar", "--sort=name");
    for user in User::ALL {
        ground.sh(user, &["--ephemeral=disk"], &archive, "echo x > /made").text();
        assert_eq!(run(ground.izba(user).arg("gc")).text(), "nothing was left", "{user:?}");
    }
}
