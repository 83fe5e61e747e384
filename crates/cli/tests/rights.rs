//! What the program is given: capabilities, environment, descriptors, limits, settings.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::process::Command;

use support::{Ground, User, run};

/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT, SETFCAP: the small set.
const SMALL: u64 = 0x8004_05fb;

fn bit(number: u8) -> u64 {
    1 << number
}

/// CapInh, CapPrm, CapEff, CapBnd, CapAmb of a program.
fn capabilities(ground: &Ground, user: User, options: &[&str]) -> [u64; 5] {
    let ended = ground.sh(user, options, "host", "grep ^Cap /proc/self/status | cut -f2");
    let sets: Vec<u64> = ended.text().lines().map(|line| u64::from_str_radix(line, 16).unwrap()).collect();
    sets.try_into().unwrap()
}

/// The bounding set that everything here starts with.
fn bounding() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    u64::from_str_radix(line, 16).unwrap()
}

#[test]
fn root_inside_has_the_small_set_and_no_more() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--share", "pid"], &["--tty"]] {
            let sets = capabilities(&ground, user, options);
            assert_eq!(sets, [0, SMALL, SMALL, SMALL, 0], "{user:?} {options:?}: {sets:x?}");
        }
    }
    assert_eq!(capabilities(&ground, User::Root, &["--userns"]), [0, SMALL, SMALL, SMALL, 0]);
}

#[test]
fn another_user_holds_none_and_can_gain_none() {
    let ground = Ground::new();
    for user in User::ALL {
        assert_eq!(capabilities(&ground, user, &["-u", "1"]), [0, 0, 0, SMALL, 0], "{user:?}");
    }
}

#[test]
fn capabilities_are_added_and_dropped() {
    let ground = Ground::new();
    let all = |user| if user == User::Root { bounding() } else { (1 << 41) - 1 };
    let cases = [
        (&["--cap-drop", "ALL"][..], 0),
        (&["--cap-drop", "all", "--cap-add", "chown"], bit(0)),
        (&["--cap-add", "CAP_NET_RAW"], SMALL | bit(13)),
        (&["--cap-add", "NET_RAW,SYS_PTRACE", "--cap-drop", "kill"], (SMALL | bit(13) | bit(19)) & !bit(5)),
        (&["--cap-add", "ALL"], u64::MAX),
        (&["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"], !bit(21)),
    ];
    for user in User::ALL {
        for (options, wanted) in cases {
            let expected = wanted & all(user);
            let [inheritable, permitted, effective, bounding, ambient] = capabilities(&ground, user, options);
            assert_eq!([inheritable, ambient], [0, 0], "{user:?} {options:?}");
            assert_eq!([permitted, effective, bounding], [expected; 3], "{user:?} {options:?}: {bounding:x}");
        }
    }
}

#[test]
fn capabilities_are_effective_only_inside() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let ended = ground.sh(
            user,
            &["--cap-add", "ALL", "--share", "net"],
            "host",
            "ip link set lo down 2>/dev/null || echo refused",
        );
        assert_eq!(ended.text(), "refused", "{user:?}");
        let ended = ground.sh(user, &["--cap-add", "NET_ADMIN"], "host", "ip link set lo down && echo done");
        assert_eq!(ended.text(), "done", "{user:?}");
        let ended = ground.sh(user, &[], "host", "ip link set lo down 2>/dev/null || echo refused");
        assert_eq!(ended.text(), "refused", "{user:?}: not in the small set");
    }
}

#[test]
fn no_new_privileges_unless_asked_for() {
    let ground = Ground::new();
    let show = "grep NoNewPrivs: /proc/self/status | cut -f2";
    for user in User::ALL {
        assert_eq!(ground.sh(user, &[], "host", show).text(), "1", "{user:?}");
        assert_eq!(ground.sh(user, &["--new-privs"], "host", show).text(), "0", "{user:?}");
    }
}

#[test]
fn the_environment_is_small_and_clean() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let mut izba = ground.izba(user);
        izba.env("TERM", "vt100").env("LANG", "C.UTF-8").env("LC_TIME", "C").env("TOKEN", "secret");
        let ended = run(izba.args(["run", "-u", "ann"]).arg(&root).arg("env"));
        let mut shown: Vec<&str> = ended.text().lines().collect();
        shown.sort_unstable();
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        assert_eq!(shown, ["HOME=/home", "LANG=C.UTF-8", "LC_TIME=C", path, "TERM=vt100", "USER=ann"], "{user:?}");
    }
}

