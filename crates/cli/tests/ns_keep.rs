//! `izba ns keep`, `izba ns drop` and `izba ns run --keep`: namespaces with a name, with or without a process, beside ip-netns(8).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod name;
mod support;
mod target;

use std::fs;
use std::path::Path;
use std::process::Command;

use name::Name;
use support::{Background, Ended, Ground, User, run};
use target::{ALL, KINDS, ORDINARY, Target, show};

#[test]
fn all_kinds_survive_their_last_process() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let mut target = Target::new(&ground, user, &ALL);
        assert_eq!(name.keep(&[&target.pid()]).text(), "", "{user:?}");
        assert_eq!(name.listed(), ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"], "{user:?}");
        target.end(&ground);
        assert_eq!(name.listed().len(), 8, "{user:?}");
        for (kind, letter) in KINDS.into_iter().filter(|&(kind, _)| kind != "pid") {
            // With the user namespace come the rights over the others.
            let options = if kind == "user" { vec!["-U"] } else { vec!["-U", letter] };
            assert_eq!(name.enter(&options, &show(kind)).text(), target.namespace(kind), "{user:?} {kind}");
        }
        let without_pid: Vec<&str> = KINDS.iter().map(|(_, letter)| *letter).filter(|letter| *letter != "-p").collect();
        let expected: Vec<&str> =
            KINDS.iter().filter(|(kind, _)| *kind != "pid").map(|(kind, _)| target.namespace(kind)).collect();
        let script: Vec<String> = KINDS.iter().filter(|(kind, _)| *kind != "pid").map(|(kind, _)| show(kind)).collect();
        let shown = name.enter(&without_pid, &script.join(";"));
        assert_eq!(shown.text().lines().collect::<Vec<_>>(), expected, "{user:?}");
        for options in [&[][..], &["-U", "-p"]] {
            let refused = name.enter(options, "echo run");
            let text = refused.refusal();
            assert!(text.contains("process 1") && text.contains("pid_namespaces(7)"), "{user:?}: {text}");
        }
        name.let_go().text();
        name.is_gone();
        name.enter(&["-U"], "echo run").refusal();
    }
}

#[test]
fn each_kind_alone() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        for (kind, letter) in KINDS {
            let name = Name::new(&ground, user);
            assert_eq!(name.keep(&[&target.pid(), letter]).text(), "", "{user:?} {kind}");
            assert_eq!(name.listed(), [kind], "{user:?}");
            name.let_go().text();
            name.is_gone();
            // The same by a path.
            let path = target.path(kind);
            let other = Name::new(&ground, user);
            other.keep(&[&path]).text();
            assert_eq!(other.listed(), [kind], "{user:?}");
            other.let_go().text();
            other.is_gone();
        }
    }
}

#[test]
fn several_targets_under_one_name() {
    let ground = Ground::new();
    for user in User::ALL {
        let (one, other) = (Target::new(&ground, user, &ALL), Target::new(&ground, user, &ALL));
        let name = Name::new(&ground, user);
        let path = |target: &Target, kind: &str| format!("/proc/{}/ns/{kind}", target.pid);
        name.keep(&[&path(&one, "user"), &path(&one, "uts"), &path(&other, "net")]).text();
        assert_eq!(name.listed(), ["net", "user", "uts"], "{user:?}");
        assert_eq!(name.enter(&["-U", "-u"], &show("uts")).text(), one.namespace("uts"), "{user:?}");
        let two = Name::new(&ground, user);
        let refused = two.keep(&[&path(&one, "net"), &path(&other, "net")]);
        assert!(refused.refusal().contains("two net namespaces"), "{user:?}: {refused:?}");
        // The same twice is one.
        two.keep(&[&path(&one, "net"), &path(&one, "net")]).text();
        assert_eq!(two.listed(), ["net"], "{user:?}");
        // A kept name is a target like any other.
        let copy = Name::new(&ground, user);
        copy.keep(&[&name.text, "-u"]).text();
        two.let_go().text();
        name.let_go().text();
        assert_eq!(copy.listed(), ["uts"], "{user:?}");
        copy.let_go().text();
        name.is_gone();
    }
}

#[test]
fn a_kept_network_is_one_of_ip_netns() {
    let ground = Ground::new();
    let name = Name::new(&ground, User::Root);
    let mut target = Target::new(&ground, User::Root, &["-n"]);
    name.keep(&[&target.pid()]).text();
    target.end(&ground);
    let netns = |arguments: &[&str]| run(Command::new("ip").arg("netns").args(arguments));
    let list = netns(&["list"]);
    assert!(list.text().lines().any(|line| line.split(' ').next() == Some(&name.text)), "{list:?}");
    let inside = netns(&["exec", &name.text, "readlink", "/proc/self/ns/net"]);
    assert_eq!(inside.text(), target.namespace("net"));
    assert_eq!(netns(&["add", &name.text]).status, 1);
    netns(&["delete", &name.text]).text();
    name.let_go().refusal();
    name.is_gone();
}

