//! `izba exec`: a second program like the first one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::path::Path;

use support::{Background, Ended, Ground, User, run};

const SLEEP: &str = "echo up; exec sleep 1000";

/// The same without a moment in which /proc shows no environment.
const STAYS: &str = "echo up; read line";

/// Everything that a second program has to share, as it sees it itself.
const FACTS: &str = "for kind in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$kind; done; \
    grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status; cat /proc/self/limits /proc/self/oom_score_adj; \
    env | grep -v ^_= | sort; pwd; umask; hostname; ls -di /; readlink /proc/self/cwd";

fn exec(ground: &Ground, user: User, options: &[&str], command: &[&str]) -> Ended {
    run(ground.izba(user).arg("exec").args(options).arg("web").args(command))
}

/// A run, and what its program is like.
fn start(ground: &Ground, user: User, options: &[&str], root: &Path) -> (Background, Vec<String>) {
    let mut web = ground.named(user, "web", options, root, &format!("echo up; {FACTS}; echo end; exec sleep 1000"));
    let mut facts = Vec::new();
    loop {
        match web.line() {
            line if line == "end" => return (web, facts),
            line => facts.push(line),
        }
    }
}

#[track_caller]
fn is_like_the_first(ground: &Ground, user: User, options: &[&str], root: &Path) {
    let (_web, first) = start(ground, user, options, root);
    let ended = exec(ground, user, &[], &["sh", "-c", FACTS]);
    let second: Vec<&str> = ended.text().lines().collect();
    assert!(first.len() > 30, "{first:?}");
    assert_eq!(second, first, "{user:?} {options:?}");
}

#[test]
fn a_second_program_is_like_the_first() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        for options in [
            &[][..],
            &["--no-init"],
            &["--share", "pid"],
            &["--share", "net", "--share", "ipc", "--share", "uts"],
            &["--ephemeral"],
            &["--boottime", "5000"],
            &["--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN", "--new-privs"],
            &[
                "-e",
                "A=b c",
                "-w",
                "/tmp",
                "--ulimit",
                "nofile=100:200",
                "--ulimit",
                "core=0",
                "--oom-score-adj",
                "500",
            ],
            &["-u", "ann"],
        ] {
            is_like_the_first(&ground, user, options, &root);
        }
    }
}

#[test]
fn a_second_program_of_root_is_like_the_first() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    for options in [
        &["--userns"][..],
        &["--userns", "-u", "ann", "--share", "pid"],
        &["--no-pivot"],
        &["--read-only", "--tmpfs", "/tmp"],
        &["--repair"],
    ] {
        is_like_the_first(&ground, User::Root, options, &root);
    }
}

#[test]
fn limits_of_the_first_hold_whatever_the_caller_has() {
    let ground = Ground::new();
    for user in User::ALL {
        let _web = ground.named(user, "web", &["--ulimit", "nofile=300:400"], "host", SLEEP);
        let izba = ground.path("izba");
        let limited = |limit: &str, words: &str| {
            let script = format!("ulimit {limit}; exec {} exec web {words}", izba.display());
            run(ground.command("/bin/sh", user).args(["-c", &script]))
        };
        let shown = "sh -c 'ulimit -Sn; ulimit -Hn'";
        assert_eq!(limited("-Sn 50", shown).text(), "300\n400", "{user:?}");
        let lower = limited("-n 200", shown);
        assert_eq!(lower.text(), "200\n200", "{user:?}");
        assert!(lower.stderr.contains("nofile=300:400"), "{lower:?}");
    }
}

