//! `izba ns enter` beside nsenter(1): the same target, the same program, the same to be seen from inside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::{Background, Ended, Ground, User, run};
use target::{ALL, KINDS, ORDINARY, Target, peer, show, unique};

/// What a program sees of itself. Not its working directory, which nsenter(1) moves to the root of a mount namespace that is entered.
const SEEN: &str = "for kind in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$kind; done; id; umask; hostname; \
    cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/timens_offsets; \
    grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|SigBlk|SigIgn|Umask)' /proc/self/status; env | grep -v -e ^_= -e PWD= | sort";

/// `izba ns enter TARGET OPTIONS sh -c SCRIPT`
fn izba(ground: &Ground, user: User, target: &str, options: &[&str], script: &str) -> Ended {
    run(ground.izba(user).args(["ns", "enter", target]).args(options).args(["--", "sh", "-c", script]))
}

/// `nsenter OPTIONS sh -c SCRIPT` in the same environment.
fn nsenter(ground: &Ground, user: User, options: &[&str], script: &str) -> Ended {
    run(peer(ground, user, "/usr/bin/nsenter").args(options).args(["sh", "-c", script]))
}

/// What both show of a process that both enter with the same letters.
#[track_caller]
fn same(ground: &Ground, user: User, target: &Target, letters: &[&str], script: &str) -> String {
    let pid = target.pid();
    let one = izba(ground, user, &pid, letters, script);
    // Where setgroups(2) is given up nsenter 2.38 fails; whom the map makes root needn't become it.
    let stay: &[&str] = if user == User::Root { &[] } else { &["--preserve-credentials"] };
    let other = nsenter(ground, user, &[&["-t", &pid], stay, letters].concat(), script);
    assert_eq!((one.status, one.stderr.as_str()), (0, ""), "{user:?} {letters:?}");
    assert_eq!(one.text(), other.text(), "{user:?} {letters:?}");
    one.text().to_owned()
}

#[test]
fn root_enters_each_kind_alone() {
    let ground = Ground::new();
    let target = Target::new(&ground, User::Root, &ALL);
    for (kind, letter) in KINDS {
        let shown = same(&ground, User::Root, &target, &[letter], SEEN);
        assert!(shown.lines().any(|line| line == target.namespaces[kind]), "{kind}: {shown}");
    }
}

#[test]
fn an_ordinary_user_enters_each_kind_with_the_user_namespace_that_owns_it() {
    let ground = Ground::new();
    for user in ORDINARY {
        let target = Target::new(&ground, user, &ALL);
        for (kind, letter) in KINDS {
            let letters = if kind == "user" { vec!["-U"] } else { vec!["-U", letter] };
            let shown = same(&ground, user, &target, &letters, SEEN);
            assert!(shown.lines().any(|line| line == target.namespaces[kind]), "{user:?} {kind}: {shown}");
        }
        for (kind, letter) in KINDS.into_iter().filter(|&(kind, _)| kind != "user") {
            let refused = izba(&ground, user, &target.pid(), &[letter], "echo run");
            assert!(refused.refusal().contains("user namespace that owns it"), "{user:?} {kind}: {refused:?}");
            assert_ne!(nsenter(&ground, user, &["-t", &target.pid(), letter], "true").status, 0);
        }
    }
}

#[test]
fn all_kinds_at_once() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let letters = KINDS.map(|(_, letter)| letter);
        let shown = same(&ground, user, &target, &letters, SEEN);
        let expected: Vec<&str> = KINDS.iter().map(|(kind, _)| target.namespaces[*kind].as_str()).collect();
        assert_eq!(shown.lines().take(8).collect::<Vec<_>>(), expected, "{user:?}");
        for options in [&[][..], &["-a"], &["--all"]] {
            assert_eq!(izba(&ground, user, &target.pid(), options, SEEN).text(), shown, "{user:?} {options:?}");
        }
    }
}