#[test]
fn a_name_of_ip_netns_is_one_of_ours() {
    let ground = Ground::new();
    let name = Name::new(&ground, User::Root);
    let netns = |arguments: &[&str]| run(Command::new("ip").arg("netns").args(arguments));
    netns(&["add", &name.text]).text();
    let inside = netns(&["exec", &name.text, "readlink", "/proc/self/ns/net"]);
    assert_eq!(name.enter(&[], &show("net")).text(), inside.text());
    assert_eq!(name.listed(), ["net"]);
    let taken = name.keep(&[&std::process::id().to_string(), "-u"]);
    assert!(taken.refusal().contains("taken"), "{taken:?}");
    // Another user sees the name, and can neither enter nor drop it.
    for user in ORDINARY {
        let theirs = Name { ground: &ground, user, text: name.text.clone() };
        theirs.enter(&[], "echo run").refusal();
        theirs.let_go().refusal();
    }
    assert!(Path::new("/run/netns").join(&name.text).exists());
    name.let_go().text();
    assert!(!netns(&["list"]).text().contains(&name.text));
    name.is_gone();
}

#[test]
fn a_name_is_taken_once() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let name = Name::new(&ground, user);
        name.keep(&[&target.pid(), "-u"]).text();
        let before = name.listed();
        let taken = name.keep(&[&target.pid(), "-i"]);
        assert!(taken.refusal().contains("taken") && taken.stderr.contains("izba ns drop"), "{taken:?}");
        let run = name.izba(&["run", "-U", "-r", "--keep", &name.text, "--", "sh", "-c", "echo run"]);
        assert!(run.refusal().contains("taken"), "{user:?}: {run:?}");
        assert_eq!(name.listed(), before, "{user:?}");
        name.let_go().text();
        name.keep(&[&target.pid(), "-i"]).text();
        assert_eq!(name.listed(), ["ipc"], "{user:?}");
    }
}

#[test]
fn a_runs_name_is_taken() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let mut start = ground.izba(user);
        start.args(["run", "--name", &name.text]).args(support::MARK);
        let (_running, line) = Background::start(start.args(["host", "sh", "-c", "echo up; read end"]));
        assert_eq!(line, "up");
        let target = Target::new(&ground, user, &ALL);
        let taken = name.keep(&[&target.pid(), "-u"]);
        assert!(taken.refusal().contains("taken by a run"), "{user:?}: {taken:?}");
        // But it is a target.
        let kept = Name::new(&ground, user);
        kept.keep(&[&name.text]).text();
        assert!(kept.listed().len() >= 5, "{user:?}: {:?}", kept.listed());
        kept.let_go().text();
        kept.is_gone();
    }
}

#[test]
fn a_kept_name_is_none_for_a_run() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let target = Target::new(&ground, user, &ALL);
        name.keep(&[&target.pid(), "-u"]).text();
        let start = || run(ground.izba(user).args(["run", "--name", &name.text, "host", "echo", "run"]));
        let taken = start();
        assert!(taken.refusal().contains("taken") && taken.stderr.contains("izba ns drop"), "{user:?}: {taken:?}");
        assert_eq!(name.listed(), ["uts"], "{user:?}");
        name.let_go().text();
        assert_eq!(start().text(), "run", "{user:?}");
    }
}

/// What is starting has its name already.
#[test]
fn the_name_of_a_run_that_does_not_come_up_is_taken() {
    let ground = Ground::new();
    let name = Name::new(&ground, User::Root);
    let dir = ground.runtime(User::Root).join("runs").join(&name.text);
    fs::create_dir_all(&dir).unwrap();
    let lock = fs::File::open(&dir).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let target = Target::new(&ground, User::Root, &ALL);
    let taken = name.keep(&[&target.pid(), "-u"]);
    assert!(taken.refusal().contains("taken by a run"), "{taken:?}");
}

#[test]
fn of_many_at_once_one_wins() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let pid = target.pid();
        for _ in 0..5 {
            let name = Name::new(&ground, user);
            ground.izba(user);
            let ended: Vec<Ended> = std::thread::scope(|scope| {
                let start = || scope.spawn(|| name.keep(&[&pid]));
                let racing: Vec<_> = (0..10).map(|_| start()).collect();
                racing.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert_eq!(ended.iter().filter(|ended| ended.status == 0).count(), 1, "{user:?}: {ended:?}");
            for told in ended.iter().filter(|ended| ended.status != 0) {
                assert!(told.refusal().contains("taken"), "{user:?}: {told:?}");
            }
            assert_eq!(name.listed().len(), 8, "{user:?}");
            name.let_go().text();
            name.is_gone();
        }
    }
}

