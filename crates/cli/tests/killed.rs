//! izba killed after any of its system calls, and any of them refused: the error says which call and on what, and nothing is
//! left, at the latest when the next izba or `izba gc` has swept. Every call is a point; a spread of them is taken, prime
//! steps apart, to stay within minutes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Ended, Ground, User, run};

/// What is started: by name, options, and whether the root is an archive.
#[derive(Clone, Copy, Debug)]
struct Start {
    options: &'static [&'static str],
    root: RootKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RootKind {
    Directory,
    Host,
    Archive,
}

const STARTS: [Start; 5] = [
    Start { options: &[], root: RootKind::Directory },
    Start { options: &["--userns"], root: RootKind::Directory },
    Start { options: &["--ephemeral=disk"], root: RootKind::Directory },
    Start { options: &[], root: RootKind::Host },
    Start { options: &[], root: RootKind::Archive },
];

/// In groups of several hierarchies, where cgroup v1 has the controllers.
const LIMITED: Start = Start { options: &["--name", "killed", "-m", "64m"], root: RootKind::Host };

/// In groups that aren't beside the caller's own, and for which groups above have to be made.
const LIMITED_ELSEWHERE: Start =
    Start { options: &["--cgroup-parent", "/izba-test-killed-PID/inner", "-m", "64m"], root: RootKind::Host };

/// The ground with what a start may leave on it.
struct Scene {
    ground: Ground,
    root: PathBuf,
}

impl Scene {
    fn new(kind: RootKind) -> Self {
        let ground = Ground::new();
        let directory = ground.busybox_root("root", User::Root);
        let root = match kind {
            RootKind::Directory => directory,
            RootKind::Host => PathBuf::from("host"),
            RootKind::Archive => {
                let archive = ground.path("root.tar");
                let tar = run(ground
                    .command("/bin/tar", User::Root)
                    .arg("-C")
                    .arg(&directory)
                    .arg("-cf")
                    .arg(&archive)
                    .arg("."));
                assert_eq!(tar.status, 0, "{tar:?}");
                archive
            }
        };
        Self { ground, root }
    }

    /// The program keeps the marker in its environment, so that it is seen if it stays.
    fn arguments(&self, start: Start) -> Vec<String> {
        let mut arguments = vec!["run".to_owned(), "--keep-env".to_owned()];
        arguments.extend(start.options.iter().map(|option| option.replace("PID", &std::process::id().to_string())));
        // Long enough for izba to write down what runs.
        arguments.extend([self.root.display().to_string(), "/bin/sleep".to_owned(), "0.05".to_owned()]);
        arguments
    }

    /// strace with this injection.
    fn injected(&self, follow: bool, injection: &str, start: Start) -> Command {
        let mut command = self.ground.command("/usr/bin/strace", User::Root);
        let izba = self.ground.izba(User::Root);
        command.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
        if follow {
            command.arg("-f");
        }
        command.args(["-qq", "-o"]).arg(self.ground.path("trace")).args(["-e", &format!("inject={injection}")]);
        command.arg(self.ground.path("izba")).args(self.arguments(start));
        command
    }

    fn cache(&self) -> PathBuf {
        self.ground.path("cache-root")
    }

    /// The groups that the last start under strace has made.
    fn groups(&self) -> BTreeSet<PathBuf> {
        let trace = fs::read_to_string(self.ground.path("trace")).unwrap_or_default();
        let made = trace
            .lines()
            .filter(|line| !line.contains(" = -1 "))
            .filter_map(|line| line.split_once("mkdirat(AT_FDCWD, \"/sys/fs/cgroup/"));
        made.filter_map(|(_, rest)| Some(Path::new("/sys/fs/cgroup").join(rest.split_once('"')?.0))).collect()
    }

