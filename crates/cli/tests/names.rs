//! Runs that are found by their names: `izba run --name`, `izba ps`, `izba inspect`, `izba kill`, and the records behind them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::FlockOperation;
use serde_json::Value;
use support::{Background, Ended, Ground, User, run};

const SLEEP: &str = "echo up; exec sleep 1000";

fn izba(ground: &Ground, user: User, words: &[&str]) -> Ended {
    run(ground.izba(user).args(words))
}

fn names(ground: &Ground, user: User) -> Vec<String> {
    izba(ground, user, &["ps", "-q"]).text().lines().map(str::to_owned).collect()
}

fn inspect(ground: &Ground, user: User, name: &str) -> Value {
    serde_json::from_str(izba(ground, user, &["inspect", name]).text()).unwrap()
}

/// What is in the directory of records.
fn records(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir.join("runs")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

fn start_time(pid: &Value) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap()
}

/// A run's directory that this process holds, as an izba would.
fn hold(ground: &Ground, name: &str, record: Option<&str>) -> File {
    let dir = ground.runtime(User::Root).join("runs").join(name);
    fs::create_dir_all(&dir).unwrap();
    let lock = File::open(&dir).unwrap();
    // Another test's process may have it for the moment between its fork and its execve.
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    if let Some(record) = record {
        fs::write(dir.join("record.json"), record).unwrap();
    }
    lock
}

#[test]
fn a_run_is_listed_and_shown_for_as_long_as_it_runs() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut web = ground.named(user, "web", &[], "host", SLEEP);
        assert_eq!(names(&ground, user), ["web"]);
        let shown = inspect(&ground, user, "web");
        for process in ["izba", "first", "program"] {
            assert_eq!(shown[process]["startTime"], start_time(&shown[process]["pid"]), "{user:?} {process}");
        }
        assert_eq!(shown["izba"]["pid"], web.pid());
        let program = &shown["program"]["pid"];
        assert_eq!(fs::read(format!("/proc/{program}/cmdline")).unwrap(), b"sleep\x001000\0", "{user:?}");
        assert_eq!(
            (&shown["root"], &shown["command"][0], &shown["name"]),
            (&"host".into(), &"sh".into(), &"web".into())
        );
        assert_eq!(shown["directory"], ground.runtime(user).join("runs/web").to_str().unwrap());
        for (kind, namespace) in shown["namespaces"].as_object().unwrap() {
            let link = fs::read_link(format!("/proc/{program}/ns/{kind}")).unwrap();
            assert_eq!(link.to_str().unwrap(), format!("{kind}:[{}]", namespace["id"]), "{user:?}");
            let is_new = link != fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert_eq!(namespace["state"], if is_new { "new" } else { "shared" }, "{user:?} {kind}");
        }
        assert_eq!(shown["namespaces"].as_object().unwrap().len(), 8);
        assert_eq!(izba(&ground, user, &["kill", "web"]).text(), "");
        assert_eq!(web.status(), 128 + 15, "{user:?}");
        assert!(names(&ground, user).is_empty() && records(&ground.runtime(user)).is_empty(), "{user:?}");
    }
}

#[test]
fn the_list_is_a_table_or_json() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Ranges);
    let _one = ground.named(User::Ranges, "one", &["-u", "ann"], &root, SLEEP);
    let _two = ground.named(User::Ranges, "two", &[], "host", SLEEP);
    let table = izba(&ground, User::Ranges, &["ps"]);
    let lines: Vec<Vec<&str>> = table.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "PID", "USER", "INSIDE", "STATE", "RUNS", "FOR", "ROOT", "COMMAND"]);
    assert_eq!(
        (lines[1][0], lines[1][2], lines[1][3], lines[1][5], lines[1][6]),
        ("one", "ann", "running", root.to_str().unwrap(), "sh")
    );
    assert_eq!((lines[2][0], lines[2][2], lines[2][5]), ("two", "root", "host"));
    let json: Value = serde_json::from_str(izba(&ground, User::Ranges, &["ps", "--format", "json"]).text()).unwrap();
    assert_eq!(
        (&json[0]["name"], &json[0]["user"], &json[1]["state"]),
        (&"one".into(), &"ann".into(), &"running".into())
    );
    assert_eq!(json[0]["pid"].to_string(), lines[1][1]);
    assert_eq!(json[0]["command"][2], SLEEP);
    // Nobody sees another's.
    assert!(names(&ground, User::OneId).is_empty());
}