#[test]
fn of_many_drops_at_once_one_wins() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let name = Name::new(&ground, user);
        name.keep(&[&target.pid()]).text();
        let ended: Vec<Ended> = std::thread::scope(|scope| {
            let racing: Vec<_> = (0..5).map(|_| scope.spawn(|| name.let_go())).collect();
            racing.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(ended.iter().filter(|ended| ended.status == 0).count(), 1, "{user:?}: {ended:?}");
        for told in ended.iter().filter(|ended| ended.status != 0) {
            assert!(told.refusal().contains(&name.text), "{user:?}: {told:?}");
        }
        name.is_gone();
    }
}

#[test]
fn unknown_names_are_named_and_the_others_dropped() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let unknown = name.let_go();
        assert!(unknown.refusal().contains(&name.text), "{unknown:?}");
        let target = Target::new(&ground, user, &ALL);
        name.keep(&[&target.pid(), "-u"]).text();
        let ended = name.izba(&["drop", "no-such-1", &name.text, "no-such-2"]);
        assert_eq!(ended.status, 125, "{user:?}");
        assert!(ended.stderr.contains("no-such-1") && ended.stderr.contains("no-such-2"), "{ended:?}");
        assert!(!ended.stderr.contains(&name.text), "{ended:?}");
        name.is_gone();
    }
}

#[test]
fn names_are_names() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let target = Target::new(&ground, user, &ALL);
        for bad in ["", ".", "..", "a/b", "../x", "1234", "-x"] {
            let refused = name.izba(&["keep", bad, &target.pid(), "-u"]);
            refused.refusal();
            // Nothing outside the directory of names is touched either.
            name.izba(&["drop", bad]).refusal();
        }
        name.is_gone();
        assert!(Path::new("/run/netns").exists() || user != User::Root);
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let own = std::process::id().to_string();
        if user == User::Root {
            let nothing = name.keep(&[&own]);
            assert!(nothing.refusal().contains("no namespace but your own"), "{nothing:?}");
        }
        for (target, expected) in [
            ("2147483647", "no namespace 2147483647"),
            ("4194304", "no process"),
            ("0", "no process"),
            ("no-such-name", "no-such-name"),
            ("/etc/passwd", "stands for no namespace"),
            ("/no/such", "/no/such"),
            ("/tmp", "stands for no namespace"),
            ("net:[1]", "net:[1]"),
            ("id:18446744073709551615", "id:18446744073709551615"),
            ("id:x", "id:x"),
            ("", "\"\""),
        ] {
            let refused = name.keep(&[target]);
            assert!(refused.refusal().contains(expected), "{user:?} {target:?}: {refused:?}");
        }
        let init = name.keep(&["1"]);
        assert!(init.refusal().contains("process 1"), "{user:?}: {init:?}");
        name.is_gone();
    }
    for user in ORDINARY {
        let name = Name::new(&ground, user);
        let target = Target::new(&ground, User::Root, &ALL);
        let refused = name.keep(&[&target.pid()]);
        assert!(refused.refusal().contains("ptrace"), "{user:?}: {refused:?}");
        name.is_gone();
    }
}

#[test]
fn a_mount_namespace_that_is_no_younger_is_refused_and_nothing_stays() {
    let ground = Ground::new();
    let name = Name::new(&ground, User::Root);
    let target = Target::new(&ground, User::Root, &ALL);
    let user = format!("/proc/{}/ns/user", target.pid);
    let refused = name.keep(&["/proc/self/ns/mnt", &user]);
    assert!(refused.refusal().contains("smaller id"), "{refused:?}");
    name.is_gone();
    // The same from within another. How others stand to each other isn't certain: Linux 6.18 numbers them per processor.
    let script = format!("exec {} ns keep {} /proc/self/ns/mnt {user}", ground.path("izba").display(), name.text);
    let inside = run(ground.izba(User::Root).args(["ns", "run", "-m", "--", "sh", "-c", &script]));
    assert!(inside.refusal().contains("smaller id"), "{inside:?}");
    name.is_gone();
}

#[test]
fn a_file_in_the_directory_of_ip_netns_that_is_anothers_stays() {
    let ground = Ground::new();
    let target = Target::new(&ground, User::Root, &ALL);
    let name = Name::new(&ground, User::Root);
    // That directory is there now.
    name.keep(&[&target.pid(), "-n"]).text();
    name.let_go().text();
    // As ip netns add makes it, just before it mounts.
    let file = Path::new("/run/netns").join(&name.text);
    fs::write(&file, "").unwrap();
    let refused = name.keep(&[&target.pid(), "-n", "-u"]);
    let stays = file.exists();
    fs::remove_file(&file).unwrap();
    assert!(refused.refusal().contains("taken") && stays, "{refused:?}");
    name.is_gone();
}

