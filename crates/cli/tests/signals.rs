//! Signals, PID 1, and that nothing survives: neither the program's end nor izba's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::process::Command;

use support::{Background, Ground, MARK, User, run};

/// The program says that it is up, and waits without a child of its own.
const WAIT: &str = "echo up; read forever";

fn start(ground: &Ground, user: User, options: &[&str], script: &str) -> Background {
    let mut izba = ground.izba(user);
    let (background, line) =
        Background::start(izba.arg("run").args(MARK).args(options).args(["host", "sh", "-c", script]));
    assert_eq!(line, "up", "{user:?} {options:?}");
    background
}

#[track_caller]
fn nothing_is_left(ground: &Ground) {
    ground.wait_for("no process is left", || ground.processes().is_empty());
}

#[test]
fn signals_to_izba_end_the_program_as_they_would_outside() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--share", "pid"]] {
            for (name, status) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("USR1", 138), ("QUIT", 131)] {
                let mut izba = start(&ground, user, options, &format!("ulimit -c 0; {WAIT}"));
                izba.signal(name);
                assert_eq!(izba.status(), status, "{user:?} {options:?} {name}");
                nothing_is_left(&ground);
            }
        }
    }
}

#[test]
fn a_program_that_handles_a_signal_decides_itself() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--share", "pid"]] {
            for name in ["TERM", "INT", "HUP", "USR1", "USR2", "WINCH"] {
                // The shell looks for signals between commands, and would miss one that comes just before it reads.
                let script = format!("trap 'echo got {name}; exit 7' {name}; echo up; while :; do :; done");
                let mut izba = start(&ground, user, options, &script);
                izba.signal(name);
                assert_eq!(izba.line(), format!("got {name}"), "{user:?} {options:?}");
                assert_eq!(izba.status(), 7, "{user:?} {options:?} {name}");
            }
        }
    }
}

#[test]
fn the_program_is_the_child_of_a_small_init() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(user, &[], "host", "echo $$ $PPID; cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline; [ -r /proc/1/environ ] && head -c1 /proc/1/environ");
        assert!(ended.stdout.starts_with("2 1\nizba-init\nizba-init"), "{user:?}: {ended:?}");
    }
}

#[test]
fn without_init_the_program_is_pid_1_and_ignores_what_it_does_not_handle() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut izba = start(&ground, user, &["--no-init"], "echo up; read line; echo $$ $line; exit 3");
        izba.signal("TERM");
        izba.signal("HUP");
        use std::io::Write;
        izba.child.stdin.as_mut().unwrap().write_all(b"lives\n").unwrap();
        assert_eq!(izba.line(), "1 lives", "{user:?}");
        assert_eq!(izba.status(), 3);
    }
}

#[test]
fn init_reaps_orphans() {
    let ground = Ground::new();
    let script = "(sh -c 'exit 3' & sh -c 'exit 4' &) ; \
                  until [ \"$(cat /proc/1/task/1/children)\" = '2 ' ]; do :; done; grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null; echo clean";
    for user in User::ALL {
        assert_eq!(ground.sh(user, &[], "host", script).text(), "clean", "{user:?}");
    }
}

#[test]
fn background_processes_end_with_the_program() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"]] {
            let ended = ground.sh(
                user,
                options,
                "host",
                "setsid sh -c 'trap \"\" TERM HUP INT; sleep 1000 & sleep 1000' >/dev/null 2>&1 & exit 5",
            );
            assert_eq!(ended.status, 5, "{user:?} {options:?}: {ended:?}");
            nothing_is_left(&ground);
        }
    }
}

/// Python: forks twice, leaves the session, asks for no signal at its parent's end, ignores every signal, and waits.
const STUBBORN: &str = "
import ctypes, os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        print('up', flush=True)
        while True:
            time.sleep(1000)
    os._exit(0)
ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(1000)
";

#[test]
fn everything_dies_with_izba_even_by_sigkill() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--boottime", "1000"], &["--tty"]] {
            let mut izba = ground.izba(user);
            let (mut background, line) =
                Background::start(izba.arg("run").args(MARK).args(options).args(["host", "python3", "-c", STUBBORN]));
            assert_eq!(line.trim_end(), "up", "{user:?} {options:?}");
            background.signal("KILL");
            assert_eq!(background.status(), 137);
            nothing_is_left(&ground);
        }
    }
}

#[test]
fn everything_dies_with_izba_in_a_user_namespace_of_root() {
    let ground = Ground::new();
    let mut izba = ground.izba(User::Root);
    let (mut background, line) =
        Background::start(izba.arg("run").args(MARK).args(["--userns", "host", "python3", "-c", STUBBORN]));
    assert_eq!(line, "up");
    background.signal("KILL");
    assert_eq!(background.status(), 137);
    nothing_is_left(&ground);
}