#[test]
fn thirty_at_once_are_all_listed() {
    let ground = Ground::new();
    let start = |number: u32| {
        let mut izba = ground.izba(User::Root);
        izba.arg("run").args(support::MARK);
        if number.is_multiple_of(2) {
            izba.args(["--name", &format!("web-{number}")]);
        }
        Background::start(izba.args(["host", "sh", "-c", SLEEP])).0
    };
    let runs: Vec<Background> = (0..30).map(start).collect();
    let expected = runs.iter().zip(0_u32..).map(|(run, number)| {
        if number.is_multiple_of(2) { format!("web-{number}") } else { format!("sh-{}", run.pid()) }
    });
    let mut expected: Vec<String> = expected.collect();
    expected.sort();
    // A made-up name is written down when the program has lived for a moment.
    ground.wait_for("all are listed", || names(&ground, User::Root) == expected);
}

#[test]
fn of_twenty_that_want_one_name_one_gets_it_and_the_others_are_told() {
    let ground = Ground::new();
    for user in User::ALL {
        let spawn = |_| {
            let mut izba = ground.izba(user);
            izba.args(["run", "--name", "web"]).args(support::MARK).args(["host", "sleep", "1000"]);
            izba.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let mut racing: Vec<_> = (0..20).map(spawn).collect();
        let mut lost = 0;
        ground.wait_for("all but one have ended", || {
            // Nobody is waited for here: a zombie has no command line.
            racing.iter().filter(|izba| fs::read(format!("/proc/{}/cmdline", izba.id())).unwrap().is_empty()).count()
                == 19
        });
        let winner = racing.iter_mut().position(|izba| izba.try_wait().unwrap().is_none()).unwrap();
        let mut winner = racing.swap_remove(winner);
        for loser in racing {
            let ended = Ended::from(loser.wait_with_output().unwrap());
            assert!(ended.refusal().contains("the name web is taken"), "{user:?}: {ended:?}");
            lost += 1;
        }
        assert_eq!((lost, names(&ground, user)), (19, vec!["web".to_owned()]));
        winner.kill().unwrap();
        winner.wait().unwrap();
    }
}

#[test]
fn the_name_of_a_killed_izba_is_free_at_once() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--share", "pid"]] {
            let mut web = ground.named(user, "web", options, "host", SLEEP);
            web.signal("KILL");
            assert_eq!(web.status(), 137);
            let next = izba(&ground, user, &["run", "--name", "web", "host", "echo", "mine"]);
            assert_eq!(
                (next.text(), next.stderr.contains("izba ps")),
                ("mine", false),
                "{user:?} {options:?}: {next:?}"
            );
        }
        assert!(records(&ground.runtime(user)).is_empty(), "{user:?}");
    }
}

#[test]
fn what_a_killed_izba_has_left_is_removed_by_who_looks_and_by_gc() {
    let ground = Ground::new();
    for sweeping in [&["ps"][..], &["inspect", "web"], &["gc"]] {
        let mut web = ground.named(User::Root, "web", &[], "host", SLEEP);
        inspect(&ground, User::Root, "web");
        web.signal("KILL");
        assert_eq!(web.status(), 137);
        assert_eq!(records(&ground.runtime(User::Root)).len(), 1);
        let swept = izba(&ground, User::Root, sweeping);
        assert!(swept.status == 0 || sweeping[0] == "inspect", "{swept:?}");
        assert!(sweeping != ["gc"] || swept.stdout.contains("and 1 records of runs"), "{swept:?}");
        assert!(records(&ground.runtime(User::Root)).is_empty(), "{sweeping:?}");
    }
}

#[test]
fn nothing_is_done_to_another_process_with_the_same_number() {
    let ground = Ground::new();
    let mut web =
        ground.named(User::Root, "web", &[], "host", "trap 'echo got' TERM USR1; echo up; while :; do read line; done");
    let mut forged = inspect(&ground, User::Root, "web");
    let document = forged.as_object_mut().unwrap();
    document.remove("directory");
    document.remove("paused");
    let start = document["program"]["startTime"].as_u64().unwrap();
    document["program"]["startTime"] = (start - 1).into();
    let _lock = hold(&ground, "forged", Some(&forged.to_string()));
    assert!(izba(&ground, User::Root, &["exec", "forged", "true"]).refusal().contains("has ended"));
    assert!(izba(&ground, User::Root, &["kill", "forged", "USR1"]).refusal().contains("has ended"));
    assert!(web.child.try_wait().unwrap().is_none());
    assert_eq!(izba(&ground, User::Root, &["kill", "web", "KILL"]).text(), "");
    // The signal for the forged record hasn't come.
    assert_eq!((web.status(), web.line().as_str()), (137, ""));
}

