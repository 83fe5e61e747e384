//! `izba ns run`: the program's end, its signals and its terminal, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod pty;
mod support;
mod target;

use std::fs;

use support::{Background, Ended, Ground, User, run};
use target::{KINDS, peer};

/// `izba ns run OPTIONS sh -c SCRIPT`
fn izba(ground: &Ground, user: User, options: &[&str], script: &str) -> Ended {
    run(ground.izba(user).args(["ns", "run"]).args(options).args(["--", "sh", "-c", script]))
}

/// What this user has to ask for besides.
fn rights(user: User) -> &'static [&'static str] {
    if user == User::Root { &[] } else { &["-U", "-r"] }
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let ground = Ground::new();
    let cases = [
        (&[][..], "no new namespace"),
        (&["-n", "-n"], "cannot be used multiple times"),
        (&["-a", "-n"], "cannot be used with"),
        (&["-U", "-r", "-c"], "cannot be used with"),
        (&["-n", "--propagation", "slave"], "-m"),
        (&["-m", "--propagation", "sideways"], "sideways"),
        (&["-n", "--init"], "--pid"),
        (&["-U", "--uidmap", "0:0"], "--uidmap"),
        (&["-U", "--uidmap", "0:0:1", "--uidmap", "0:5:1"], "--uidmap"),
        (&["--hostname", ""], "--hostname"),
        (&["-u", "--hostname", "a/b c"], "--hostname"),
        (&["--boottime", "soon"], "--boottime"),
        (&["-n", "--keep", "a/b"], "a/b"),
        (&["-n", "--keep", ""], "--keep"),
    ];
    for (options, expected) in cases {
        let refused = izba(&ground, User::Root, options, "echo run");
        assert!(refused.refusal().contains(expected), "{options:?}: {refused:?}");
    }
}

#[test]
fn an_ordinary_user_is_told_to_make_a_user_namespace() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        for (_, letter) in KINDS.into_iter().filter(|&(kind, _)| kind != "user") {
            let refused = izba(&ground, user, &[letter], "echo run");
            assert!(refused.refusal().contains("user namespace"), "{user:?} {letter}: {refused:?}");
            assert_ne!(run(peer(&ground, user, "unshare").args([letter, "true"])).status, 0);
        }
    }
}

#[test]
fn the_programs_status_is_passed_on() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&["-u"][..], &["-p"], &["-p", "--init"], &["-a", "-r"]] {
            let rights = if options.contains(&"-a") { &[] } else { rights(user) };
            let options = [rights, options].concat();
            for status in [0, 1, 7, 255] {
                let script = format!("exit {status}");
                assert_eq!(izba(&ground, user, &options, &script).status, status, "{user:?} {options:?}");
            }
            // Process 1 can't signal itself.
            let ended = izba(&ground, user, &options, "sh -c 'kill -TERM $$'; exit $?");
            assert_eq!(ended.status, 143, "{user:?} {options:?}: {ended:?}");
        }
        let options = [rights(user), &["-u"]].concat();
        assert_eq!(izba(&ground, user, &options, "kill -KILL $$").status, 137, "{user:?}");
    }
}

#[test]
fn a_program_that_is_not_there_or_none() {
    let ground = Ground::new();
    ground.file(ground.path("closed"), User::Root, "#!/bin/sh\n");
    for user in User::ALL {
        let options = [rights(user), &["-u", "-p"]].concat();
        let start = |program: &str| run(ground.izba(user).args(["ns", "run"]).args(&options).args(["--", program]));
        start("no-such-program").failure(127);
        start("/no/such/program").failure(127);
        start("/etc/passwd").failure(126);
        start(ground.path("closed").to_str().unwrap()).failure(126);
        start("/etc").failure(126);
    }
}

#[test]
fn without_a_command_it_is_the_callers_shell() {
    let ground = Ground::new();
    let mut shell = ground.izba(User::Root);
    shell.env("SHELL", "/bin/hostname").args(["ns", "run", "--hostname", "box"]);
    assert_eq!(run(&mut shell).text(), "box");
}

/// izba with a program that says `up`, in the background.
fn background(ground: &Ground, user: User, options: &[&str], script: &str) -> Background {
    let mut command = ground.izba(user);
    command.args(["ns", "run"]).args(options).args(["--", "sh", "-c", script]);
    let (background, line) = Background::start(&mut command);
    assert_eq!(line, "up");
    background
}

#[test]
fn the_program_dies_with_izba() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&["-u"][..], &["-p"], &["-p", "--init"], &["-T"], &["-n", "--kill-child"], &["-a", "-r"]] {
            let options = if options.contains(&"-r") { options.to_vec() } else { [rights(user), options].concat() };
            let mut izba = background(&ground, user, &options, "echo up; exec sleep 1000");
            izba.signal("KILL");
            assert_eq!(izba.status(), 137);
            drop(izba);
            ground.wait_for(&format!("{user:?} {options:?}: the program ends"), || ground.processes().is_empty());
        }
    }
}

#[test]
fn what_the_program_left_behind_ends_with_its_pid_namespace() {
    let ground = Ground::new();
    for user in User::ALL {
        let options = [rights(user), &["-p"]].concat();
        let ended = izba(
            &ground,
            user,
            &options,
            "sleep 1000 </dev/null >/dev/null 2>&1 & setsid sleep 1000 </dev/null >/dev/null 2>&1 & exit 3",
        );
        assert_eq!(ended.status, 3);
        ground.wait_for("all have ended", || ground.processes().is_empty());
    }
}

