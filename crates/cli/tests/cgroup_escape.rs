//! What a program can do to control groups: it sees its own as the root, can't change it, and reaches no others.
//!
//! What root without `--userns` can do in a user namespace that it makes itself is in SECURITY.md; of that only the worst is shown
//! here not to work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use group::{groups_of, pure_v2};
use support::{Ground, User, run};

const LIMITS: [&str; 4] = ["--memory", "64m", "--pids-limit", "100"];

/// Mounts each hierarchy of v1, and that of v2, at /tmp/c, with a script for each.
fn mounting_each(script: &str) -> String {
    format!(
        "mkdir /tmp/c; for options in memory pids devices freezer cpuset cpu blkio none,name=systemd v2; do \
           if [ $options = v2 ]; then mount -t cgroup2 c /tmp/c; else mount -t cgroup -o $options c /tmp/c; fi 2>/dev/null || continue; \
           {script}; umount /tmp/c; \
         done"
    )
}

/// In how many hierarchies a run with a name has a group: on v1 CPU time, its count, memory and processes have their own.
fn hierarchies() -> usize {
    if pure_v2() { 1 } else { 5 }
}

/// Where the directories of this run's group are seen from outside.
fn own(ground: &Ground, name: &str) -> Vec<PathBuf> {
    let record = group::json(ground, &["inspect", name]);
    let v1 = record["cgroup"]["v1"].as_object().into_iter().flatten().map(|(_, dir)| dir);
    v1.chain([&record["cgroup"]["unified"]]).filter_map(|dir| dir.as_str()).map(PathBuf::from).collect()
}

#[test]
fn the_own_group_is_the_root_of_all_that_is_seen() {
    let ground = Ground::new();
    let script = "cat /proc/self/cgroup; echo; find /sys/fs/cgroup -name cgroup.procs; \
                  ls -d /sys/fs/cgroup/../../fs/cgroup/../../../etc; cd /sys/fs/cgroup; for i in 1 2 3 4; do cd ..; done; pwd -P";
    let ended = ground.sh(User::Root, &LIMITS, "host", script);
    let (memberships, seen) = ended.text().split_once("\n\n").unwrap();
    assert!(memberships.lines().all(|line| line.ends_with(":/")), "{memberships}");
    let mut seen: Vec<&str> = seen.lines().collect();
    seen.sort_unstable();
    let mut expected = vec!["/", "/sys/fs/cgroup/../../fs/cgroup/../../../etc"];
    match pure_v2() {
        true => expected.push("/sys/fs/cgroup/cgroup.procs"),
        false => expected.extend(["/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs"]),
    }
    assert_eq!(seen, expected);
}

#[test]
fn what_is_seen_cannot_be_changed() {
    let ground = Ground::new();
    let script = "cd /sys/fs/cgroup; for dir in . */; do cd /sys/fs/cgroup/$dir || continue; \
                    mkdir sub && echo made; touch file && echo touched; \
                    for file in *; do [ -f $file ] && [ -w $file ] && echo writable $file; done; \
                    mount -o remount,rw . && echo remounted; mount -o remount,bind,rw . && echo remounted as a bind; \
                    umount . && echo unmounted; \
                  done 2>/dev/null; mount -t cgroup2 c /tmp 2>/dev/null && echo mounted; echo end";
    for user in User::ALL {
        let limits = if user == User::Root { &LIMITS[..] } else { &[] };
        assert_eq!(ground.sh(user, limits, "host", script).text(), "end", "{user:?}");
    }
}

/// With CAP_SYS_ADMIN the own groups can be mounted anew, and are all that there is of their hierarchies.
#[test]
fn no_release_agent_and_no_other_group_is_in_sight() {
    let ground = Ground::new();
    let plain = "find / -path /proc -prune -o -name release_agent -print";
    assert_eq!(ground.sh(User::Root, &LIMITS, "host", plain).text(), "");
    let options = [&LIMITS[..], &["--cap-add", "SYS_ADMIN"]].concat();
    let script =
        "case $options in memory|pids|v2) echo $options; find /tmp/c -mindepth 1 -type d -o -name release_agent;; esac";
    let expected = if pure_v2() { "v2" } else { "memory\npids\nv2" };
    assert_eq!(ground.sh(User::Root, &options, "host", &mounting_each(script)).text(), expected);
}

#[test]
fn in_a_user_namespace_nothing_that_can_be_mounted_can_be_written() {
    let ground = Ground::new();
    let script = mounting_each(
        "echo mounted $options; mkdir /tmp/c/sub 2>/dev/null && echo made; \
         find /tmp/c -type f -not -path '*/izba-test-*' | while read file; do true 2>/dev/null >> $file && echo $file; done",
    );
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let options: &[&str] = if user == User::Root { &["--userns"] } else { &[] };
        let ended = ground.sh(user, &[options, &["--cap-add", "SYS_ADMIN"]].concat(), root, &script);
        let tried = ended.text();
        assert!(tried.starts_with("mounted "), "{user:?}: nothing could be mounted, so nothing was tried");
        assert!(tried.lines().all(|line| line.starts_with("mounted ")), "{user:?}: {tried}");
    }
}