#[test]
fn a_broken_record_is_one_error_and_hides_no_other_run() {
    let ground = Ground::new();
    let _web = ground.named(User::Root, "web", &[], "host", SLEEP);
    let whole = inspect(&ground, User::Root, "web").to_string();
    let newer = whole.replace("\"version\":1", "\"version\":9");
    for (document, why) in [("", "EOF"), ("{}", "no version"), (&whole, "unknown field"), (&newer, "version 9")] {
        let lock = hold(&ground, "broken", Some(document));
        for words in [&["exec", "broken", "true"][..], &["kill", "broken"], &["inspect", "broken"]] {
            let refused = izba(&ground, User::Root, words);
            let text = refused.refusal();
            assert!(text.contains("runs/broken/record.json") && text.contains(why), "{words:?}: {text}");
        }
        let listed = izba(&ground, User::Root, &["ps", "-q"]);
        assert_eq!((listed.status, listed.stdout.as_str()), (125, "web\n"), "{listed:?}");
        assert_eq!(listed.stderr.matches("error: ").count(), 1);
        drop(lock);
    }
    // Another test's fork may have had the lock a moment longer.
    let swept = || izba(&ground, User::Root, &["ps", "-q"]).stderr.is_empty();
    ground.wait_for("the broken record is swept", swept);
    assert_eq!(names(&ground, User::Root), ["web"]);
}

#[test]
fn a_run_that_is_just_starting_is_waited_for_and_said() {
    let ground = Ground::new();
    let lock = hold(&ground, "slow", None);
    assert!(izba(&ground, User::Root, &["ps"]).text().contains("starting"));
    assert!(izba(&ground, User::Root, &["exec", "slow", "true"]).refusal().contains("still starting"));
    assert!(izba(&ground, User::Root, &["run", "--name", "slow", "host", "true"]).refusal().contains("taken"));
    drop(lock);
    assert!(names(&ground, User::Root).is_empty());
    // A slow start: the reader comes before the record.
    let mut traced = ground.command("/usr/bin/strace", User::Root);
    traced.args(["-qq", "-o", "/dev/null", "-e", "inject=renameat:delay_enter=300000"]).arg(ground.path("izba"));
    traced.args(["run", "--name", "slow"]).args(support::MARK).args(["host", "sh", "-c", SLEEP]);
    let (_slow, line) = Background::start(&mut traced);
    assert_eq!(line, "up");
    assert!(!ground.runtime(User::Root).join("runs/slow/record.json").exists());
    assert_eq!(inspect(&ground, User::Root, "slow")["command"][0], "sh");
    assert_eq!(izba(&ground, User::Root, &["kill", "slow", "KILL"]).text(), "");
}

/// As the first process of an izba that was killed does, until it notices.
#[test]
fn who_holds_a_name_without_a_record_is_given_a_moment_to_end() {
    let ground = Ground::new();
    let lock = hold(&ground, "late", None);
    let mut next = ground.izba(User::Root);
    next.args(["run", "--name", "late"]).args(support::MARK).args(["host", "echo", "mine"]);
    let next = next.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(lock);
    assert_eq!(Ended::from(next.wait_with_output().unwrap()).text(), "mine");
}

#[test]
fn nothing_is_written_down_of_what_does_not_run() {
    let ground = Ground::new();
    let runtime = ground.runtime(User::Root);
    assert_eq!(izba(&ground, User::Root, &["run", "--dry-run", "--name", "web", "host", "true"]).status, 0);
    assert!(fs::read_dir(&runtime).unwrap().next().is_none(), "a dry run");
    assert_eq!(izba(&ground, User::Root, &["run", "--name", "web", "host", "/none"]).status, 127);
    assert!(izba(&ground, User::Root, &["run", "--name", "web", "--join", "net=/none", "host", "true"]).status == 125);
    for _ in 0..20 {
        assert_eq!(izba(&ground, User::Root, &["run", "--name", "web", "host", "true"]).stderr, "");
    }
    assert!(records(&runtime).is_empty());
    for words in [&["exec", "web", "true"][..], &["kill", "web"], &["inspect", "web"]] {
        assert!(izba(&ground, User::Root, words).refusal().contains("nothing runs under the name web"), "{words:?}");
    }
}