#[test]
fn the_long_names() {
    let ground = Ground::new();
    let target = Target::new(&ground, User::Root, &ALL);
    let options = ["--user", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--time"];
    for (option, (kind, _)) in options.into_iter().zip(KINDS) {
        let ended = izba(&ground, User::Root, &target.pid(), &[option], &show(kind));
        assert_eq!(ended.text(), target.namespaces[kind], "{option}");
    }
}

#[test]
fn root_enters_what_belongs_to_the_initial_user_namespace_and_then_another() {
    let ground = Ground::new();
    // The mount and network namespaces are made before the user namespace, so it has no rights over them.
    let mut outer = ground.command("unshare", User::Root);
    outer.args(["-m", "-n", "-u", "unshare", "-U", "-r"]);
    let target = Target::with(&mut outer, "echo up; read end");
    for letters in [&["-U", "-n"][..], &["-U", "-m", "-n", "-u"]] {
        let shown = same(&ground, User::Root, &target, letters, SEEN);
        assert!(shown.contains(&target.namespaces["user"]) && shown.contains(&target.namespaces["net"]), "{shown}");
    }
    let shown = izba(&ground, User::Root, &target.pid(), &[], SEEN);
    assert!(
        ["user", "mnt", "net", "uts"].iter().all(|kind| shown.text().contains(&target.namespaces[*kind])),
        "{shown:?}"
    );
}

#[test]
fn the_program_is_a_process_of_the_entered_pid_namespace() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let script =
            "echo $$; grep ^NSpid: /proc/self/status; readlink /proc/self/ns/pid /proc/self/ns/pid_for_children";
        let ended = izba(&ground, user, &target.pid(), &["-U", "-p"], script);
        let lines: Vec<&str> = ended.text().lines().collect();
        let ids: Vec<i32> = lines[1].split_whitespace().skip(1).map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids.len(), 2, "{user:?}: {lines:?}");
        assert!(lines[0].parse::<i32>().unwrap() > 1);
        assert_eq!((lines[2], lines[3]), (target.namespaces["pid"].as_str(), target.namespaces["pid"].as_str()));
        let comm = izba(&ground, user, &target.pid(), &["-U", "-p", "-m"], "kill -0 1 && echo seen");
        assert_eq!(comm.text(), "seen", "{user:?}: process 1 is the target");
    }
}

#[test]
fn by_path_by_number_and_by_id() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        for (kind, letter) in KINDS.into_iter().filter(|&(kind, _)| kind == "user" || user == User::Root) {
            let inode = target.namespaces[kind].trim_matches(|c: char| !c.is_ascii_digit()).to_owned();
            for text in [target.path(kind), inode, target.namespaces[kind].clone()] {
                assert_eq!(
                    izba(&ground, user, &text, &[], &show(kind)).text(),
                    target.namespaces[kind],
                    "{user:?} {text}"
                );
                let named = izba(&ground, user, &text, &[letter], &show(kind));
                assert_eq!(named.text(), target.namespaces[kind], "{user:?} {text}");
                let wrong = if kind == "net" { "-u" } else { "-n" };
                let refused = izba(&ground, user, &text, &[wrong], "echo run");
                assert!(refused.refusal().contains(&format!("only {kind}")), "{user:?} {text}: {refused:?}");
            }
        }
        let list = run(ground.izba(user).args(["ns", "list", "--format", "json"]));
        let list: serde_json::Value = serde_json::from_str(list.text()).unwrap();
        let rows = list["namespaces"].as_array().unwrap();
        let row = rows.iter().find(|row| target.namespaces["user"] == format!("user:[{}]", row["id"])).unwrap();
        if let Some(unique) = row["unique"].as_u64() {
            let ended = izba(&ground, user, &format!("id:{unique}"), &[], &show("user"));
            assert_eq!(ended.text(), target.namespaces["user"], "{user:?}");
        }
    }
}

#[test]
fn a_name_of_ip_netns_and_its_path() {
    let ground = Ground::new();
    let name = unique();
    assert_eq!(run(Command::new("ip").args(["netns", "add", &name])).status, 0);
    let inside = run(Command::new("ip").args(["netns", "exec", &name, "readlink", "/proc/self/ns/net"]));
    let path = format!("/run/netns/{name}");
    let shown = [
        izba(&ground, User::Root, &path, &[], &show("net")),
        izba(&ground, User::Root, &path, &["-n"], &show("net")),
        izba(&ground, User::Root, &name, &[], &show("net")),
        nsenter(&ground, User::Root, &[&format!("--net={path}")], &show("net")),
    ];
    let refused = izba(&ground, User::OneId, &path, &[], "echo run");
    assert_eq!(run(Command::new("ip").args(["netns", "delete", &name])).status, 0);
    shown.iter().for_each(|ended| assert_eq!(ended.text(), inside.text()));
    refused.refusal();
}

