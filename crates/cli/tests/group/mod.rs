//! The group of a run, looked at from outside: by what `izba inspect` says of it and by its own files.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Background, Ended, Ground, User, run};

/// izba with these arguments, to its end, as root.
pub fn izba(ground: &Ground, arguments: &[&str]) -> Ended {
    run(ground.izba(User::Root).args(arguments))
}

/// What it prints as JSON.
pub fn json(ground: &Ground, arguments: &[&str]) -> Value {
    serde_json::from_str(izba(ground, arguments).text()).unwrap()
}

/// Is cgroup v2 alone? Else v1 has the controllers.
pub fn pure_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// What a file of the run's group says, which has one name on v1 and one on v2.
pub fn file(ground: &Ground, run: &str, controller: &str, v1: &str, v2: &str) -> String {
    let record = json(ground, &["inspect", run]);
    let (dir, name) = match record["cgroup"]["v1"][controller].as_str() {
        Some(dir) => (dir.to_owned(), v1),
        None => (record["cgroup"]["unified"].as_str().unwrap().to_owned(), v2),
    };
    fs::read_to_string(Path::new(&dir).join(name)).unwrap().trim().to_owned()
}

/// All groups of runs of this name, in all hierarchies.
pub fn groups_of(name: &str) -> Vec<PathBuf> {
    let start = format!("izba-{name}-");
    let mut found = Vec::new();
    let mut unseen = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = unseen.pop() {
        // A group that another test removes meanwhile has nothing in it.
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
        unseen.extend(dirs);
        if dir.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&start)) {
            found.push(dir);
        }
    }
    found
}

/// Runs a script as root with a result; both.
pub fn ended(ground: &Ground, options: &[&str], script: &str) -> (Ended, Value) {
    ended_as(ground, User::Root, options, script)
}

/// The same as another user.
pub fn ended_as(ground: &Ground, user: User, options: &[&str], script: &str) -> (Ended, Value) {
    let file = ground.directory("results", user).join("result.json");
    let options = [&["--result", file.to_str().unwrap()], options].concat();
    let ended = ground.sh(user, &options, "host", script);
    let result = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    (ended, result)
}

/// A script that takes so much memory.
pub fn take(mebibytes: u32) -> String {
    format!("python3 -c 'taken = b\"x\" * ({mebibytes} << 20)'")
}

/// A script that says which CPUs and memory nodes it may use, tries to get CPU 0, and says it again; a child of the shell too.
const SEE_CPUS: &str = r#"python3 -c "import os
own = lambda: [line.split()[1] for line in open('/proc/self/status') if line.startswith(('Cpus_allowed_list', 'Mems_allowed_list'))]
print(own())
try: os.sched_setaffinity(0, {0}); print('moved')
except OSError as error: print(error.strerror)
os.sched_setaffinity(0, {0, 1}); print(own())
"; (grep Cpus_allowed_list /proc/self/status)"#;

/// Has `run` run a script with options for CPU 1 alone, and looks whether it stays there.
pub fn stays_on_cpu_1(run: impl FnOnce(&[&str], &str) -> Ended) {
    let ended = run(&["--cpuset-cpus", "1", "--cpuset-mems", "0"], SEE_CPUS);
    let lines: Vec<&str> = ended.text().lines().collect();
    assert_eq!(lines, ["['1', '0']", "Invalid argument", "['1', '0']", "Cpus_allowed_list:\t1"]);
}

/// Has a run that `start` starts take more than its memory and swap, and looks at their counters. On v1 the sum has a limit of its own, on v2 swap has. That
/// there is swap up to the limit, v2_swap.rs shows.
pub fn ends_at_memory_and_swap<'a>(start: impl FnOnce(&[&str], &str) -> Limited<'a>) {
    let script = format!("echo up; read go; {}; echo $?; read end", take(100));
    let mut run = start(&["--memory", "32M", "--memory-swap", "32M"], &script);
    assert_eq!(run.ask("go"), "137");
    assert_eq!(run.count("memory", "oomKills"), 1);
    let group = run.group("memory");
    let number = |file: &str| fs::read_to_string(group.join(file)).unwrap().trim().parse::<u64>().unwrap();
    if is_v1(&group) {
        let most = number("memory.memsw.max_usage_in_bytes");
        assert_eq!(number("memory.memsw.limit_in_bytes"), 32 << 20);
        assert!((30 << 20..=32 << 20).contains(&most), "{most}");
    } else {
        assert_eq!((number("memory.swap.max"), number("memory.swap.peak")), (0, 0));
    }
}