#[test]
fn user_environment_and_directory_are_chosen() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        let _web = ground.named(user, "web", &["-e", "A=first"], &root, SLEEP);
        let shown =
            exec(&ground, user, &["-e", "A=second", "-e", "B=c", "-w", "/etc"], &["sh", "-c", "echo $A $B; pwd"]);
        assert_eq!(shown.text(), "second c\n/etc", "{user:?}");
        let ann =
            exec(&ground, user, &["-u", "ann"], &["sh", "-c", "id; echo $HOME $USER; grep CapEff /proc/self/status"]);
        if user == User::OneId {
            assert!(ann.refusal().contains("user 1000 can't run the program"), "{ann:?}");
        } else {
            let expected =
                "uid=1000(ann) gid=1000(ann) groups=60(games),1000(ann)\n/home ann\nCapEff:\t0000000000000000";
            assert_eq!(ann.text(), expected, "{user:?}");
        }
        assert!(exec(&ground, user, &["-u", "nobody-here"], &["true"]).refusal().contains("nobody-here"));
        assert!(exec(&ground, user, &["-w", "/none"], &["true"]).refusal().contains("/none"));
        assert!(exec(&ground, user, &["-w", "relative"], &["true"]).refusal().contains("--workdir"));
    }
}

#[test]
fn without_a_command_it_is_the_users_shell() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    ground.file(root.join("etc/passwd"), User::Root, "root:x:0:0:root:/root:/bin/hostname\n");
    let _web = ground.named(User::Root, "web", &["--hostname", "inside"], &root, SLEEP);
    assert_eq!(exec(&ground, User::Root, &[], &[]).text(), "inside");
    assert_eq!(exec(&ground, User::Root, &["-u", "0"], &[]).text(), "inside");
}

#[test]
fn the_status_is_the_programs() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        ground.file(root.join("bin/not-executable"), user, "x");
        for options in [&[][..], &["--share", "pid"]] {
            let _web = ground.named(user, "web", options, &root, SLEEP);
            assert_eq!(exec(&ground, user, &[], &["sh", "-c", "exit 7"]).status, 7);
            assert_eq!(exec(&ground, user, &[], &["sh", "-c", "kill -USR1 $$"]).status, 128 + 10);
            assert!(exec(&ground, user, &[], &["not-there"]).failure(127).contains("not-there"));
            assert!(exec(&ground, user, &[], &["not-executable"]).failure(126).contains("not-executable"));
            assert!(exec(&ground, user, &["-e", "PATH=/none"], &["sh"]).failure(127).contains("/none"));
        }
    }
}

#[test]
fn a_killed_exec_takes_its_program_along_and_leaves_the_run() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--share", "pid"]] {
            let mut web = ground.named(user, "web", options, "host", STAYS);
            let before = ground.processes();
            let mut second = ground.izba(user);
            second.args(["exec", "web", "sh", "-c", STAYS]);
            let (mut second, line) = Background::start(&mut second);
            assert_eq!(line, "up");
            assert!(ground.processes().len() > before.len());
            second.signal("KILL");
            assert_eq!(second.status(), 137);
            // A process that was counted before may have been on its way out.
            ground.wait_for("only the run is left", || ground.processes().iter().all(|pid| before.contains(pid)));
            assert!(web.child.try_wait().unwrap().is_none(), "{user:?} {options:?}");
        }
    }
}

#[test]
fn signals_are_passed_on_and_the_end_of_the_run_ends_it() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut web = ground.named(user, "web", &[], "host", SLEEP);
        let second = |script: &str| {
            let mut second = ground.izba(user);
            second.args(["exec", "web", "sh", "-c", script]);
            let (second, line) = Background::start(&mut second);
            assert_eq!(line, "up");
            second
        };
        let mut handles = second("trap 'exit 9' TERM; echo up; while :; do :; done");
        handles.signal("TERM");
        assert_eq!(handles.status(), 9, "{user:?}");
        let mut ends = second(SLEEP);
        web.signal("TERM");
        assert_eq!((web.status(), ends.status()), (143, 137), "{user:?}");
    }
}

