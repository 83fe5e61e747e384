//! `izba ns keep` killed at any of its calls, and the processes that hold what an ordinary user keeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod name;
mod support;
mod target;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use name::{Name, listing};
use support::{Background, Ground, User, run};
use target::{ALL, KINDS, ORDINARY, Target, peer};

/// The process that holds a name of an ordinary user's.
fn holder(ground: &Ground, name: &Name<'_>) -> i32 {
    let file = ground.runtime(name.user).join("ns").join(&name.text).join("holder");
    fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
}

#[test]
fn who_holds_has_nothing_else() {
    let ground = Ground::new();
    for user in ORDINARY {
        let target = Target::new(&ground, user, &ALL);
        let name = Name::new(&ground, user);
        name.keep(&[&target.pid()]).text();
        let pid = holder(&ground, &name);
        let is_one = |path: &str| KINDS.iter().any(|(kind, _)| path.starts_with(&format!("{kind}:[")));
        let others = || -> Vec<PathBuf> {
            let open =
                listing(Path::new(&format!("/proc/{pid}/fd"))).into_iter().filter_map(|fd| fs::read_link(fd).ok());
            open.filter(|path| path != Path::new("/dev/null") && !is_one(path.to_str().unwrap())).collect()
        };
        // The other end of the socket by which it was told that it is known is closed.
        let lock = ground.runtime(user).join("ns").join(&name.text);
        ground.wait_for("the rest is closed", || {
            let mut others = others();
            others.retain(|path| !path.to_str().unwrap().starts_with("socket:["));
            others == [lock.clone()]
        });
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert_eq!(line.trim_end_matches('\0'), "izba-keep", "{user:?}");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap().to_owned();
        assert_eq!(session, pid.to_string(), "{user:?}: a session of its own");
        name.let_go().text();
        name.is_gone();
    }
}

/// It has descriptors of its maker's then, by which it would never notice that its maker has gone.
#[test]
fn who_cannot_close_what_is_not_his_does_not_hold() {
    let ground = Ground::new();
    for user in ORDINARY {
        let target = Target::new(&ground, user, &ALL);
        let others = ground.processes();
        let name = Name::new(&ground, user);
        for call in ["close_range", "chdir"] {
            let mut command = ground.command("/usr/bin/strace", User::Root);
            let izba = peer(&ground, user, "izba");
            command.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
            command.args(["-f", "-qq", "-o", "/dev/null", "-u", user.name()]);
            command.args(["-e", &format!("inject={call}:error=EMFILE")]);
            let ended = run(command.arg(ground.path("izba")).args(["ns", "keep", &name.text, &target.pid()]));
            let text = ended.refusal();
            assert!(text.contains("start a process that holds"), "{user:?} {call}: {text}");
            name.is_gone();
            let holders = || ground.processes().into_iter().filter(|pid| !others.contains(pid)).collect();
            ground.wait_until_none("of who holds", holders);
        }
    }
}

#[test]
fn a_killed_holder_frees_the_name() {
    let ground = Ground::new();
    for user in ORDINARY {
        let target = Target::new(&ground, user, &ALL);
        let name = Name::new(&ground, user);
        for again in [true, false] {
            name.keep(&[&target.pid()]).text();
            let pid = holder(&ground, &name);
            assert_eq!(run(Command::new("kill").args(["-KILL", &pid.to_string()])).status, 0);
            ground.wait_for("nobody holds it", || name.listed().is_empty());
            name.enter(&["-U"], "echo run").refusal();
            if again {
                name.keep(&[&target.pid(), "-u"]).text();
                assert_eq!(name.listed(), ["uts"], "{user:?}");
                name.let_go().text();
            } else {
                // What is dropped is nothing any more, but what is left goes.
                name.let_go().refusal();
                let _empty = fs::remove_dir(ground.runtime(user).join("ns"));
            }
            name.is_gone();
        }
    }
}

/// The number in the file may be that of another process, as numbers are those of one PID namespace and used again.
#[test]
fn another_process_is_never_taken_for_the_holder() {
    let ground = Ground::new();
    for user in ORDINARY {
        let target = Target::new(&ground, user, &ALL);
        let name = Name::new(&ground, user);
        name.keep(&[&target.pid(), "-u"]).text();
        let file = ground.runtime(user).join("ns").join(&name.text).join("holder");
        let content = fs::read_to_string(&file).unwrap();
        let own = holder(&ground, &name);
        let (_bystander, line) = Background::start(ground.command("sh", user).args(["-c", "echo $$; read end"]));
        fs::write(&file, content.replacen(&own.to_string(), &line, 1)).unwrap();
        assert!(name.listed().is_empty(), "{user:?}");
        name.let_go().refusal();
        assert!(Path::new(&format!("/proc/{line}")).exists());
        assert!(name.keep(&[&target.pid(), "-u"]).refusal().contains("taken"), "{user:?}");
        fs::write(&file, content).unwrap();
        name.let_go().text();
        name.is_gone();
    }
}