#[test]
fn the_environment_is_added_to() {
    let ground = Ground::new();
    for user in User::ALL {
        let file = ground.path("variables");
        fs::write(&file, "# comment\nFROM_FILE=a b\nBOTH=file\nTOKEN\n\n").unwrap();
        let mut izba = ground.izba(user);
        izba.env("TOKEN", "secret").env("OTHER", "copied").env("UNWANTED", "x").arg("run");
        izba.args(["-e", "BOTH=option", "-e", "OTHER", "-e", "NOT_SET", "-e", "EMPTY=", "--env-file"]).arg(&file);
        let ended = run(izba.args(["host", "env"]));
        for line in ["FROM_FILE=a b", "BOTH=option", "TOKEN=secret", "OTHER=copied", "EMPTY="] {
            assert!(ended.text().lines().any(|shown| shown == line), "{user:?} {line}: {ended:?}");
        }
        assert!(!ended.stdout.contains("NOT_SET") && !ended.stdout.contains("UNWANTED"), "{ended:?}");
    }
}

#[test]
fn the_callers_environment_can_be_kept() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = run(ground.izba(user).env("ODD", "x=y z").args(["run", "--keep-env", "host", "env"]));
        assert!(ended.text().contains("ODD=x=y z") && ended.stdout.contains("IZBA_CACHE="), "{user:?}: {ended:?}");
    }
}

#[test]
fn the_working_directory_is_inside() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        assert_eq!(ground.sh(user, &[], &root, "pwd").text(), "/", "{user:?}");
        assert_eq!(ground.sh(user, &["-w", "/home/"], &root, "pwd").text(), "/home", "{user:?}");
        for dir in ["/missing", "/etc/passwd", "/proc/self/fd/0", "/proc/self/cwd", "/proc/1/root/etc"] {
            let refused = ground.sh(user, &["-w", dir], &root, "pwd");
            assert!(refused.refusal().contains("working directory"), "{user:?} {dir}: {refused:?}");
        }
        for dir in ["home", "/home/..", ""] {
            let refused = ground.sh(user, &["-w", dir], &root, "pwd");
            assert!(refused.refusal().contains("--workdir"), "{user:?} {dir}: {refused:?}");
        }
    }
}

/// Which of the first descriptors the shell has. Without a pipe, for whose ends it would have some for a moment.
const OPEN: &str = "for fd in $(seq 0 300); do if [ -e /proc/$$/fd/$fd ]; then echo $fd; fi; done";

#[test]
fn no_descriptor_but_the_streams_arrives() {
    let ground = Ground::new();
    // 200 descriptors that are not closed on exec, of directories and files.
    let junk = "import os, sys; [os.set_inheritable(os.open(p, os.O_RDONLY), True) for p in ['/', '/etc/passwd'] * 100]; os.execv(sys.argv[1], sys.argv[1:])";
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--share", "pid"], &["--userns"]] {
            if options == ["--userns"] && user != User::Root {
                continue;
            }
            let mut python = ground.command("python3", user);
            python.args(["-c", junk]).arg(ground.path("izba")).arg("run").args(options);
            ground.izba(user);
            let ended = run(python.args(["host", "sh", "-c", OPEN]));
            assert_eq!(ended.text(), "0\n1\n2", "{user:?} {options:?}");
        }
    }
}

#[test]
fn a_descriptor_is_handed_in_when_asked_for() {
    let ground = Ground::new();
    let file = ground.path("file");
    fs::write(&file, "handed in\n").unwrap();
    for user in User::ALL {
        let mut shell = ground.command("sh", user);
        shell.args(["-c", "exec \"$0\" run --fd 7 host sh -c \"$1\" 7<file 8<file"]).arg(ground.path("izba"));
        let ended = run(shell.arg(format!("cat <&7; {OPEN}")));
        assert_eq!(ended.text(), "handed in\n0\n1\n2\n7", "{user:?}");
    }
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    let ground = Ground::new();
    let refused = ground.sh(User::Root, &["--fd", "77"], "host", "true");
    assert!(refused.refusal().contains("77"), "{refused:?}");
}

#[test]
fn streams_are_the_callers_own() {
    let ground = Ground::new();
    for user in User::ALL {
        let (input, output) = (ground.path("input"), ground.path(&format!("output-{user:?}")));
        fs::write(&input, "read\n").unwrap();
        let out = fs::File::create(&output).unwrap();
        let mut izba = ground.izba(user);
        izba.args(["run", "host", "sh", "-c", "cat; readlink /proc/self/fd/0; echo error >&2"]);
        let status =
            izba.stdin(fs::File::open(&input).unwrap()).stdout(out.try_clone().unwrap()).stderr(out).status().unwrap();
        assert!(status.success(), "{user:?}");
        let shown = fs::read_to_string(&output).unwrap();
        assert!(
            shown.starts_with("read\n") && shown.ends_with("error\n") && !shown.contains("pipe:"),
            "{user:?}: {shown}"
        );
    }
}

#[test]
fn limits_are_set() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(
            user,
            &["--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "nofile=111:222"],
            "host",
            "ulimit -Sn; ulimit -Hn; ulimit -Hc",
        );
        assert_eq!(ended.text(), "111\n222\n0", "{user:?}");
    }
}

