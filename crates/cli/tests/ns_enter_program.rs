//! `izba ns enter`: the program's end, its signals and its terminal, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod pty;
mod support;
mod target;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Background, Ended, Ground, User, run};
use target::{ALL, KINDS, Target, peer};

/// `izba ns enter TARGET OPTIONS sh -c SCRIPT`
fn izba(ground: &Ground, user: User, target: &str, options: &[&str], script: &str) -> Ended {
    run(ground.izba(user).args(["ns", "enter", target]).args(options).args(["--", "sh", "-c", script]))
}

#[test]
fn one_error_for_what_cannot_be_entered() {
    let ground = Ground::new();
    let fifo = ground.path("fifo");
    assert_eq!(run(Command::new("mkfifo").arg(&fifo)).status, 0);
    let target = Target::new(&ground, User::Root, &["-n"]);
    let cases = [
        ("4194304", &[][..], "no process 4194304"),
        ("2147483647", &[], "no namespace 2147483647"),
        ("99999999999999999999", &[], "no process, name or namespace"),
        ("-1", &[], "-1"),
        ("0", &[], "no process 0"),
        ("", &[], "\"\""),
        ("no-such-name", &[], "no-such-name"),
        ("net:[1]", &[], "net:[1]"),
        ("id:18446744073709551615", &[], "id:"),
        ("/etc/passwd", &[], "stands for no namespace"),
        ("/no/such", &[], "/no/such"),
        (fifo.to_str().unwrap(), &[], "stands for no namespace"),
        ("/dev/null", &[], "stands for no namespace"),
        ("/dev/tty", &[], "stands for no namespace"),
        ("/tmp", &[], "stands for no namespace"),
        ("/proc/self/ns", &[], "stands for no namespace"),
        ("/proc/self/ns/net", &["-u"], "only net"),
        ("/proc/self/ns/net", &["--root"], "--root"),
        ("/proc/self/ns/net", &["--env"], "--env"),
        ("/proc/self/ns/net", &["--wd"], "--wd"),
        ("/proc/self/ns/net", &["--credentials"], "--credentials"),
        ("1", &[], "process 1"),
    ];
    for (text, options, expected) in cases {
        let refused = izba(&ground, User::Root, text, options, "echo run");
        assert!(refused.refusal().contains(expected), "{text} {options:?}: {refused:?}");
    }
    for (options, expected) in [
        (&["-n", "-n"][..], "cannot be used multiple times"),
        (&["-a", "-n"], "cannot be used with"),
        (&["--credentials", "-S", "5"], "cannot be used with"),
        (&["-T", "--boottime", "5"], "time_namespaces(7)"),
        (&["--monotonic", "5"], "time_namespaces(7)"),
    ] {
        let refused = izba(&ground, User::Root, &target.pid(), options, "echo run");
        assert!(refused.refusal().contains(expected), "{options:?}: {refused:?}");
    }
}

#[test]
fn the_callers_own_namespaces() {
    let ground = Ground::new();
    for user in User::ALL {
        // A kind that is named is entered already.
        let mut shell = ground.command("sh", user);
        ground.izba(user);
        let script = "\"$0\" ns enter $$ \"$@\" -- readlink /proc/self/ns/uts";
        for letter in ["-u", "-U"] {
            let ended = run(shell.args(["-c", script]).arg(ground.path("izba")).arg(letter));
            assert_eq!(Path::new(ended.text()), fs::read_link("/proc/self/ns/uts").unwrap(), "{user:?} {letter}");
            shell = ground.command("sh", user);
        }
        // Where none is named there is nothing to enter.
        let nothing = run(shell.args(["-c", script]).arg(ground.path("izba")));
        assert!(nothing.refusal().contains("no namespace but your own"), "{user:?}: {nothing:?}");
    }
}

#[test]
fn somebody_elses_process_is_closed_to_an_ordinary_user() {
    let ground = Ground::new();
    let targets = [Target::new(&ground, User::Root, &["-n"]), Target::new(&ground, User::Ranges, &["-U", "-r", "-n"])];
    for target in &targets {
        for options in [&[][..], &["-n"], &["-U", "-n"]] {
            let refused = izba(&ground, User::OneId, &target.pid(), options, "echo run");
            assert!(refused.refusal().contains("ptrace(2)"), "{options:?}: {refused:?}");
        }
        let refused = izba(&ground, User::OneId, &target.path("net"), &[], "echo run");
        assert!(refused.refusal().contains("ermission denied"), "{refused:?}");
    }
}