#[test]
fn signals_reach_the_program() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&["-u"][..], &["-p"], &["-p", "--init"], &["-n", "--forward-signals"], &["-T"]] {
            let options = [rights(user), options].concat();
            let script = "trap 'echo caught; exit 9' TERM; trap 'echo one' USR1; echo up; while :; do sleep 0.02; done";
            let mut izba = background(&ground, user, &options, script);
            izba.signal("USR1");
            assert_eq!(izba.line(), "one", "{user:?} {options:?}");
            izba.signal("TERM");
            assert_eq!(izba.line(), "caught", "{user:?} {options:?}");
            assert_eq!(izba.status(), 9);
        }
    }
}

#[test]
fn a_dry_run_changes_nothing_and_makes_nothing() {
    let ground = Ground::new();
    for user in User::ALL {
        let before: Vec<_> = fs::read_dir(ground.runtime(user)).unwrap().collect();
        let options = ["-a", "-r", "--mount-proc", "--hostname", "box", "--keep", "kept", "--dry-run"];
        let script = format!("touch {}", ground.path("touched").display());
        let text = izba(&ground, user, &options, &script);
        for expected in ["unshare", "hostname box", "uid_map", "touch"] {
            assert!(text.text().contains(expected), "{expected}: {text:?}");
        }
        let json = izba(&ground, user, &[&options[..], &["--format", "json"]].concat(), &script);
        let plan: serde_json::Value = serde_json::from_str(json.text()).unwrap();
        assert!(plan["steps"].as_array().unwrap().len() > 10);
        assert!(!ground.path("touched").exists());
        assert_eq!(before.len(), fs::read_dir(ground.runtime(user)).unwrap().count());
    }
    let refused = izba(&ground, User::Root, &["-n", "--format", "json"], "true");
    assert!(refused.refusal().contains("--dry-run"), "{refused:?}");
}

#[test]
fn the_program_gets_no_descriptors_but_the_streams() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut shell = ground.command("sh", user);
        ground.izba(user);
        let script = "exec 5</dev/null 9</dev/null; exec \"$0\" ns run -U -r ls /proc/self/fd";
        let ended = run(shell.args(["-c", script]).arg(ground.path("izba")));
        // The last is that of the directory.
        assert_eq!(ended.text().split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"], "{user:?}");
    }
}

#[test]
fn what_is_done_is_explained() {
    let ground = Ground::new();
    let ended = izba(&ground, User::Root, &["--hostname", "box", "--explain"], "hostname");
    assert_eq!(ended.text(), "box");
    assert!(ended.stderr.contains("set the host name"), "{ended:?}");
}

#[test]
fn a_shell_at_a_terminal_has_job_control() {
    let ground = Ground::new();
    let script = "start()\nsend('echo re\"\"ady; cat\\n')\nexpect('ready')\nsend('one\\n')\nexpect('one\\r\\none')\n\
                  send('\\x1a')\nexpect('Stopped')\nexpect('bash')\nsend('fg\\n')\nexpect('cat\\r\\n')\nsend('two\\n')\nexpect('two\\r\\ntwo')\n\
                  send('\\x03')\nexpect('^C')\nexpect('bash')\nsend('echo on:$(tty)\\n')\nexpect('on:/dev/pts/')\nsend('exit 9\\n')\n\
                  print(status(), modes() == before)";
    for user in User::ALL {
        for options in [&["-u", "-m"][..], &["-p", "--mount-proc"], &["-n", "-T", "-C"]] {
            let shell = ["bash", "--norc", "--noediting", "-i"];
            let ended = pty::drive(&ground, user, &[&["ns", "run"], rights(user), options, &shell].concat(), script);
            assert_eq!(ended.text(), "9 True", "{user:?} {options:?}");
        }
    }
}

/// In a mount namespace of the test's own, as others make mounts and names meanwhile: what the program that follows has changed there.
const CHANGES: &str = "set -e; mount -n -t tmpfs none /run; cat /proc/self/mountinfo > \"$1/before\"; dir=$1; uid=$2; gid=$3; shift 3; \
    setpriv --reuid $uid --regid $gid --clear-groups \"$@\"; cat /proc/self/mountinfo | diff \"$dir/before\" -; ls -AR /run";

#[test]
fn nothing_is_mounted_or_named_outside() {
    let ground = Ground::new();
    let mount = "mount -n -t tmpfs none \"$0\" && touch \"$0/inside\" && ls \"$0\"";
    for user in User::ALL {
        let (uid, gid, _) = user.account();
        let place = ground.directory(&format!("mnt-{}", user.name()), user);
        for options in [[rights(user), &["-m", "-n"]].concat(), vec!["-a", "-r"]] {
            let mut command = peer(&ground, User::Root, "/usr/bin/unshare");
            command.args(["-m", "--propagation", "private", "sh", "-c", CHANGES, "sh"]).arg(ground.path(""));
            command
                .args([uid.to_string(), gid.to_string()])
                .arg(ground.path("izba"))
                .args(["ns", "run"])
                .args(&options);
            let ended = run(command.args(["sh", "-c", mount]).arg(&place));
            assert_eq!(ended.text(), "inside\n/run:", "{user:?} {options:?}");
            assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "{user:?} {options:?}");
        }
    }
}