#[test]
fn names_and_signals_that_can_be_none_are_refused() {
    let ground = Ground::new();
    for bad in ["", ".", "..", "a/b", "-x", "17", "a b", &"a".repeat(64)] {
        let refused = izba(&ground, User::Root, &["run", &format!("--name={bad}"), "host", "true"]);
        assert!(refused.refusal().contains("can't name a run"), "{bad}: {refused:?}");
        assert_eq!(izba(&ground, User::Root, &["exec", "--", bad, "true"]).status, 125);
    }
    let _web = ground.named(User::Root, "web", &[], "host", SLEEP);
    for bad in ["0", "65", "TERMX", "--9", "RTMIN-1"] {
        assert_eq!(izba(&ground, User::Root, &["kill", "--", "web", bad]).status, 125, "{bad}");
    }
    assert_eq!(names(&ground, User::Root), ["web"]);
}

#[test]
fn each_signal_reaches_the_program() {
    let ground = Ground::new();
    let signals =
        ["HUP", "SIGINT", "quit", "TERM", "USR1", "12", "PIPE", "ALRM", "CONT", "TSTP", "WINCH", "RTMIN", "RTMAX"];
    let traps =
        ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "PIPE", "ALRM", "CONT", "TSTP", "WINCH", "RTMIN", "RTMAX"];
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--share", "pid"]] {
            let set: String = traps.map(|name| format!("trap 'echo got {name}' {name};")).concat();
            let mut izba = ground.izba(user);
            izba.args(["run", "--name", "web"]).args(support::MARK).args(options);
            // A shell looks for signals between its commands.
            izba.args(["host", "bash", "-c", &format!("{set} echo up; while :; do :; done")]);
            let (mut web, line) = Background::start(&mut izba);
            assert_eq!(line, "up", "{user:?} {options:?}");
            for (signal, name) in signals.iter().zip(traps) {
                assert_eq!(run(ground.izba(user).args(["kill", "web", signal])).text(), "");
                assert_eq!(web.line(), format!("got {name}"), "{user:?} {options:?} {signal}");
            }
            let program = inspect(&ground, user, "web")["program"]["pid"].clone();
            let state = || {
                fs::read_to_string(format!("/proc/{program}/stat")).unwrap().rsplit(") ").next().unwrap()[..1]
                    .to_owned()
            };
            assert_eq!(run(ground.izba(user).args(["kill", "web", "STOP"])).text(), "");
            ground.wait_for("it is stopped", || state() == "T");
            assert_eq!(run(ground.izba(user).args(["kill", "web", "CONT"])).text(), "");
            ground.wait_for("it goes on", || state() != "T");
            assert_eq!(run(ground.izba(user).args(["kill", "web", "KILL"])).text(), "");
            assert_eq!(web.status(), 137, "{user:?} {options:?}");
            ground.wait_for("nothing is left of it", || ground.processes().is_empty());
        }
    }
}

#[test]
fn kill_ends_everything_in_a_pid_namespace_of_its_own() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"]] {
            let mut web = ground.named(user, "web", options, "host", "sleep 1000 & setsid sleep 1000 & echo up; wait");
            assert_eq!(izba(&ground, user, &["kill", "web", "KILL"]).text(), "");
            assert_eq!(web.status(), 137, "{user:?}");
            ground.wait_for("all are gone", || ground.processes().is_empty());
        }
    }
}

/// An izba without the variable that keeps tests apart.
fn elsewhere(ground: &Ground, user: User, words: &[&str]) -> Command {
    let mut izba = ground.izba(user);
    izba.env_remove("IZBA_RUNTIME_DIR").args(words);
    izba
}