#[test]
fn a_limit_that_cannot_be_raised_is_an_error_with_its_cause() {
    let ground = Ground::new();
    let mut shell = ground.command("sh", User::OneId);
    let ended = run(shell
        .args(["-c", "ulimit -n 500; exec \"$0\" run --ulimit nofile=1000:1000 host true"])
        .arg(ground.path("izba")));
    assert!(ended.refusal().contains("nofile") && ended.stderr.contains("hard limit"), "{ended:?}");
}

#[test]
fn kernel_settings_of_the_new_namespaces_are_set() {
    let ground = Ground::new();
    let show =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start";
    let options = [
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "--sysctl",
        "kernel.msgmax=9000",
        "--sysctl",
        "net/ipv4/ip_unprivileged_port_start=80",
    ];
    for user in User::ALL {
        assert_eq!(ground.sh(user, &options, "host", show).text(), "1\n9000\n80", "{user:?}");
    }
}

#[test]
fn kernel_settings_of_the_whole_machine_are_refused() {
    let ground = Ground::new();
    let cases = [
        &["--sysctl", "kernel.panic=5"][..],
        &["--sysctl", "vm.swappiness=5"],
        &["--sysctl", "fs.file-max=5"],
        &["--share", "net", "--sysctl", "net.ipv4.ip_forward=1"],
        &["--share", "ipc", "--sysctl", "kernel.msgmax=9000"],
        &["--sysctl", "net.ipv4.../../kernel/panic=5"],
        &["--sysctl", "net.no_such_setting=1"],
        &["--sysctl", "nonsense"],
    ];
    for user in User::ALL {
        for options in cases {
            let refused = ground.sh(user, options, "host", "true");
            assert!(refused.refusal().contains("sysctl"), "{user:?} {options:?}: {refused:?}");
        }
    }
}

#[test]
fn the_oom_score_is_set() {
    let ground = Ground::new();
    for user in User::ALL {
        assert_eq!(
            ground.sh(user, &["--oom-score-adj", "500"], "host", "cat /proc/self/oom_score_adj").text(),
            "500",
            "{user:?}"
        );
    }
}

/// The signals that aren't the C library's own.
const STANDARD: u64 = (1 << 31) - 1;

/// What a program that we start ignores.
fn ignored_here() -> u64 {
    let ended = run(Command::new("grep").args(["SigIgn", "/proc/self/status"]));
    u64::from_str_radix(ended.text().split_whitespace().last().unwrap(), 16).unwrap()
}

#[test]
fn the_callers_umask_and_ignored_signals_stay_and_sigpipe_is_the_default() {
    let ground = Ground::new();
    let script = "import signal as s; print(int(s.getsignal(s.SIGUSR1)), s.pthread_sigmask(s.SIG_BLOCK, []))";
    for user in User::ALL {
        let mut shell = ground.command("sh", user);
        let izba = ground.path("izba");
        let ended = run(shell
            .args(["-c", "trap '' USR1; umask 027; exec \"$0\" run host sh -c 'umask; grep SigIgn /proc/self/status'"])
            .arg(&izba));
        let lines: Vec<&str> = ended.text().lines().collect();
        assert_eq!(lines[0], "0027", "{user:?}");
        let ignored = u64::from_str_radix(lines[1].split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(
            ignored & STANDARD,
            ignored_here() & STANDARD & !bit(12) | bit(9),
            "{user:?}: USR1 too, and not PIPE"
        );
        let ended = run(ground.izba(user).args(["run", "host", "python3", "-c", script]));
        assert_eq!(ended.text(), "0 set()", "{user:?}");
    }
}

#[test]
fn izbas_process_is_in_a_session_of_its_own_and_leaves_ours() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(user, &[], "host", "cut -d' ' -f1,6,7 /proc/self/stat; cut -d' ' -f5,6 /proc/$$/stat");
        let lines: Vec<&str> = ended.text().lines().collect();
        assert_eq!(lines[1], "2 2", "{user:?}: process group and session of the program");
        assert!(lines[0].ends_with(" 2 0"), "{user:?}: no terminal: {lines:?}");
    }
}

/// Who can't become the wanted user is told so, and never runs as another.
#[test]
fn a_user_that_cannot_be_become_is_an_error() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    for (lacking, option) in [("-setuid", &["-u", "1000"][..]), ("-setpcap", &["--new-privs"])] {
        let mut command = ground.command("/usr/bin/setpriv", User::Root);
        command.args(["--bounding-set", lacking, "--inh-caps", "-all"]).arg(ground.path("izba")).arg("run");
        let ended = run(command.args(option).arg(&root).args(["id", "-u"]));
        assert_eq!((ended.status, ended.stdout.as_str()), (125, ""), "{ended:?}");
        assert!(ended.stderr.contains("CAP_SET"), "{ended:?}");
    }
}