/// CVE-2022-0492: root of the host in a user namespace of its own owns the file.
#[test]
fn the_release_agent_cannot_be_set_from_a_new_user_namespace() {
    let agents = || -> Vec<(PathBuf, String)> {
        let tops = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path().join("release_agent"));
        let mut agents: Vec<_> = tops.filter_map(|file| Some((file.clone(), fs::read_to_string(file).ok()?))).collect();
        agents.sort();
        agents
    };
    let before = agents();
    let ground = Ground::new();
    let script =
        mounting_each("echo $options >&2; (echo /nonexistent/agent > /tmp/c/release_agent) 2>/dev/null && echo set");
    let script = format!("unshare --user --map-root-user --mount --cgroup sh -c '{script}; echo end'");
    for user in User::ALL {
        let ended = ground.sh(user, &[], "host", &script);
        assert_eq!(ended.text(), "end", "{user:?}");
        let tried = ended.stderr.lines().count();
        assert!(pure_v2() || tried > 3, "{user:?} has mounted {tried} hierarchies: {}", ended.stderr);
    }
    assert_eq!(agents(), before);
}

/// Its groups are seen by their names then, and none of them is mounted.
#[test]
fn a_shared_cgroup_namespace_shows_names_and_mounts_nothing() {
    let ground = Ground::new();
    let options = [&LIMITS[..], &["--share", "cgroup", "--name", "shared"]].concat();
    let script =
        "cat /proc/self/cgroup; find /sys/fs/cgroup -mindepth 1; mount -t cgroup2 c /tmp 2>/dev/null && echo mounted";
    let ended = ground.sh(User::Root, &options, "host", &format!("{script}; true"));
    let text = ended.text();
    assert_eq!(text.matches("/izba-shared-").count(), hierarchies(), "{text}");
    assert!(text.lines().all(|line| line.contains(':')), "{text}");
    assert!(groups_of("shared").is_empty());
}

/// Of the own group, too, which is open while the program is started.
#[test]
fn no_descriptor_of_a_group_arrives() {
    let ground = Ground::new();
    let script = "for fd in /proc/self/fd/*; do readlink $fd; done | grep cgroup; true";
    let inherit = "import glob, os, sys; [os.set_inheritable(os.open(p, os.O_RDONLY), True) for p in glob.glob('/sys/fs/cgroup/*')]; \
                   os.execv(sys.argv[1], sys.argv[1:])";
    let root = ground.busybox_root("root", User::Root);
    for options in [&[][..], &["--no-init"], &["--share", "pid"], &["--userns"]] {
        let mut python = ground.command("python3", User::Root);
        python.args(["-c", inherit]).arg(ground.path("izba")).arg("run").args(LIMITS).args(options);
        let ended = run(python.arg(&root).args(["sh", "-c", script]));
        assert_eq!(ended.text(), "", "{options:?}");
    }
}

/// By a program that may mount its group anew, and leaves processes in a sub-group.
#[test]
fn groups_made_inside_go_with_the_run() {
    let ground = Ground::new();
    let options = ["--cap-add", "SYS_ADMIN", "--name", "inside"];
    let script = "mkdir /tmp/c; mount -t cgroup2 c /tmp/c; mkdir -p /tmp/c/sub/sub /tmp/c/empty; \
                  sh -c 'echo $$ > /tmp/c/sub/sub/cgroup.procs; exec sleep 1000' & \
                  until grep -q . /tmp/c/sub/sub/cgroup.procs; do :; done; ls -d /tmp/c/*/ /tmp/c/*/*/";
    let ended = ground.sh(User::Root, &options, "host", script);
    assert_eq!(ended.text(), "/tmp/c/empty/\n/tmp/c/sub/\n/tmp/c/sub/sub/");
    assert!(groups_of("inside").is_empty());
}

/// From outside, in every hierarchy.
#[test]
fn groups_made_below_go_with_the_run() {
    let ground = Ground::new();
    let mut below = ground.named(User::Root, "below", &LIMITS, "host", "echo up; sleep 1000 & read end");
    let dirs = own(&ground, "below");
    assert_eq!(dirs.len(), hierarchies());
    for dir in &dirs {
        let sub = dir.join("sub/sub");
        fs::create_dir_all(&sub).unwrap();
        let sleeper = fs::read_to_string(dir.join("cgroup.procs")).unwrap();
        fs::write(sub.join("cgroup.procs"), sleeper.lines().last().unwrap()).unwrap();
        assert!(!fs::read_to_string(sub.join("cgroup.procs")).unwrap().is_empty(), "{}", dir.display());
    }
    drop(below.child.stdin.take());
    assert_eq!(below.status(), 1);
    assert!(dirs.iter().all(|dir: &PathBuf| !Path::exists(dir)), "{dirs:?}");
}
