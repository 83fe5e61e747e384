//! Groups that were handed over to an ordinary user, as cgroups(7) has it under "delegation", and izba as that user in them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::group::{Limited, is_v1, pure_v2};
use crate::support::{Background, Ended, Ground, User, run};

/// Goes into groups as root, and becomes somebody else there.
const ENTER: &str = r#"for dir in $1; do echo $$ > "$dir/cgroup.procs" || exit 1; done
ids=$2; shift 2
exec setpriv --reuid="$ids" --regid="$ids" --clear-groups "$@""#;

/// Handed over where v1 has the controllers; by the unified group a run is paused.
const V1: &[&str] = &["blkio", "cpu", "cpuacct", "cpuset", "devices", "memory", "pids", "unified"];

/// Groups that belong to izba-test. Dropping this removes them, and fails where something is left in them.
pub struct Delegated<'a> {
    ground: &'a Ground,
    tops: Vec<PathBuf>,
}

impl<'a> Delegated<'a> {
    pub fn new(ground: &'a Ground) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("izba-test-hold{}-{}", COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let hierarchies = if pure_v2() { &[""] } else { V1 };
        let tops =
            hierarchies.iter().map(|hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy).join(&name)).collect();
        let groups = Self { ground, tops };
        if pure_v2() {
            fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +cpuset +io +memory +pids").unwrap();
        }
        groups.tops.iter().for_each(|dir| hand_over(dir));
        groups.entered().iter().for_each(|dir| hand_over(dir));
        groups
    }

    /// Where processes are: on v2 below the group that hands controllers on and gets the runs' groups, which are beside the caller's.
    fn entered(&self) -> Vec<PathBuf> {
        self.tops.iter().map(|top| if is_v1(top) { top.clone() } else { top.join("shell") }).collect()
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

    /// Runs a script as the user in these groups, to its end.
    pub fn run(&self, options: &[&str], script: &str) -> Ended {
        run(&mut self.izba(&[&["run"], options, &["host", "sh", "-c", script]].concat()))
    }

    /// Runs a script as the user in these groups, with a result too.
    pub fn ended(&self, options: &[&str], script: &str) -> (Ended, Value) {
        let file = self.ground.directory("results", User::Ranges).join("result.json");
        let ended = self.run(&[&["--result", file.to_str().unwrap()], options].concat(), script);
        (ended, serde_json::from_slice(&fs::read(&file).unwrap()).unwrap())
    }

    /// A run in the background, when it has printed "up".
    pub fn start(&self, options: &[&str], script: &str) -> Limited<'_> {
        let options = [&["run", "--name", "web"], options, &["host", "sh", "-c", script]].concat();
        let (process, line) = Background::start(&mut self.izba(&options));
        assert_eq!(line, "up");
        Limited { ground: self.ground, user: User::Ranges, process }
    }
}

/// Makes a group, if it isn't there, and gives what is needed for groups below it.
fn hand_over(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    for file in ["cpuset.cpus", "cpuset.mems"].into_iter().filter(|file| is_v1(dir) && dir.join(file).exists()) {
        // A new cpuset of v1 has none, and takes no process: cpuset(7).
        fs::write(dir.join(file), fs::read(dir.join("..").join(file)).unwrap()).unwrap();
    }
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
