//! A start that hangs is given up by a signal: its status says which, and nothing is left.
//!
//! strace stops izba before the first process is made, its group is frozen, and izba goes on: no try depends on how fast anything is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]
#![allow(clippy::print_stdout, reason = "what is skipped is said")]

mod group;
mod support;

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use group::{groups_of, izba, json};
use support::{Ended, Ground, MARK, User, run};

const WAIT: &str = "echo up; read forever";

/// izba under strace, which has stopped it at a call. Dropping this ends it.
struct Stopped<'a> {
    ground: &'a Ground,
    strace: Option<Child>,
    izba: String,
}

impl<'a> Stopped<'a> {
    /// As root, at the first call of this name. What the test's own caller ignores is as usual, but for this signal.
    fn start(ground: &'a Ground, call: &str, ignored: &str, words: &[&str]) -> Self {
        let trace = ground.path("trace");
        fs::write(&trace, "").unwrap();
        let mut command = ground.command("/usr/bin/strace", User::Root);
        command.args(["-qq", "-e", &format!("inject={call}:signal=STOP:when=1"), "-o"]).arg(&trace);
        command.args(["/usr/bin/env", "--default-signal=INT,QUIT,HUP,TERM", &format!("--ignore-signal={ignored}")]);
        // A pipe would stay open in what is left of a start.
        let file = |name| fs::File::create(ground.path(name)).unwrap();
        command.arg(ground.path("izba")).args(words).stdout(file("stdout")).stderr(file("stderr"));
        let strace = command.spawn().unwrap();
        let is_stopped = || fs::read_to_string(&trace).unwrap().contains("--- stopped by SIGSTOP ---");
        ground.wait_for("izba has stopped", is_stopped);
        let izba = children(&strace.id().to_string()).pop().unwrap();
        Self { ground, strace: Some(strace), izba }
    }

    fn signal(&self, name: &str) {
        assert_eq!(run(Command::new("kill").args(["-s", name, &self.izba])).status, 0);
    }

    /// Goes on, and waits for its first process.
    fn go_on(&self) -> String {
        self.signal("CONT");
        self.ground.wait_for("there is a first process", || !children(&self.izba).is_empty());
        children(&self.izba).pop().unwrap()
    }

    /// It ends by itself.
    fn ended(mut self) -> Ended {
        let is_there = || Path::new(&format!("/proc/{}", self.izba)).exists();
        self.ground.wait_for("izba has ended", || !is_there());
        ended(self.ground, self.strace.take().unwrap().wait().unwrap())
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if let Some(mut strace) = self.strace.take() {
            let _gone = run(Command::new("kill").args(["-KILL", &self.izba]));
            let _ended = strace.kill().and_then(|()| strace.wait());
        }
    }
}

/// What it has written to its files.
fn ended(ground: &Ground, status: ExitStatus) -> Ended {
    let read = |name| fs::read(ground.path(name)).unwrap();
    Ended::from(Output { status, stdout: read("stdout"), stderr: read("stderr") })
}

fn children(pid: &str) -> Vec<String> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().map(ToOwned::to_owned).collect()
}

/// Is it frozen where it can't do anything more? Then it sleeps.
fn sleeps(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    matches!(state, Some('S' | 'D'))
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Who has adopted it may reap it when it likes.
    stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z') && !rest.is_empty())
}

fn unified(ground: &Ground, name: &str) -> PathBuf {
    json(ground, &["inspect", name])["cgroup"]["unified"].as_str().unwrap().into()
}

#[test]
fn a_program_in_a_group_that_is_frozen_meanwhile_is_given_up() {
    let ground = Ground::new();
    let run = ground.named(User::Root, "web", &[], "host", WAIT);
    let freeze = unified(&ground, "web").join("cgroup.freeze");
    for (name, status) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        let starting = Stopped::start(&ground, "socketpair", "USR1", &["exec", "--no-tty", "web", "true"]);
        fs::write(&freeze, "1").unwrap();
        let first = starting.go_on();
        let events = freeze.with_file_name("cgroup.events");
        ground.wait_for("all are frozen", || fs::read_to_string(&events).unwrap().contains("frozen 1"));
        starting.signal(name);
        let ended = starting.ended();
        assert!(ended.failure(status).starts_with(&format!("error: the start was given up: SIG{name}\n")), "{ended:?}");
        assert!(ended.stderr.contains("web-") && ended.stderr.contains("is frozen"), "{ended:?}");
        assert!(!is_running(&first), "{name}");
        fs::write(&freeze, "0").unwrap();
    }
    assert_eq!(izba(&ground, &["exec", "--no-tty", "web", "echo", "goes on"]).text(), "goes on");
    drop(run);
}

