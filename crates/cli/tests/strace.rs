//! What the plan says is what is done: the calls from the first clone to the program's execve(2), as strace(1) sees them,
//! against those of `--dry-run --format json`, one by one and in order. Process ids and descriptor numbers aside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;
mod trace;

use std::path::Path;
use std::process::Command;

use support::{Ground, User, run};
use trace::{Plan, Trace};

/// Runs izba twice with the same arguments, once for the plan and once under strace.
struct Both {
    plan: Plan,
    trace: Trace,
}

impl Both {
    fn of(ground: &Ground, user: User, arguments: &[&str]) -> Self {
        Self::of_verb(ground, user, &["run"], arguments)
    }

    fn of_verb(ground: &Ground, user: User, verb: &[&str], arguments: &[&str]) -> Self {
        let dry = run(ground.izba(user).args(verb).args(["--dry-run", "--format", "json"]).args(arguments));
        let plan = Plan::parse(dry.text());
        let file = ground.path("trace");
        let ended = run(traced(ground, user, &file).args(verb).args(arguments));
        assert_eq!(ended.status, 0, "{ended:?}");
        let trace = Trace::parse(&std::fs::read_to_string(&file).unwrap());
        Self { plan, trace }
    }

    /// As root, in what these words make of the machine before they execute the rest.
    fn of_view(ground: &Ground, view: &[&str], arguments: &[&str]) -> Self {
        let within = |inner: Command| {
            let mut command = ground.command(view[0], User::Root);
            command.args(&view[1..]).arg(inner.get_program()).args(inner.get_args());
            command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
            command
        };
        let mut dry = ground.izba(User::Root);
        dry.args(["run", "--dry-run", "--format", "json"]).args(arguments);
        let plan = Plan::parse(run(&mut within(dry)).text());
        let file = ground.path("trace");
        let mut done = traced(ground, User::Root, &file);
        done.arg("run").args(arguments);
        let ended = run(&mut within(done));
        assert_eq!(ended.status, 0, "{ended:?}");
        Self { plan, trace: Trace::parse(&std::fs::read_to_string(&file).unwrap()) }
    }

    #[track_caller]
    fn are_equal(&self) {
        same("child", &self.plan.child, &self.trace.child);
        same("parent", &self.plan.parent, &self.trace.parent);
        self.trace.supervisors_only_watch();
        self.trace.groups_are_removed();
    }
}

/// strace as root, which starts izba as the user: so newuidmap(1) keeps its rights.
fn traced(ground: &Ground, user: User, file: &Path) -> Command {
    let mut command = ground.command("/usr/bin/strace", User::Root);
    let (_, _, home) = user.account();
    command.arg("-f").args(["-s", "100000"]).arg("-o").arg(file);
    if user != User::Root {
        command.args(["-u", user.name()]);
    }
    let izba = ground.izba(user);
    let cache = izba.get_envs().find(|(key, _)| *key == "IZBA_CACHE").and_then(|(_, value)| value).unwrap();
    command.arg(ground.path("izba")).env("HOME", home).env("IZBA_CACHE", cache);
    command.env("IZBA_RUNTIME_DIR", ground.runtime(user));
    command
}

#[track_caller]
fn same(who: &str, planned: &[String], done: &[String]) {
    for (index, (planned, done)) in planned.iter().zip(done).enumerate() {
        assert_eq!(planned, done, "call {index} of the {who}");
    }
    // Of the places where a program may be, none is tried after the one that has it.
    let tried =
        |call: &&String| !(call.starts_with("execve(") && done.last().is_some_and(|last| last.starts_with("execve(")));
    assert_eq!(
        planned[done.len().min(planned.len())..].iter().find(tried),
        None,
        "planned for the {who}, but not done"
    );
    assert_eq!(done.get(planned.len()), None, "done by the {who}, but not planned");
}

/// Every option of the start that has calls of its own.
fn rich(ground: &Ground) -> Vec<String> {
    std::fs::create_dir_all(ground.path("shown")).unwrap();
    let volume = format!("{}:/a/b/c:ro", ground.path("shown").display());
    [
        "-v",
        &volume,
        "--tmpfs",
        "/scratch:size=1m",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "-u",
        "ann",
        "--ulimit",
        "nofile=500:2048",
    ]
    .map(String::from)
    .to_vec()
}