#[test]
fn a_terminal_gets_a_new_one_inside() {
    let ground = Ground::new();
    const PERSON: &str = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        for options in [&[][..], &["--share", "pid"]] {
            let _web = ground.named(user, "web", options, &root, SLEEP);
            let at_terminal = |words: &[&str]| {
                let mut python = ground.command("python3", user);
                python
                    .env("TERM", "dumb")
                    .args(["-c", PERSON])
                    .arg(ground.path("izba"))
                    .args(["exec", "web"])
                    .args(words);
                run(&mut python)
            };
            let shown = at_terminal(&["sh", "-c", "tty; echo $TERM; echo typed > /dev/tty; ls -l $(tty) | cut -c1"]);
            assert_eq!(shown.text(), "/dev/pts/0\r\ndumb\r\ntyped\r\nc", "{user:?} {options:?}");
            assert_eq!(exec(&ground, user, &["-t"], &["tty"]).text().trim(), "/dev/pts/0", "{user:?} {options:?}");
            assert_eq!(exec(&ground, user, &["-t", "--no-tty"], &["tty"]).stdout, "not a tty\n", "{user:?}");
        }
    }
}

#[test]
fn the_plan_is_shown_and_nothing_done() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let _web = ground.named(User::Root, "web", &[], &root, SLEEP);
    let before = ground.processes();
    let shown = exec(&ground, User::Root, &["--dry-run"], &["touch", "/made"]);
    assert!(shown.text().contains("join the net namespace") && shown.stdout.contains("touch"), "{shown:?}");
    let json = exec(&ground, User::Root, &["--dry-run", "--format", "json"], &["touch", "/made"]);
    assert!(serde_json::from_str::<serde_json::Value>(json.text()).unwrap()["steps"].is_array());
    assert!(!root.join("made").exists());
    let explained = exec(&ground, User::Root, &["--explain"], &["touch", "/made"]);
    assert!(explained.status == 0 && explained.stderr.contains("join the mnt namespace"), "{explained:?}");
    assert!(root.join("made").exists());
    assert_eq!(ground.processes(), before);
}

/// Nobody has reaped it yet, so that the run is still found.
#[test]
fn a_program_that_has_ended_is_the_cause() {
    let ground = Ground::new();
    let mut web = ground.named(User::Root, "web", &["--no-init"], "host", SLEEP);
    let shown = run(ground.izba(User::Root).args(["inspect", "web"]));
    let record: serde_json::Value = serde_json::from_str(shown.text()).unwrap();
    let pid = |process: &str| record[process]["pid"].as_i64().unwrap_or_else(|| panic!("{record:#}"));
    let (first, program) = (pid("first"), pid("program"));
    let signal = |script: String| run(ground.command("sh", User::Root).args(["-c", &script])).text().to_owned();
    signal(format!("kill -STOP {first} && kill -KILL {program}"));
    let zombie = || fs::read_to_string(format!("/proc/{program}/stat")).unwrap().contains(") Z ");
    ground.wait_for("the program is a zombie", zombie);
    for verb in [&["exec", "web", "true"][..], &["update", "web", "--cpuset-cpus", "4095"]] {
        let ended = run(ground.izba(User::Root).args(verb));
        assert!(ended.refusal().contains("the program of the run web has ended"), "{ended:?}");
    }
    signal(format!("kill -CONT {first}"));
    assert_eq!(web.status(), 137);
}

/// A program of an unreadable file isn't dumpable, so that its namespaces are root's alone: ptrace(2).
#[test]
fn a_program_that_is_closed_to_its_user_is_said() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Ranges);
    let closed = root.join("root/busybox");
    support::install("/bin/busybox", &closed);
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let mut izba = ground.izba(User::Ranges);
    izba.args(["run", "--name", "web"]).args(support::MARK).arg(&root);
    izba.args(["/root/busybox", "sh", "-c", "echo up; while :; do sleep 1; done"]);
    let (_web, line) = Background::start(&mut izba);
    assert_eq!(line, "up");
    let refused = exec(&ground, User::Ranges, &[], &["true"]);
    assert!(refused.refusal().contains("closed to you"), "{refused:?}");
    assert_eq!(run(ground.izba(User::Ranges).args(["ps", "-q"])).text(), "web");
    assert_eq!(run(ground.izba(User::Ranges).args(["kill", "web", "KILL"])).text(), "");
}