#[test]
fn a_file_that_a_namespace_is_bound_to() {
    let ground = Ground::new();
    let kept = ground.path("kept");
    fs::write(&kept, "").unwrap();
    let made = run(Command::new("unshare").arg(format!("--uts={}", kept.display())).args(["hostname", "kept"]));
    let shown = [
        izba(&ground, User::Root, kept.to_str().unwrap(), &[], "hostname"),
        izba(&ground, User::Root, "./kept", &["-u"], "hostname"),
        nsenter(&ground, User::Root, &[&format!("--uts={}", kept.display())], "hostname"),
    ];
    // Another test's izba may have it open for a moment: EBUSY.
    assert_eq!(run(Command::new("umount").arg("--lazy").arg(&kept)).status, 0);
    assert_eq!(made.status, 0);
    shown.iter().for_each(|ended| assert_eq!(ended.text(), "kept"));
}

#[test]
fn a_run_by_its_name() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = unique();
        let mut start = ground.izba(user);
        start.args(["run", "--name", &name, "--hostname", "run"]).args(support::MARK);
        let script = "for kind in user mnt pid net ipc uts; do readlink /proc/self/ns/$kind; done; echo up; read end";
        let (mut running, first) = Background::start(start.args(["host", "sh", "-c", script]));
        let mut lines = vec![first];
        while lines.last().unwrap() != "up" {
            lines.push(running.line());
        }
        lines.pop();
        let script = script.trim_end_matches("; echo up; read end");
        let ended = izba(&ground, user, &name, &[], &format!("{script}; hostname"));
        lines.push("run".to_owned());
        assert_eq!(ended.text().lines().collect::<Vec<_>>(), lines, "{user:?}");
    }
}

/// A target in a root directory of its own, with an environment, ids and a working directory that are its own.
fn chrooted(ground: &Ground, user: User) -> (Target, PathBuf) {
    let root = ground.busybox_root(&format!("root-{}", user.name()), user);
    let mut command = ground.command("unshare", user);
    command.env("OF_TARGET", "yes").args(ALL).arg("--root").arg(&root).args(["--wd", "/etc"]);
    (Target::with(&mut command, "echo up; read end"), root)
}

#[test]
fn the_root_and_the_working_directory_of_the_target() {
    let ground = Ground::new();
    for user in User::ALL {
        let (target, root) = chrooted(&ground, user);
        let script = "ls / | tr '\\n' ' '; cat /etc/passwd";
        for letters in [&["-U", "-r"][..], &["-U", "-m", "-r"], &["-U", "-m", "-r", "-w"]] {
            let shown = same(&ground, user, &target, letters, script);
            assert!(shown.contains("ann:x"), "{user:?} {letters:?}: {shown}");
            let place = izba(&ground, user, &target.pid(), letters, "pwd");
            assert_eq!(place.text(), if letters.contains(&"-w") { "/etc" } else { "/" }, "{user:?} {letters:?}");
        }
        let pid = target.pid();
        let shown = izba(&ground, user, &pid, &["-U", "-m", "--root", "--wd"], "pwd");
        assert_eq!(shown.text(), "/etc", "{user:?}");
        let other = izba(&ground, user, &pid, &["-U", "-m", "--root", "--wd=/bin"], "pwd; ls | head -1");
        assert!(other.text().starts_with("/bin\n"), "{user:?}: {other:?}");
        let given = format!("--root={}", root.display());
        assert_eq!(izba(&ground, user, &pid, &["-U", &given], "pwd").text(), "/", "{user:?}");
        let shown = same(&ground, user, &target, &["-U", &given], "cat /etc/group");
        assert!(shown.contains("games"), "{user:?}: {shown}");
        // Without it the root is that of the mount namespace.
        let whole = izba(&ground, user, &pid, &["-U", "-m"], "ls -d /usr/bin");
        assert_eq!(whole.text(), "/usr/bin", "{user:?}");
        let missing = izba(&ground, user, &pid, &["-U", "-m", "--wd=/no/such"], "true");
        assert!(missing.refusal().contains("/no/such"), "{missing:?}");
    }
}