/// What one CPU may take beyond what it was given, in microseconds: a slice of bandwidth (sched_cfs_bandwidth_slice_us) and a tick, which is paid back later.
const SLACK: u64 = 5_000 + 10_000;

/// The run "web", whose groups are to hold what was asked of them. Dropping it ends it as a whole, and checks that no group is left.
pub struct Limited<'a> {
    pub ground: &'a Ground,
    pub user: User,
    pub process: Background,
}

impl<'a> Limited<'a> {
    /// As root, when the script has printed "up".
    pub fn start(ground: &'a Ground, options: &[&str], script: &str) -> Self {
        Self::start_as(ground, User::Root, options, script)
    }

    /// The same as another user.
    pub fn start_as(ground: &'a Ground, user: User, options: &[&str], script: &str) -> Self {
        Self { ground, user, process: ground.named(user, "web", options, "host", script) }
    }

    /// izba with these arguments, as the user whose run it is.
    pub fn izba(&self, arguments: &[&str]) -> Ended {
        run(self.ground.izba(self.user).args(arguments))
    }

    /// What `izba stats` says.
    pub fn stats(&self) -> Value {
        let stats: Value = serde_json::from_str(self.izba(&["stats", "--format", "json", "web"]).text()).unwrap();
        stats[0].clone()
    }

    /// A number of what `izba stats` says.
    pub fn count(&self, object: &str, field: &str) -> u64 {
        let stats = self.stats();
        stats[object][field].as_u64().unwrap_or_else(|| panic!("{object}.{field}: {stats:#}"))
    }

    /// Has the busy script run into its quota of so many microseconds a period many times, stops it, and looks at what it has had.
    pub fn holds_quota(&self, quota: u64) {
        self.ground.wait_for("it has used its quota twenty times", || self.count("cpu", "throttledPeriods") >= 20);
        assert_eq!(self.izba(&["pause", "web"]).text(), "");
        let stats = self.stats();
        let of = |field: &str| stats["cpu"][field].as_u64().unwrap_or_else(|| panic!("{field}: {stats:#}"));
        let (used, periods, throttled) = (of("totalMicroseconds"), of("periods"), of("throttledPeriods"));
        assert!(used <= quota * (periods + 1) + 2 * SLACK, "more than {quota} a period: {stats:#}");
        assert!(used >= quota * throttled * 9 / 10, "less than {quota} in periods that were used up: {stats:#}");
        assert!(of("throttledMicroseconds") > 0, "{stats:#}");
    }

    /// Writes a line to the script, and reads the one with which it answers.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.process.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.process.line()
    }

    /// Its group of a controller: the one on v1, or the unified one.
    pub fn group(&self, controller: &str) -> PathBuf {
        let record: Value = serde_json::from_str(self.izba(&["inspect", "web"]).text()).unwrap();
        let groups = &record["cgroup"];
        groups["v1"][controller].as_str().or(groups["unified"].as_str()).unwrap().into()
    }

    /// What a file of a group says, by its name on v1 and on v2.
    pub fn file(&self, controller: &str, v1: &str, v2: &str) -> String {
        let group = self.group(controller);
        let name = if is_v1(&group) { v1 } else { v2 };
        fs::read_to_string(group.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).trim().to_owned()
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        let killed = self.izba(&["kill", "--all", "web", "KILL"]);
        if std::thread::panicking() {
            return;
        }
        let status = self.process.status();
        let own = format!("izba-web-{}", self.process.pid());
        let left = || groups_of("web").into_iter().filter(|dir| *dir.file_stem().unwrap() == own[..]);
        let made: Vec<PathBuf> = left().filter(|dir| dir.extension().is_none()).collect();
        assert!(made.is_empty(), "{made:?} after {status}, {killed:?}");
        // A scope is systemd's to remove, which it does when it has heard that it is empty.
        self.ground.wait_for("the scope is gone", || left().next().is_none());
    }
}

/// Does a group belong to a hierarchy of v1?
pub fn is_v1(group: &Path) -> bool {
    !group.join("cgroup.type").exists()
}