fn compare(user: User, options: &[&str], with_rich: bool) {
    let ground = Ground::new();
    let root = ground.busybox_root("root", user);
    let mut arguments: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    if with_rich {
        arguments.extend(rich(&ground));
    }
    arguments.extend([root.to_str().unwrap().to_owned(), "true".to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Both::of(&ground, user, &arguments).are_equal();
}

#[test]
fn as_root_in_a_directory() {
    compare(User::Root, &[], false);
    compare(User::Root, &[], true);
}

#[test]
fn as_root_with_a_root_of_the_hosts_programs() {
    let ground = Ground::new();
    Both::of(&ground, User::Root, &["host", "true"]).are_equal();
    Both::of(&ground, User::OneId, &["host", "true"]).are_equal();
}

#[test]
fn with_writes_thrown_away() {
    compare(User::Root, &["--ephemeral"], true);
    compare(User::Ranges, &["--ephemeral=8m"], false);
}

#[test]
fn as_an_ordinary_user() {
    compare(User::OneId, &[], false);
    compare(User::Ranges, &[], true);
}

#[test]
fn in_a_user_namespace_of_root() {
    compare(User::Root, &["--userns"], false);
    compare(User::Root, &["--userns"], true);
}

#[test]
fn without_our_init() {
    compare(User::Root, &["--no-init"], true);
    compare(User::OneId, &["--no-init"], false);
}

#[test]
fn with_shared_namespaces() {
    compare(User::Root, &["--share", "pid"], false);
    compare(User::Ranges, &["--share", "pid", "--share", "net", "--share", "ipc"], false);
}

#[test]
fn with_another_clock_and_a_score() {
    compare(User::Root, &["--boottime", "1000", "--oom-score-adj", "7"], false);
    compare(User::Ranges, &["--monotonic", "1000"], false);
}

#[test]
fn with_limits() {
    for options in [
        &["-m", "64m", "--pids-limit", "100", "--cpus", "0.5"][..],
        &["--cpuset-cpus", "0"],
        &["--device-cgroup-rule", "a *:* rwm"],
    ] {
        compare(User::Root, options, false);
    }
}

/// Of which this machine has a part: groups, and BPF programs for devices.
#[test]
fn with_cgroup_v2_alone() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let view = "mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$0\" \"$@\"";
    let view = ["unshare", "-m", "--propagation", "private", "sh", "-c", view];
    for options in [&[][..], &["--device-cgroup-rule", "a *:* rwm"]] {
        let arguments = [options, &[root.to_str().unwrap(), "true"]].concat();
        Both::of_view(&ground, &view, &arguments).are_equal();
    }
}

#[test]
fn read_only_and_without_pivot() {
    compare(User::Root, &["--read-only"], true);
    compare(User::Root, &["--no-pivot"], false);
}

#[test]
fn with_a_terminal() {
    compare(User::Root, &["--tty"], false);
    compare(User::OneId, &["--tty"], false);
}

#[test]
fn from_the_open_root_to_the_pivot_no_path_of_the_host_is_named() {
    for (user, options) in
        [(User::Root, &[][..]), (User::Root, &["--ephemeral"]), (User::Root, &["--userns"]), (User::Ranges, &[])]
    {
        let ground = Ground::new();
        let root = ground.busybox_root("root", user);
        let mut arguments: Vec<String> = options.iter().map(|option: &&str| (*option).to_owned()).collect();
        arguments.extend(rich(&ground));
        arguments.extend([root.to_str().unwrap().to_owned(), "true".to_owned()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let both = Both::of(&ground, user, &arguments);
        let named = both.trace.host_paths_before_pivot();
        let expected = [
            "move_mount({}, \"\", AT_FDCWD, \"/proc\", MOVE_MOUNT_F_EMPTY_PATH)",
            "move_mount({}, \"\", AT_FDCWD, \"/\", MOVE_MOUNT_F_EMPTY_PATH)",
        ];
        assert_eq!(named, expected, "{user:?} {options:?}");
    }
}

#[test]
fn in_new_namespaces_with_nothing_else_changed() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{}", user.name()), user);
        let root = root.to_str().unwrap();
        for options in [
            &["-r"][..],
            &["-a", "-r", "--mount-proc", "--hostname", "box"],
            &["-r", "-p", "-T", "--init", "--domainname", "example", "--boottime", "7"],
            &["-r", "-m", "-p", "--propagation", "slave", "--root", root, "--mount-proc", "--wd", "/etc"],
            &["-r", "-n", "--tty"],
        ] {
            let arguments = [options, &["--", "true"]].concat();
            Both::of_verb(&ground, user, &["ns", "run"], &arguments).are_equal();
        }
    }
    for options in
        [&["-n"][..], &["-p", "-S", "5", "-G", "6"], &["-T", "-C", "-i"], &["-m", "--propagation", "unchanged"]]
    {
        Both::of_verb(&ground, User::Root, &["ns", "run"], &[options, &["--", "true"]].concat()).are_equal();
    }
}

#[test]
fn in_new_namespaces_that_are_kept() {
    let ground = Ground::new();
    let name = format!("izba-strace-{}", std::process::id());
    for user in User::ALL {
        for options in [&["-r", "-n"][..], &["-a", "-r", "--mount-proc"]] {
            let arguments = [options, &["--keep", &name, "--", "true"]].concat();
            ground.izba(user);
            // An ordinary user's are kept by a process, for which strace would wait.
            let both = std::thread::scope(|scope| {
                let dropping = scope.spawn(|| {
                    let dropped = || run(ground.izba(user).args(["ns", "drop", &name])).status == 0;
                    ground.wait_for("the name is there to be dropped", dropped);
                });
                let both = Both::of_verb(&ground, user, &["ns", "run"], &arguments);
                dropping.join().unwrap();
                both
            });
            both.are_equal();
        }
    }
}

#[test]
fn in_existing_namespaces() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{}", user.name()), user);
        let mut target = ground.command("unshare", user);
        target
            .args(["-U", "-r", "-m", "-p", "-n", "-i", "-u", "-C", "-T", "--fork", "--kill-child", "--root"])
            .arg(&root);
        let (target, line) = support::Background::start(target.args(["sh", "-c", "echo up; read end"]));
        assert_eq!(line, "up");
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", target.pid())).unwrap();
        let pid = children.trim();
        for options in [
            &["-U"][..],
            &["-U", "-n", "--preserve-credentials"],
            &["-a"],
            &["-a", "--root", "--wd", "--env", "--credentials"],
            &["-U", "-m", "--root", "--wd=/etc", "-S", "0", "-G", "0"],
            &["-U", "-n", "--tty"],
        ] {
            let arguments = [&[pid], options, &["--", "true"]].concat();
            Both::of_verb(&ground, user, &["ns", "enter"], &arguments).are_equal();
        }
    }
}