#[test]
fn by_links_to_the_runtime_directory_it_is_one_place() {
    let ground = Ground::new();
    let target = Target::new(&ground, User::Root, &ALL);
    let (one, other) = (Name::new(&ground, User::Root), Name::new(&ground, User::Root));
    std::os::unix::fs::symlink(ground.path(""), ground.path("link")).unwrap();
    let through = ground.path("link/run-root");
    let keep = |name: &Name<'_>| {
        let mut izba = ground.izba(User::Root);
        run(izba.env("IZBA_RUNTIME_DIR", &through).args(["ns", "keep", &name.text, &target.pid(), "-u"]))
    };
    keep(&one).text();
    keep(&other).text();
    for name in [&one, &other] {
        assert_eq!(name.enter(&["-u"], &show("uts")).text(), target.namespace("uts"));
    }
    one.let_go().text();
    other.let_go().text();
    one.is_gone();
}

#[test]
fn root_of_a_user_namespace_keeps_as_an_ordinary_user_does() {
    let ground = Ground::new();
    for user in User::ALL {
        for letters in [&["-U", "-r"][..], &["-U", "-r", "-m"]] {
            let name = Name::new(&ground, user);
            let script = "unshare -n -u sleep 1000 </dev/null >/dev/null 2>&1 & until [ \"$(readlink /proc/$!/ns/uts)\" != \"$(readlink /proc/$$/ns/uts)\" ]; do :; done; \
                \"$0\" ns keep \"$1\" $!; readlink /proc/$!/ns/net; kill $!; wait; \"$0\" ns enter \"$1\" -- readlink /proc/self/ns/net; \"$0\" ns drop \"$1\"";
            let mut izba = ground.izba(user);
            izba.args(["ns", "run"]).args(letters).args(["--", "sh", "-c", script]).arg(ground.path("izba"));
            let ended = run(izba.arg(&name.text));
            let lines: Vec<&str> = ended.text().lines().collect();
            assert!(
                lines.len() == 2 && lines[0] == lines[1] && ended.stderr.is_empty(),
                "{user:?} {letters:?}: {ended:?}"
            );
            name.is_gone();
        }
    }
}

#[test]
fn a_run_keeps_what_it_makes() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let script = KINDS.map(|(kind, _)| show(kind)).join(";");
        let made =
            name.izba(&["run", "-a", "-r", "--keep", &name.text, "--", "sh", "-c", &format!("{script}; exit 4")]);
        assert_eq!(made.status, 4, "{user:?}: {made:?}");
        assert_eq!(name.listed().len(), 8, "{user:?}");
        let lines: Vec<&str> = made.stdout.lines().collect();
        for ((kind, letter), line) in KINDS.into_iter().zip(lines).filter(|((kind, _), _)| *kind != "pid") {
            assert_eq!(
                name.enter(&["-U", letter][usize::from(kind == "user")..], &show(kind)).text(),
                line,
                "{user:?}"
            );
        }
        name.let_go().text();
        name.is_gone();
    }
}

#[test]
fn a_run_that_ends_at_once_is_kept_too() {
    let ground = Ground::new();
    for user in User::ALL {
        for _ in 0..10 {
            let name = Name::new(&ground, user);
            let rights: &[&str] = if user == User::Root { &[] } else { &["-U", "-r"] };
            let options = [&["run"], rights, &["-n", "-u", "--keep", &name.text, "--", "true"]].concat();
            assert_eq!(name.izba(&options).text(), "", "{user:?}");
            let expected: &[&str] = if user == User::Root { &["net", "uts"] } else { &["net", "user", "uts"] };
            assert_eq!(name.listed(), expected, "{user:?}");
            name.let_go().text();
            name.is_gone();
        }
    }
}

#[test]
fn a_run_that_cannot_start_keeps_nothing() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        for program in ["/no/such/program", "/etc/passwd"] {
            let ended = name.izba(&["run", "-U", "-r", "-n", "--keep", &name.text, "--", program]);
            assert!([126, 127].contains(&ended.status), "{user:?}: {ended:?}");
            assert_eq!(name.listed(), Vec::<String>::new(), "{user:?} {program}");
            name.is_gone();
        }
    }
}

#[test]
fn of_many_runs_with_one_name_one_wins() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        ground.izba(user);
        let start = || name.izba(&["run", "-U", "-r", "-n", "--keep", &name.text, "--", "sleep", "0.2"]);
        let ended: Vec<Ended> = std::thread::scope(|scope| {
            let racing: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
            racing.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(ended.iter().filter(|ended| ended.status == 0).count(), 1, "{user:?}: {ended:?}");
        for told in ended.iter().filter(|ended| ended.status != 0) {
            assert!(told.refusal().contains("taken"), "{user:?}: {told:?}");
        }
        name.let_go().text();
        name.is_gone();
    }
}
