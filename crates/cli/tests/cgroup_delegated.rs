//! An ordinary user's limits: they hold below groups that were handed to that user, as cgroups(7) has it under "delegation"; elsewhere they are refused, or said not
//! to be enforced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use group::{Limited, pure_v2, take};
use serde_json::{Value, json};
use support::{Background, Ended, Ground, User, run};

/// Goes into groups as root, and becomes somebody else there.
const ENTER: &str = r#"for dir in $1; do echo $$ > "$dir/cgroup.procs" || exit 1; done
ids=$2; shift 2
exec setpriv --reuid="$ids" --regid="$ids" --clear-groups "$@""#;

/// Groups that belong to izba-test. Dropping this removes them, and fails where something is left in them.
struct Delegated<'a> {
    ground: &'a Ground,
    tops: Vec<PathBuf>,
}

impl<'a> Delegated<'a> {
    fn new(ground: &'a Ground) -> Self {
        let name = format!("izba-test-hold-{}", std::process::id());
        let hierarchies = if pure_v2() { &[""][..] } else { &["cpu", "memory", "pids"] };
        let tops =
            hierarchies.iter().map(|hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy).join(&name)).collect();
        let groups = Self { ground, tops };
        if pure_v2() {
            fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +cpuset +memory +pids").unwrap();
        }
        groups.tops.iter().chain(&groups.entered()).for_each(|dir| hand_over(dir));
        groups
    }

    /// Where processes are: on v2 not in the group that hands controllers on.
    fn entered(&self) -> Vec<PathBuf> {
        if pure_v2() { self.tops.iter().map(|top| top.join("shell")).collect() } else { self.tops.clone() }
    }

    /// izba as the user in these groups.
    fn izba(&self, arguments: &[&str]) -> Command {
        let izba = self.ground.izba(User::Ranges);
        let dirs: Vec<String> = self.entered().iter().map(|dir| dir.display().to_string()).collect();
        let mut shell = self.ground.command("sh", User::Root);
        shell.args(["-c", ENTER, "sh", &dirs.join(" "), &User::Ranges.account().0.to_string()]);
        shell.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
        shell.arg(izba.get_program()).args(arguments);
        shell
    }

    fn ended(&self, options: &[&str], script: &str) -> (Ended, Value) {
        let file = self.ground.directory("results", User::Ranges).join("result.json");
        let options = [&["run", "--result", file.to_str().unwrap()], options, &["host", "sh", "-c", script]].concat();
        let ended = run(&mut self.izba(&options));
        (ended, serde_json::from_slice(&fs::read(&file).unwrap()).unwrap())
    }

    fn start(&self, options: &[&str], script: &str) -> Limited<'_> {
        let options = [&["run", "--name", "web"], options, &["host", "sh", "-c", script]].concat();
        let (process, line) = Background::start(&mut self.izba(&options));
        assert_eq!(line, "up");
        Limited { ground: self.ground, user: User::Ranges, process }
    }
}

/// Makes a group, if it isn't there, and gives what is needed for groups below it.
fn hand_over(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let (uid, gid, _) = User::Ranges.account();
    let files = ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"].map(|file| dir.join(file));
    files.iter().filter(|file| file.exists()).for_each(|file| chown(file, Some(uid), Some(gid)).unwrap());
}

impl Drop for Delegated<'_> {
    fn drop(&mut self) {
        let dirs: Vec<PathBuf> = self.entered().into_iter().chain(self.tops.clone()).collect();
        let gone = |dir: &PathBuf| fs::remove_dir(dir).is_ok() || !dir.exists();
        if std::thread::panicking() {
            std::thread::sleep(std::time::Duration::from_secs(1));
            for dir in &dirs {
                let _left_for_inspection = gone(dir);
            }
        } else {
            dirs.iter().for_each(|dir| self.ground.wait_for("the group is empty", || gone(dir)));
        }
    }
}

#[test]
fn memory_that_was_delegated_is_limited() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    let (starved, result) = groups.ended(&["--memory", "32M"], &format!("exec {}", take(100)));
    assert_eq!((starved.status, &result["oomKilled"]), (137, &json!(true)), "{starved:?} {result:#}");
    assert_eq!(result["memoryLimitBytes"], json!(32 << 20));
    assert!(starved.stderr.contains("for want of memory: limit 32.0 MiB"), "{starved:?}");
    let (fed, result) = groups.ended(&["--memory", "32M"], &take(16));
    assert_eq!((fed.status, &result["oomKilled"]), (0, &json!(false)), "{fed:?} {result:#}");
}

#[test]
fn processes_that_were_delegated_are_limited() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    // The bomb is in a PID namespace of its own.
    let bomb = "perl -e 'alarm 2; 1 while defined fork; sleep 1000' & wait; echo ended";
    let (bombed, result) = groups.ended(&["--pids-limit", "20"], bomb);
    assert_eq!(bombed.text(), "ended");
    assert!(result["pidsRefused"].as_u64() > Some(0) && result["pidsPeak"] == json!(20), "{result:#}");
}

#[test]
fn cpu_time_that_was_delegated_is_limited_and_changed() {
    let ground = Ground::new();
    let groups = Delegated::new(&ground);
    let run = groups.start(&["--cpus", "0.2"], "echo up; while :; do :; done");
    ground.wait_for("it has used its quota", || run.count("cpu", "throttledPeriods") >= 5);
    assert_eq!(run.izba(&["update", "web", "--cpus", "0.4"]).text(), "");
    assert_eq!(run.file("cpu", "cpu.cfs_quota_us", "cpu.max").split(' ').next(), Some("40000"));
}

#[test]
fn what_was_not_delegated_is_refused_with_the_remedy() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        for options in [["--memory", "32M"], ["--pids-limit", "20"], ["--cpus", "0.5"]] {
            let refused = ground.sh(user, &options, "host", "true");
            assert!(
                refused.refusal().contains("limits can't be enforced: you may not make groups in /sys/fs/cgroup"),
                "{refused:?}"
            );
            assert!(
                refused.stderr.contains("try: run izba as root") && refused.stderr.contains("--best-effort"),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn best_effort_goes_on_and_says_what_is_not_enforced() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let run = ground.sh(user, &["--best-effort", "--memory", "32M", "--pids-limit", "20"], "host", "echo on");
        assert_eq!(run.text(), "on");
        for controller in ["memory", "pids"] {
            assert!(
                run.stderr.contains(&format!("note: left out: the {controller} limits can't be enforced")),
                "{run:?}"
            );
        }
    }
}

#[test]
fn of_what_was_not_asked_nothing_is_said() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let run = ground.sh(user, &[], "host", "echo on");
        assert_eq!((run.text(), run.stderr.as_str()), ("on", ""));
    }
}