#[test]
fn a_pid_namespace_without_its_process_1() {
    let ground = Ground::new();
    let kept = ground.path("kept");
    fs::write(&kept, "").unwrap();
    let made = run(Command::new("unshare").arg(format!("--pid={}", kept.display())).args(["--fork", "true"]));
    let text = kept.to_str().unwrap();
    let refused =
        [izba(&ground, User::Root, text, &[], "echo run"), izba(&ground, User::Root, text, &["-p"], "echo run")];
    // Another test's izba may have it open for a moment: EBUSY.
    assert_eq!(run(Command::new("umount").arg("--lazy").arg(&kept)).status, 0);
    assert_eq!(made.status, 0);
    for refused in &refused {
        assert!(refused.refusal().contains("process 1") && refused.stderr.contains("pid_namespaces(7)"), "{refused:?}");
    }
}

#[test]
fn status_and_signals_are_passed_on() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let before = ground.processes();
        for options in [&["-U", "-n"][..], &["-U", "-p"], &[]] {
            assert_eq!(izba(&ground, user, &target.pid(), options, "exit 7").status, 7, "{user:?} {options:?}");
            assert_eq!(
                izba(&ground, user, &target.pid(), options, "kill -KILL $$").status,
                137,
                "{user:?} {options:?}"
            );
            let start = |script: &str| {
                let mut command = ground.izba(user);
                command.args(["ns", "enter", &target.pid()]).args(options).args(["--", "sh", "-c", script]);
                let (running, line) = Background::start(&mut command);
                assert_eq!(line, "up", "{user:?} {options:?}");
                running
            };
            let mut running = start("trap 'echo caught; exit 9' TERM; echo up; while :; do sleep 0.02; done");
            running.signal("TERM");
            assert_eq!(running.line(), "caught");
            assert_eq!(running.status(), 9);
            let mut running = start("echo up; exec sleep 1000");
            running.signal("KILL");
            assert_eq!(running.status(), 137);
            drop(running);
            let started = || ground.processes().into_iter().filter(|pid| !before.contains(pid)).collect();
            ground.wait_until_none("of what izba has started", started);
        }
        let missing = run(ground.izba(user).args(["ns", "enter", &target.pid(), "--", "/no/such/program"]));
        missing.failure(127);
        let none = run(ground.izba(user).args(["ns", "enter", &target.pid(), "--", "/etc/passwd"]));
        none.failure(126);
    }
}

#[test]
fn a_dry_run_runs_nothing() {
    let ground = Ground::new();
    let touched = ground.path("touched");
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let script = format!("touch {}", touched.display());
        let shown = izba(&ground, user, &target.pid(), &["--dry-run"], &script);
        for (kind, _) in KINDS {
            assert!(shown.text().contains(&format!("/proc/{}/ns/{kind}", target.pid)), "{user:?}: {shown:?}");
        }
        let json = izba(&ground, user, &target.pid(), &["--dry-run", "--format", "json"], &script);
        let plan: serde_json::Value = serde_json::from_str(json.text()).unwrap();
        // The user namespace gives the rights or takes them.
        let joins: Vec<String> =
            plan["steps"].as_array().unwrap().iter().map(|step| step["calls"].to_string()).collect();
        let place =
            |flag: &str| joins.iter().position(|calls| calls.contains("setns(") && calls.contains(flag)).unwrap();
        assert_eq!(place("CLONE_NEWUSER") < place("CLONE_NEWNET"), user != User::Root, "{user:?}");
    }
    assert!(!touched.exists());
}

#[test]
fn a_shell_gets_a_terminal_of_the_inside_or_else_of_the_callers() {
    let ground = Ground::new();
    let script = "start()\nsend('test -t 0 && echo termi\"\"nal; cat\\n')\nexpect('terminal\\r\\n')\nsend('one\\n')\nexpect('one\\r\\none')\n\
                  send('\\x03')\nexpect('^C')\nexpect('# ')\nsend('echo still:$?\\n')\nexpect('still:130')\nsend('exit 9\\n')\n\
                  print(status(), modes() == before)";
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{}", user.name()), user);
        let without_ptmx =
            Target::with(peer(&ground, user, "unshare").args(ALL).arg("--root").arg(root), "echo up; read end");
        let plain = Target::new(&ground, user, &ALL);
        for (target, options) in [
            (&plain, &["-U", "-n"][..]),
            (&plain, &[]),
            (&without_ptmx, &["-a", "--root"]),
            (&without_ptmx, &["-U", "--root"]),
        ] {
            let pid = target.pid();
            let arguments = [&["ns", "enter", &pid], options, &["--", "sh", "-i"]].concat();
            assert_eq!(pty::drive(&ground, user, &arguments, script).text(), "9 True", "{user:?} {options:?}");
        }
    }
}