#[test]
fn a_signal_that_the_caller_ignores_gives_nothing_up() {
    let ground = Ground::new();
    let _run = ground.named(User::Root, "web", &[], "host", WAIT);
    let freeze = unified(&ground, "web").join("cgroup.freeze");
    let starting = Stopped::start(&ground, "socketpair", "HUP", &["exec", "--no-tty", "web", "true"]);
    fs::write(&freeze, "1").unwrap();
    starting.go_on();
    starting.signal("HUP");
    starting.signal("TERM");
    // Of both, the first by number would count.
    assert!(starting.ended().failure(143).contains("SIGTERM"));
    fs::write(&freeze, "0").unwrap();
}

/// A group of the v1 freezer, which goes when this is dropped.
struct Freezer(PathBuf);

impl Freezer {
    /// `None` where cgroup v1's freezer isn't mounted.
    fn new(ground: &Ground) -> Option<Self> {
        let top = Path::new("/sys/fs/cgroup/freezer");
        if !top.exists() {
            println!("skipped: cgroup v1's freezer isn't mounted here");
            return None;
        }
        let dir = top.join(ground.path("").file_name().unwrap());
        fs::create_dir(&dir).unwrap();
        Some(Self(dir))
    }

    /// With the run's processes.
    fn with(ground: &Ground, run: &str) -> Option<Self> {
        let freezer = Self::new(ground)?;
        let procs = fs::read_to_string(unified(ground, run).join("cgroup.procs")).unwrap();
        procs.lines().for_each(|pid| fs::write(freezer.0.join("cgroup.procs"), pid).unwrap());
        Some(freezer)
    }

    fn set(&self, state: &str) {
        fs::write(self.0.join("freezer.state"), state).unwrap();
    }
}