    /// What a start may leave until it is swept.
    fn left(&self) -> Vec<PathBuf> {
        let runs = self.ground.runtime(User::Root).join("runs");
        let places = [self.cache().join("v1/making"), self.cache().join("scratch"), runs];
        let members = places.into_iter().filter_map(|place| fs::read_dir(place).ok()).flatten();
        let groups = self.groups().into_iter().filter(|group| group.exists());
        members.map(|member| member.unwrap().path()).chain(groups).collect()
    }

    /// Nothing of a start is left once gc has swept. A process that has let go of its memory, where its environment was, may hold a lock for a
    /// moment longer; and so may another that sweeps.
    #[track_caller]
    fn is_clean(&self, context: &str) {
        self.ground.wait_until_none(&format!("{context}: of what ran"), || self.ground.processes());
        self.ground.wait_until_none(&format!("{context}: of what gc sweeps"), || {
            let swept = run(self.ground.izba(User::Root).arg("gc"));
            assert_eq!(swept.status, 0, "{context}: {swept:?}");
            self.left()
        });
        let mounts = mounts_of(self.ground.path("").as_path());
        assert!(mounts.is_empty(), "{context}: {mounts:?}");
    }
}

/// Mounts of this namespace at or from a directory.
fn mounts_of(dir: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = dir.to_str().unwrap().trim_end_matches('/').to_owned();
    table.lines().filter(|line| line.contains(&dir)).map(String::from).collect()
}

/// Every call that izba itself makes, as strace(1) counts them: a name, and the how-manieth of that name.
fn calls(scene: &Scene, start: Start) -> Vec<(String, usize)> {
    let trace = scene.ground.path("trace");
    let izba = scene.ground.izba(User::Root);
    let mut plain = scene.ground.command("/usr/bin/strace", User::Root);
    plain.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
    plain.args(["-qq", "-o"]).arg(&trace).arg(scene.ground.path("izba")).args(scene.arguments(start));
    let ended = run(&mut plain);
    assert_eq!(ended.status, 0, "{ended:?}");
    let mut counts = BTreeMap::<String, usize>::new();
    let text = fs::read_to_string(&trace).unwrap();
    let names = text.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name.to_owned());
    // The first is strace's own, and after the last there is nobody to kill.
    let names = names.filter(|name| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name != "execve" && name != "exit_group"
    });
    names
        .map(|name| {
            let count = counts.entry(name.clone()).or_default();
            *count += 1;
            (name, *count)
        })
        .collect()
}

/// Kills izba at points across its own calls; a start from an archive unpacks anew each time.
fn killed_at_points(start: Start, step: usize) {
    let scene = Scene::new(start.root);
    forget(&scene, start);
    let calls = calls(&scene, start);
    let (mut killed, mut points) = (0, 0);
    for (number, (name, point)) in calls.iter().enumerate().step_by(step) {
        forget(&scene, start);
        let ended = run(&mut scene.injected(false, &format!("{name}:signal=KILL:when={point}"), start));
        killed += u32::from(ended.status == 128 + 9);
        points += 1;
        scene.is_clean(&format!("{start:?} killed at {name} {point}, call {number} of {}", calls.len()));
    }
    // How often it polls, and asks for memory, isn't the same each time.
    assert!(points >= 20 && killed * 10 >= points * 9, "killed {killed} times at {points} points");
    assert!(!scene.groups().is_empty(), "no groups were made");
    let next = run(scene.ground.izba(User::Root).args(scene.arguments(start)));
    assert_eq!(next.status, 0, "{next:?}");
}

/// An archive is to be unpacked again.
fn forget(scene: &Scene, start: Start) {
    if start.root == RootKind::Archive {
        let pruned = run(scene.ground.izba(User::Root).args(["cache", "prune", "--all"]));
        assert_eq!(pruned.status, 0, "{pruned:?}");
    }
}

#[test]
fn killed_in_a_directory() {
    killed_at_points(STARTS[0], 3);
}

#[test]
fn killed_with_a_user_namespace() {
    killed_at_points(STARTS[1], 3);
}