#[test]
fn the_environment_of_the_target() {
    let ground = Ground::new();
    for user in User::ALL {
        let (target, _) = chrooted(&ground, user);
        let show = "echo ${OF_TARGET-none} ${OF_CALLER-none}";
        let start = |options: &[&str]| {
            let mut command = ground.izba(user);
            command.env("OF_CALLER", "yes").args(["ns", "enter", &target.pid(), "-U"]).args(options);
            run(command.args(["--", "sh", "-c", show])).text().to_owned()
        };
        assert_eq!(start(&[]), "none yes", "{user:?}");
        assert_eq!(start(&["--env"]), "yes none", "{user:?}");
    }
}

#[test]
fn the_ids_of_the_target() {
    let ground = Ground::new();
    let show = "id -u; id -g; id -G; grep ^CapEff /proc/self/status";
    let mut command = ground.command("unshare", User::Root);
    command.args([
        "-n",
        "-u",
        "setpriv",
        "--reuid",
        "1234",
        "--regid",
        "2345",
        "--groups",
        "2345,77,99",
        "unshare",
        "-U",
        "-c",
    ]);
    let target = Target::with(&mut command, "echo up; read end");
    let ended = izba(&ground, User::Root, &target.pid(), &["-n", "--credentials"], show);
    assert_eq!(ended.text().lines().collect::<Vec<_>>(), ["1234", "2345", "2345 77 99", "CapEff:\t0000000000000000"]);
    // In its user namespace they are others, of which only one group is mapped.
    let ended = izba(&ground, User::Root, &target.pid(), &["-U", "-n", "--credentials"], show);
    let lines: Vec<&str> = ended.text().lines().collect();
    assert_eq!((lines[0], lines[1]), ("1234", "2345"), "{ended:?}");
    let of_root = Target::new(&ground, User::Root, &["-n"]);
    let ended = izba(&ground, User::Root, &of_root.pid(), &["-n", "-S", "5", "-G", "6"], show);
    assert_eq!(ended.text().lines().take(3).collect::<Vec<_>>(), ["5", "6", "6"]);
    same(&ground, User::Root, &of_root, &["-n", "-S", "5", "-G", "6"], "id -u; id -g");
    for user in User::ALL {
        let target = Target::new(&ground, user, &["-U", "-r", "-n"]);
        let own = izba(&ground, user, &target.pid(), &["-U", "-n", "--credentials"], show);
        assert!(own.text().starts_with("0\n0\n"), "{user:?}: {own:?}");
        let letters = ["-U", "-n", "--preserve-credentials"];
        same(&ground, user, &target, &letters, "id; grep ^Cap /proc/self/status");
    }
}

#[test]
fn in_a_user_namespace_without_a_root_one_stays_who_one_is() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &["-U", "-c", "-u"]);
        let (uid, gid, _) = user.account();
        let ended = izba(&ground, user, &target.pid(), &["-U", "-u"], "id -u; id -g");
        assert_eq!(ended.text(), format!("{uid}\n{gid}"), "{user:?}");
    }
    let target = Target::new(&ground, User::Root, &["-U"]);
    let ended = izba(&ground, User::Root, &target.pid(), &["-U"], "id -u");
    assert_eq!(ended.text(), "65534");
    // Of one that is kept without a process the maps are known as well.
    for user in User::ALL {
        let (name, (uid, gid, _)) = (unique(), user.account());
        let made = run(ground.izba(user).args(["ns", "run", "-U", "-c", "--keep", &name, "true"]));
        let ended = izba(&ground, user, &name, &[], "id -u; id -g");
        let dropped = run(ground.izba(user).args(["ns", "drop", &name]));
        assert_eq!((made.status, dropped.status), (0, 0));
        assert_eq!(ended.text(), format!("{uid}\n{gid}"), "{user:?}");
    }
}

#[test]
fn many_users_and_groups_of_a_mapped_target() {
    let ground = Ground::new();
    let mut command = ground.izba(User::Ranges);
    command.args(["ns", "run", "-U", "--map-auto", "-r", "-u", "--", "sh", "-c", "echo $$; read end"]);
    let (_running, pid) = Background::start(&mut command);
    let ended =
        izba(&ground, User::Ranges, &pid, &["-U", "-S", "7", "-G", "8"], "id -u; id -g; cat /proc/self/uid_map");
    assert!(ended.text().starts_with("7\n8\n"), "{ended:?}");
    let refused = izba(&ground, User::Ranges, &pid, &["-U", "-S", "99999"], "true");
    assert!(refused.refusal().contains("99999"), "{refused:?}");
}