impl Drop for Freezer {
    /// A test that fails leaves members, which have to go before the group can.
    fn drop(&mut self) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.0.exists() && Instant::now() < until {
            let _thawed = fs::write(self.0.join("freezer.state"), "THAWED");
            let members = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
            members.lines().for_each(|pid| drop(fs::write("/sys/fs/cgroup/freezer/cgroup.procs", pid)));
            if fs::remove_dir(&self.0).is_err() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// There a process doesn't even end by SIGKILL.
#[test]
fn what_the_v1_freezer_holds_is_said_and_ends_when_it_is_thawed() {
    let ground = Ground::new();
    let run = ground.named(User::Root, "web", &[], "host", WAIT);
    let Some(freezer) = Freezer::with(&ground, "web") else { return };
    let starting = Stopped::start(&ground, "socketpair", "USR1", &["exec", "--no-tty", "web", "true"]);
    freezer.set("FROZEN");
    let first = starting.go_on();
    let frozen = || fs::read_to_string(freezer.0.join("cgroup.procs")).unwrap().lines().any(|pid| pid == first);
    ground.wait_for("the first process has joined", || frozen() && sleeps(&first));
    starting.signal("TERM");
    let ended = starting.ended();
    assert!(ended.failure(143).contains(&format!("process {first} of it was killed")), "{ended:?}");
    assert!(ended.stderr.contains(&format!("{} is frozen", freezer.0.display())), "{ended:?}");
    freezer.set("THAWED");
    ground.wait_for("it ends", || !is_running(&first));
    drop(run);
    ground.wait_for("nobody is in the group", || fs::remove_dir(&freezer.0).is_ok());
}

#[test]
fn a_run_that_is_frozen_from_its_start_leaves_neither_record_nor_group() {
    let ground = Ground::new();
    let name = "given-up";
    let words = ["run", "--no-tty", "--name", name, MARK[0], MARK[1], "host", "true"];
    let starting = Stopped::start(&ground, "socketpair", "USR1", &words);
    let groups = groups_of(name);
    let group = groups.iter().find(|group| group.join("cgroup.freeze").exists()).unwrap();
    fs::write(group.join("cgroup.freeze"), "1").unwrap();
    let first = starting.go_on();
    starting.signal("INT");
    assert!(starting.ended().failure(130).contains("SIGINT"));
    assert!(!is_running(&first) && groups.iter().all(|group| !group.exists()), "{groups:?}");
    assert_eq!(fs::read_dir(ground.runtime(User::Root).join("runs")).unwrap().count(), 0);
}

/// `izba run` by a user whose newuidmap(1) is this script, which begins with `said`: it says its process id and the first process's.
fn with_helper(ground: &Ground, script: &str) -> Child {
    let (bin, said) = (ground.directory("bin", User::Ranges), ground.directory("said", User::Ranges).join("pids"));
    let text = ground.path("newuidmap");
    let said = format!("said() {{ echo $$ $1 > {}; }}", said.display());
    ground.file(&text, User::Ranges, &format!("#!/bin/sh\n{said}\n{script}\n"));
    support::install(text, bin.join("newuidmap"));
    let mut command = ground.izba(User::Ranges);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    command.args(["run", "--no-tty"]).args(MARK).args(["host", "true"]).env("PATH", path);
    // A pipe would stay open in what is left of a start.
    let file = |name| fs::File::create(ground.path(name)).unwrap();
    command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap()
}

/// What the script has said.
fn said(ground: &Ground) -> [String; 2] {
    let said = || fs::read_to_string(ground.path("said/pids")).unwrap_or_default();
    ground.wait_for("the helper runs", || said().ends_with('\n'));
    let said = said();
    let (helper, first) = said.trim().split_once(' ').unwrap();
    [helper.to_owned(), first.to_owned()]
}

fn terminate(izba: &Child) {
    assert_eq!(run(Command::new("kill").args(["-s", "TERM", &izba.id().to_string()])).status, 0);
}

#[test]
fn a_helper_that_hangs_is_ended() {
    for hangs in ["said $1; exec sleep 1000", "exec 2>&-; said $1; exec sleep 1000"] {
        let ground = Ground::new();
        let mut izba = with_helper(&ground, hangs);
        let [helper, _] = said(&ground);
        terminate(&izba);
        ground.wait_for("the helper has ended", || !is_running(&helper));
        let ended = ended(&ground, izba.wait().unwrap());
        assert!(ended.failure(143).contains("the start was given up at the step: "), "{hangs}: {ended:?}");
    }
}

/// The helper freezes the first process, and fails.
#[test]
fn a_failure_is_said_though_a_signal_ends_the_wait_for_what_stays() {
    let ground = Ground::new();
    let Some(freezer) = Freezer::new(&ground) else { return };
    let dir = freezer.0.display();
    for file in ["cgroup.procs", "freezer.state"] {
        chown(freezer.0.join(file), Some(User::Ranges.account().0), None).unwrap();
    }
    let script = format!(
        "echo $1 > {dir}/cgroup.procs; echo FROZEN > {dir}/freezer.state; echo no such range >&2; said $1; exit 1"
    );
    let mut izba = with_helper(&ground, &script);
    let [helper, first] = said(&ground);
    ground.wait_for("the helper has ended", || !is_running(&helper));
    terminate(&izba);
    let ended = ended(&ground, izba.wait().unwrap());
    let left = format!("no such range; process {first} of it was killed, and ends as soon as it can");
    assert!(ended.failure(125).contains(&left), "{ended:?}");
    assert!(is_running(&first));
    freezer.set("THAWED");
    ground.wait_for("it ends", || !is_running(&first));
}

/// Without a PID namespace that ends with its first process, which is killed while the program's process is still on its way.
#[test]
fn a_program_whose_start_is_given_up_is_not_executed() {
    let ground = Ground::new();
    for words in
        [&["ns", "run", "-n"][..], &["run", "--share", "pid", "--cgroup-manager", "none", MARK[0], MARK[1], "host"]]
    {
        let mut command = ground.command("/usr/bin/strace", User::Root);
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=sendmsg:delay_enter=300000"]);
        command
            .arg(ground.path("izba"))
            .args(words)
            .args(["sleep", "1000"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let strace = command.spawn().unwrap();
        let izba = || children(&strace.id().to_string()).pop().unwrap_or_default();
        let program = || children(&izba()).iter().any(|first| !children(first).is_empty());
        ground.wait_for("the program's process is made", program);
        assert_eq!(run(Command::new("kill").args(["-s", "TERM", &izba()])).status, 0);
        let ended = Ended::from(strace.wait_with_output().unwrap());
        assert!(ended.failure(143).contains("the start was given up"), "{words:?}: {ended:?}");
        ground.wait_until_none(&format!("{words:?}: of what was started"), || ground.processes());
    }
}

/// The program is executed while izba hasn't heard of it.
#[test]
fn a_signal_at_the_end_of_the_start_reaches_the_program() {
    let ground = Ground::new();
    let script = "trap 'echo got; exit 7' TERM; echo up > up; while :; do :; done";
    let up = ground.path("up");
    let place = format!("{}:/place", ground.path("").display());
    let words = ["run", "--no-tty", "-v", &place, "-w", "/place", MARK[0], MARK[1], "host", "sh", "-c", script];
    let starting = Stopped::start(&ground, "ppoll", "USR1", &words);
    ground.wait_for("the program runs", || fs::read_to_string(&up).is_ok_and(|up| !up.is_empty()));
    starting.signal("TERM");
    starting.signal("CONT");
    let ended = starting.ended();
    assert_eq!((ended.status, ended.stdout.as_str()), (7, "got\n"), "{ended:?}");
}