#[test]
fn the_program_of_a_shared_pid_namespace_dies_with_izba() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut izba = start(&ground, user, &["--share", "pid"], WAIT);
        izba.signal("KILL");
        assert_eq!(izba.status(), 137);
        nothing_is_left(&ground);
    }
}

#[test]
fn ten_izbas_that_are_killed_leave_no_mount() {
    let ground = Ground::new();
    let place = ground.path("").display().to_string();
    let mounts =
        || fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(&place)).count();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let started: Vec<Background> = (0..10)
            .map(|_| {
                let mut izba = ground.izba(user);
                let (background, line) =
                    Background::start(izba.arg("run").args(MARK).arg(&root).args(["sh", "-c", WAIT]));
                assert_eq!(line, "up");
                background
            })
            .collect();
        drop(started);
        nothing_is_left(&ground);
        assert_eq!(mounts(), 0, "{user:?}");
    }
}

#[test]
fn a_hundred_starts_at_once_are_normal() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::OneId);
    let children: Vec<_> = (0..100)
        .map(|number| {
            let mut izba = ground.izba(User::OneId);
            izba.arg("run").args(MARK).arg(&root).args(["sh", "-c", &format!("exit {}", number % 50)]);
            izba.stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (number, child) in children.into_iter().enumerate() {
        let ended = support::Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.status, i32::try_from(number % 50).unwrap(), "{ended:?}");
    }
}

#[test]
fn stopping_and_continuing_izba_reaches_the_program() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut izba = start(&ground, user, &[], "echo up; read line; echo $line; exit 4");
        let stopped = || {
            let states =
                ground.processes().into_iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
            states.filter(|stat| stat.contains("(sh) T")).count() == 1
        };
        izba.signal("TSTP");
        ground.wait_for("the program is stopped", stopped);
        izba.signal("CONT");
        ground.wait_for("the program goes on", || !stopped());
        use std::io::Write;
        izba.child.stdin.as_mut().unwrap().write_all(b"goes on\n").unwrap();
        assert_eq!((izba.line().as_str(), izba.status()), ("goes on", 4), "{user:?}");
    }
}

#[test]
fn a_closed_pipe_ends_the_program_as_outside() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut shell = ground.command("bash", user);
        ground.izba(user);
        let ended =
            run(shell.args(["-c", "\"$0\" run host yes | head -1; echo ${PIPESTATUS[0]}"]).arg(ground.path("izba")));
        assert_eq!(ended.text(), "y\n141", "{user:?}: SIGPIPE");
    }
}

#[test]
fn a_set_user_id_izba_refuses_to_run() {
    let ground = Ground::new();
    let copy = ground.path("izba-suid");
    support::install(ground.path("izba"), &copy);
    assert_eq!(run(Command::new("chmod").arg("4755").arg(&copy)).status, 0);
    let refused = run(ground.command(&copy, User::OneId).args(["run", "host", "id"]));
    assert!(refused.refusal().contains("set-user-ID"), "{refused:?}");
}

/// Python daemons and some supervisors start programs so: the kernel then reaps children, and tells nobody how they ended.
#[test]
fn a_caller_that_ignores_sigchld_gets_the_status_all_the_same() {
    let ground = Ground::new();
    let ignore =
        "import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])";
    for user in User::ALL {
        let mut command = ground.command("/usr/bin/python3", user);
        command.args(["-c", ignore]).arg(ground.path("izba"));
        let ended = run(command.args(["run", "host", "sh", "-c", "exit 7"]));
        assert_eq!(ended.status, 7, "{user:?}: {ended:?}");
    }
}

/// A change of ids takes back what prctl(2) has set with PR_SET_PDEATHSIG.
#[test]
fn the_program_dies_with_its_watcher_whoever_it_runs_as() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    for options in [&["--no-init"][..], &["--no-init", "-u", "1000"], &["--share", "pid", "-u", "1000"]] {
        let mut command = ground.izba(User::Root);
        let mut izba = command.arg("run").args(MARK).args(options).arg(&root).args(["sleep", "1000"]).spawn().unwrap();
        let named = |name: &str| {
            let comm = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            ground.processes().into_iter().find(|pid| comm(pid).trim() == name)
        };
        ground.wait_for("the program runs", || named("sleep").is_some());
        let watcher = named("izba-watch").unwrap();
        assert!(Command::new("kill").args(["-KILL", &watcher.to_string()]).status().unwrap().success());
        assert_eq!(izba.wait().unwrap().code(), Some(137), "{options:?}");
        ground.wait_for("the program has died", || named("sleep").is_none());
    }
}
