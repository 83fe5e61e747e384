//! Places for a run's group that can't be had: one error that names the path, nothing is started, nothing is left, and what is
//! somebody else's stays as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use group::{groups_of, pure_v2};
use support::{Background, Ended, Ground, User, run};

const LIMITED: [&str; 2] = ["--pids-limit", "50"];

/// The hierarchy that has the pids controller.
fn top() -> &'static Path {
    Path::new(if pure_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" })
}

/// A group of the test's own at the top. Dropping it removes it.
struct Foreign(PathBuf);

impl Foreign {
    fn new(name: &str) -> Self {
        let dir = top().join(name);
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn processes(&self) -> String {
        fs::read_to_string(self.0.join("cgroup.procs")).unwrap()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let start = std::time::Instant::now();
        while self.0.exists() && fs::remove_dir(&self.0).is_err() && start.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// A start with limits in a place, which is to be refused.
fn refused(ground: &Ground, user: User, parent: &str, options: &[&str]) -> Ended {
    let options = [&["--name", "bad-place", "--cgroup-parent", parent], options].concat();
    let ended = ground.sh(user, &options, "host", "echo started");
    ended.refusal();
    assert!(groups_of("bad-place").is_empty(), "{parent}");
    ended
}

#[test]
fn paths_that_climb_or_say_nothing_are_refused() {
    let ground = Ground::new();
    for path in ["", ".", "..", "/", "//", "/a/./b", "/a/../b", "/a//b", "../a", "/a/..", "a\nb"] {
        let said = refused(&ground, User::Root, path, &[]).stderr;
        assert!(said.contains(&format!("{path:?} is no group")), "{path:?}: {said}");
    }
}

#[test]
fn a_file_is_no_parent() {
    let ground = Ground::new();
    for user in User::ALL {
        let said = refused(&ground, user, "/cgroup.procs", &LIMITED).stderr;
        assert!(said.contains("/cgroup.procs"), "{user:?}: {said}");
    }
}

#[test]
fn a_parent_that_is_not_there_is_made_and_removed() {
    let ground = Ground::new();
    let name = format!("/izba-test-parent-{}", std::process::id());
    let parent = format!("{name}/of/it");
    let options = [&LIMITED[..], &["--share", "cgroup", "--cgroup-parent", &parent]].concat();
    let ended = ground.sh(User::Root, &options, "host", "cat /proc/self/cgroup");
    assert!(ended.text().contains(&format!("pids:{parent}/izba-")) || pure_v2(), "{ended:?}");
    assert!(ended.text().contains(&format!("0::{parent}/izba-")), "{ended:?}");
    assert!(!top().join(&name[1..]).exists());
}

#[test]
fn a_parent_that_others_use_stays() {
    let ground = Ground::new();
    let foreign = Foreign::new(&format!("izba-test-used-{}", std::process::id()));
    let parent = format!("/{}", foreign.0.file_name().unwrap().to_str().unwrap());
    let options = [&LIMITED[..], &["--cgroup-parent", &parent]].concat();
    ground.sh(User::Root, &options, "host", "true").text();
    assert!(foreign.0.exists() && fs::read_dir(&foreign.0).unwrap().all(|entry| !entry.unwrap().path().is_dir()));
}

/// Nor is it passed over: who names a parent wants it.
#[test]
fn a_parent_that_is_not_the_callers_is_refused() {
    let ground = Ground::new();
    let foreign = Foreign::new(&format!("izba-test-closed-{}", std::process::id()));
    let parent = format!("/{}", foreign.0.file_name().unwrap().to_str().unwrap());
    for user in [User::Ranges, User::OneId] {
        for options in [&LIMITED[..], &[]] {
            let said = refused(&ground, user, &parent, options).stderr;
            assert!(said.contains(&parent) && said.contains("try: "), "{user:?} {options:?}: {said}");
        }
    }
}

/// cgroup v2 alone has the rule.
#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_parent_with_processes_is_refused() {
    assert!(pure_v2());
    let ground = Ground::new();
    let foreign = Foreign::new("izba-test-occupied");
    let (inside, line) = sleeper(&ground, &foreign.0);
    assert_eq!(line, "in");
    let said = refused(&ground, User::Root, "/izba-test-occupied", &LIMITED).stderr;
    assert!(said.contains("/sys/fs/cgroup/izba-test-occupied has processes of its own"), "{said}");
    drop(inside);
}

/// A process in a group.
fn sleeper(ground: &Ground, group: &Path) -> (Background, String) {
    let script = format!("echo $$ > {}/cgroup.procs; echo in; exec sleep 1000", group.display());
    Background::start(ground.command("sh", User::Root).args(["-c", &script]))
}

/// The name has the number of the process in it, which is izba later.
fn with_its_name_taken(ground: &Ground, name: &str, before: &str) -> Ended {
    let script = format!(
        "group={}/izba-{name}-$$; mkdir $group; {before}; exec \"$0\" run --name {name} --pids-limit 50 host true",
        top().display()
    );
    let mut shell = ground.izba(User::Root);
    let izba = shell.get_program().to_owned();
    let environment: Vec<_> =
        shell.get_envs().map(|(key, value)| (key.to_owned(), value.unwrap().to_owned())).collect();
    shell = ground.command("sh", User::Root);
    run(shell.envs(environment).args(["-c", &script]).arg(izba))
}

/// The one that is left when izba has gone.
fn taken(name: &str) -> Foreign {
    let left = groups_of(name);
    assert_eq!(left.len(), 1, "{left:?}");
    Foreign(left.into_iter().next().unwrap())
}

#[test]
fn an_empty_group_of_somebody_else_is_neither_used_nor_removed() {
    let ground = Ground::new();
    let said = with_its_name_taken(&ground, "empty", "true").refusal().to_owned();
    let foreign = taken("empty");
    assert!(said.contains(&format!("there is a group {} already", foreign.0.display())), "{said}");
    assert!(said.contains("try: "), "{said}");
}

#[test]
fn processes_of_somebody_elses_group_live_on() {
    let ground = Ground::new();
    let before = "sh -c 'echo $$ > $0/cgroup.procs; exec sleep 1000' $group >/dev/null 2>&1 & \
                  until grep -q . $group/cgroup.procs; do :; done";
    let said = with_its_name_taken(&ground, "full", before).refusal().to_owned();
    let foreign = taken("full");
    assert!(said.contains(&format!("there is a group {} already", foreign.0.display())), "{said}");
    let swept = run(ground.izba(User::Root).arg("gc"));
    assert_eq!(swept.status, 0, "{swept:?}");
    let inside = foreign.processes();
    let pid: i32 = inside.trim().parse().unwrap();
    assert!(ground.processes().contains(&pid), "{inside}");
    run(ground.command("kill", User::Root).arg(pid.to_string())).text();
}

/// All in it is moved out of it, and it is removed: the run goes on, and its end is its program's.
#[test]
fn a_group_that_is_taken_away_ends_nothing() {
    let ground = Ground::new();
    let mut taken = ground.named(User::Root, "away", &LIMITED, "host", "echo up; read end; exit 7");
    for dir in groups_of("away") {
        let above = dir.parent().unwrap().join("cgroup.procs");
        for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap().lines() {
            fs::write(&above, pid).unwrap();
        }
        ground.wait_for("the group can be removed", || fs::remove_dir(&dir).is_ok());
    }
    drop(taken.child.stdin.take());
    assert_eq!(taken.status(), 7);
}