/// What is killed: `izba ns ...` with these words.
struct Verb {
    words: fn(&Name<'_>, &Target) -> Vec<String>,
    /// Has something to be kept before?
    kept: bool,
}

const KEEP: Verb = Verb { words: |name, target| words(&["keep", &name.text, &target.pid()]), kept: false };
const RUN: Verb =
    Verb { words: |name, _| words(&["run", "-U", "-r", "-n", "-u", "--keep", &name.text, "true"]), kept: false };
const DROP: Verb = Verb { words: |name, _| words(&["drop", &name.text]), kept: true };

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// strace, which kills izba at the how-manieth of its calls of one name.
fn killed(name: &Name<'_>, point: Option<(&str, usize)>, target: &Target, verb: &Verb) -> (i32, String) {
    if verb.kept {
        name.keep(&[&target.pid()]).text();
    }
    let trace = name.ground.path("trace");
    let mut command = name.ground.command("/usr/bin/strace", User::Root);
    command.envs(peer(name.ground, name.user, "izba").get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.args(["-qq", "-o"]).arg(&trace);
    if name.user != User::Root {
        command.args(["-u", name.user.name()]);
    }
    if let Some((call, count)) = point {
        command.args(["-e", &format!("inject={call}:signal=KILL:when={count}")]);
    }
    let ended = run(command.arg(name.ground.path("izba")).arg("ns").args((verb.words)(name, target)));
    (ended.status, fs::read_to_string(&trace).unwrap_or_default())
}

/// From the first that has to do with the name on.
fn points(trace: &str) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut found = Vec::new();
    for (call, rest) in trace.lines().filter_map(|line| line.split_once('(')) {
        let count = counts.entry(call.to_owned()).or_default();
        *count += 1;
        found.push((call.to_owned(), *count, rest.contains("LOCK_EX")));
    }
    let first = found.iter().position(|(.., locks)| *locks).expect("the name is locked");
    let usable = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name != "exit_group";
    found.drain(..first.saturating_sub(5));
    found.into_iter().filter(|(name, ..)| usable(name)).map(|(name, count, _)| (name, count)).collect()
}

fn killed_at_points(user: User, step: usize, verb: &Verb) {
    let ground = Ground::new();
    let target = Target::new(&ground, user, &ALL);
    let others = ground.processes().len();
    let name = Name::new(&ground, user);
    let (status, trace) = killed(&name, None, &target, verb);
    assert_eq!(status, 0);
    let _dropped_already = name.let_go();
    name.is_gone();
    let (mut kills, mut tries) = (0, 0);
    for (number, (call, count)) in points(&trace).into_iter().enumerate().step_by(step) {
        let (status, _) = killed(&name, Some((&call, count)), &target, verb);
        kills += u32::from(status == 128 + 9);
        tries += 1;
        let context = format!("{user:?} killed at {call} {count}");
        // Who holds a name that nobody knows of ends by itself, as does a program.
        ground.wait_for(&format!("{context}: who isn't known ends"), || {
            ground.processes().len() == others || !name.listed().is_empty()
        });
        recovers(&name, &target, number % 2 == 0, &context);
    }
    assert!(tries >= 5 && kills * 10 >= tries * 8, "{user:?}: killed {kills} times at {tries} points");
    ground.wait_for("only the target is left", || ground.processes().len() == others);
}

/// Whatever is left of the name can be dropped, and the name used again.
#[track_caller]
fn recovers(name: &Name<'_>, target: &Target, drops: bool, context: &str) {
    if drops {
        let dropped = name.let_go();
        assert!(dropped.status == 0 || dropped.refusal().contains(&name.text), "{context}: {dropped:?}");
    }
    let kept = name.keep(&[&target.pid()]);
    if kept.status != 0 {
        // It had been kept before the kill, or a part of it.
        assert!(!drops && kept.refusal().contains("taken"), "{context}: {kept:?}");
        name.let_go().text();
        name.keep(&[&target.pid()]).text();
    }
    assert_eq!(name.listed().len(), 8, "{context}");
    name.let_go().text();
    name.is_gone();
}

#[test]
fn keep_of_root_killed_at_points() {
    killed_at_points(User::Root, 3, &KEEP);
}

#[test]
fn keep_of_an_ordinary_user_killed_at_points() {
    killed_at_points(User::Ranges, 1, &KEEP);
}

#[test]
fn run_killed_while_it_keeps() {
    killed_at_points(User::Root, 3, &RUN);
    killed_at_points(User::OneId, 1, &RUN);
}

#[test]
fn drop_killed_at_points() {
    killed_at_points(User::Root, 3, &DROP);
    killed_at_points(User::OneId, 1, &DROP);
}