#[test]
fn killed_with_writes_on_disk() {
    killed_at_points(STARTS[2], 3);
}

#[test]
fn killed_with_the_hosts_programs() {
    killed_at_points(STARTS[3], 5);
}

#[test]
fn killed_with_limits() {
    killed_at_points(LIMITED, 5);
}

#[test]
fn killed_with_limits_elsewhere() {
    killed_at_points(LIMITED_ELSEWHERE, 5);
}

#[test]
fn killed_while_it_unpacks() {
    killed_at_points(STARTS[4], 11);
}

/// Calls that only the first process inside makes, or the program's: izba hears of its end and says so.
#[test]
fn the_first_process_inside_killed() {
    let inside = [
        "setsid",
        "mount_setattr",
        "move_mount",
        "fsopen",
        "fsmount",
        "mknodat",
        "pivot_root",
        "umount2",
        "keyctl",
        "capset",
        "sethostname",
    ];
    for start in &STARTS[..4] {
        let scene = Scene::new(start.root);
        for call in inside {
            for point in [1, 2] {
                let ended = run(&mut scene.injected(true, &format!("{call}:signal=KILL:when={point}"), *start));
                let context = format!("{start:?}, {call} {point}: {ended:?}");
                assert!(ended.status != 128 + 9 || ended.stderr.is_empty(), "{context}");
                scene.is_clean(&context);
            }
        }
    }
}

/// Each call of the parent and of the child refused, at its first, second and a later time.
#[test]
fn a_refused_call_is_named() {
    // The call, and what the error has to say: its name, or what is explained instead.
    let refused: BTreeMap<&str, &[&str]> = [
        ("pidfd_open", &["pidfd_open"][..]),
        ("socketpair", &["socketpair"]),
        ("clone3", &["clone3"]),
        ("mount_setattr", &["mount_setattr"]),
        ("open_tree", &["open_tree"]),
        ("fsopen", &["fsopen"]),
        ("fsconfig", &["fsconfig"]),
        ("fsmount", &["fsmount"]),
        ("move_mount", &["move_mount"]),
        ("mkdirat", &["mkdirat", "directory"]),
        ("mknodat", &["mknodat"]),
        ("symlinkat", &["symlinkat"]),
        ("sethostname", &["sethostname"]),
        ("pivot_root", &["pivot_root"]),
        ("umount2", &["umount2"]),
        ("fchdir", &["fchdir"]),
        ("setsid", &["setsid"]),
        ("keyctl", &["keyctl"]),
        ("capset", &["capset"]),
        ("setgroups", &["setgroups"]),
        ("setresgid", &["setresgid"]),
        ("setresuid", &["setresuid"]),
        ("close_range", &["close_range"]),
    ]
    .into();
    for start in &STARTS[..4] {
        let scene = Scene::new(start.root);
        for (call, named) in &refused {
            for point in [1, 2, 5] {
                let ended = run(&mut scene.injected(true, &format!("{call}:error=ENOMEM:when={point}"), *start));
                let reached = fs::read_to_string(scene.ground.path("trace")).unwrap().contains("(INJECTED)");
                let context = format!("{start:?}, {call} {point}: {ended:?}");
                if reached {
                    refused_well(&ended, named, &context);
                }
                scene.is_clean(&context);
            }
        }
    }
}

/// One error that names the call, or a start that could do without it.
#[track_caller]
fn refused_well(ended: &Ended, named: &[&str], context: &str) {
    // The supervisor, too, calls close_range(2), when the program runs already: it can only end it.
    if ended.status == 0 || (named == ["close_range"] && ended.status == 128 + 9) {
        return;
    }
    assert_eq!(ended.status, 125, "{context}");
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{context}");
    assert!(named.iter().any(|name| ended.stderr.contains(name)), "{context}");
    assert!(ended.stderr.contains("os error 12") || ended.stderr.contains("memory"), "{context}");
}