#[test]
fn the_session_has_the_records_of_an_ordinary_user() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let session = ground.directory(&format!("session-{user:?}"), user);
        fs::set_permissions(&session, fs::Permissions::from_mode(0o700)).unwrap();
        let mut start = elsewhere(&ground, user, &["run", "--name", "web"]);
        start.env("XDG_RUNTIME_DIR", &session).args(support::MARK).args(["host", "sh", "-c", SLEEP]);
        let (_web, line) = Background::start(&mut start);
        assert_eq!(line, "up");
        let listed = run(elsewhere(&ground, user, &["ps", "-q"]).env("XDG_RUNTIME_DIR", &session));
        assert_eq!(listed.text(), "web", "{user:?}");
        assert!(session.join("izba/runs/web/record.json").exists());
        let mode = |path: &str| fs::metadata(session.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode("izba"), mode("izba/runs/web"), mode("izba/runs/web/record.json")], [0o700, 0o700, 0o600]);
    }
}

/// What everybody may write to is shared with the machine, so this is one test, which removes what it has made.
#[test]
fn without_a_session_records_are_in_a_private_directory_of_tmp() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let (uid, ..) = user.account();
        let place = PathBuf::from(format!("/tmp/izba-{uid}"));
        let session = ground.directory(&format!("closed-{user:?}"), User::Root);
        let named = ["run", "--name", "web", "-e", "IZBA_TEST_GROUND", "host", "sh", "-c", SLEEP];
        // Neither a session that is closed to the user nor none at all.
        for variable in [Some(&session), None] {
            let mut start = elsewhere(&ground, user, &named);
            variable.map(|session| start.env("XDG_RUNTIME_DIR", session));
            let (web, line) = Background::start(&mut start);
            assert_eq!(line, "up");
            assert_eq!(run(&mut elsewhere(&ground, user, &["ps", "-q"])).text(), "web", "{user:?}");
            // A session that has come later hides none.
            let later = run(elsewhere(&ground, user, &["ps", "-q"]).env("XDG_RUNTIME_DIR", &session));
            assert_eq!(later.text(), "web", "{user:?}");
            assert!(place.join("runs/web/record.json").exists());
            drop(web);
            assert_eq!(run(&mut elsewhere(&ground, user, &["ps", "-q"])).text(), "", "{user:?}");
        }
        fs::remove_dir_all(&place).unwrap();
        // Somebody else was there before.
        let hostile: [&dyn Fn(); 3] =
            [&|| fs::create_dir(&place).unwrap(), &|| symlink(ground.runtime(user), &place).unwrap(), &|| {
                fs::create_dir(&place).unwrap();
                std::os::unix::fs::chown(&place, Some(uid), None).unwrap();
                fs::set_permissions(&place, fs::Permissions::from_mode(0o770)).unwrap();
            }];
        for make in hostile {
            make();
            refused_there(&ground, user, &place);
            if fs::remove_file(&place).is_err() {
                fs::remove_dir(&place).unwrap();
            }
        }
    }
}

/// A run goes on without a record, unless it has been given a name.
#[track_caller]
fn refused_there(ground: &Ground, user: User, place: &Path) {
    let without = run(&mut elsewhere(ground, user, &["run", "host", "sh", "-c", "sleep 0.3; echo runs"]));
    assert_eq!(without.text(), "runs", "{user:?}");
    assert!(without.stderr.contains("note: izba ps and izba exec won't find this run"), "{without:?}");
    let named = run(&mut elsewhere(ground, user, &["run", "--name", "web", "host", "echo", "runs"]));
    let text = named.refusal();
    assert!(text.contains(place.to_str().unwrap()) && text.contains("IZBA_RUNTIME_DIR"), "{text}");
    let listed = run(&mut elsewhere(ground, user, &["ps", "-q"]));
    assert_eq!(listed.text(), "");
    assert!(listed.stderr.contains("isn't looked into"), "{listed:?}");
    assert!(fs::read_dir(place).into_iter().flatten().next().is_none_or(|_| place.is_symlink()));
}

#[test]
fn a_place_that_cannot_be_used_is_named() {
    let ground = Ground::new();
    let open = ground.directory("open", User::Root);
    fs::write(ground.path("file"), "").unwrap();
    let file = ground.path("file");
    for place in [Path::new("/proc/none"), &open, &file] {
        let with = |words: &[&str]| run(ground.izba(User::Root).env("IZBA_RUNTIME_DIR", place).args(words));
        let without = with(&["run", "host", "sh", "-c", "sleep 0.3; echo runs"]);
        assert_eq!((without.text(), without.stderr.lines().count()), ("runs", 1), "{place:?}: {without:?}");
        assert!(with(&["run", "--name", "web", "host", "true"]).refusal().contains(place.to_str().unwrap()));
        assert_eq!(with(&["ps", "-q"]).text(), "");
    }
}
