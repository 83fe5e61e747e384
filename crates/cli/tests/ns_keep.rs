//! `izba ns keep`, `izba ns drop` and `izba ns run --keep`: namespaces with a name, with or without a process, beside ip-netns(8).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{Background, Ended, Ground, User, run};

const KINDS: [(&str, &str); 8] = [
    ("user", "-U"),
    ("mnt", "-m"),
    ("pid", "-p"),
    ("net", "-n"),
    ("ipc", "-i"),
    ("uts", "-u"),
    ("cgroup", "-C"),
    ("time", "-T"),
];

const ORDINARY: [User; 2] = [User::Ranges, User::OneId];

/// A name that nobody else has, and the user whose it is. Dropping it lets go what is kept under it.
struct Name<'a> {
    ground: &'a Ground,
    user: User,
    text: String,
}

impl<'a> Name<'a> {
    fn new(ground: &'a Ground, user: User) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let text = format!("izba-keep-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { ground, user, text }
    }

    fn izba(&self, arguments: &[&str]) -> Ended {
        run(self.ground.izba(self.user).arg("ns").args(arguments))
    }

    fn keep(&self, targets: &[&str]) -> Ended {
        self.izba(&[&["keep", &self.text], targets].concat())
    }

    fn let_go(&self) -> Ended {
        self.izba(&["drop", &self.text])
    }

    fn enter(&self, options: &[&str], script: &str) -> Ended {
        self.izba(&[&["enter", &self.text], options, &["--", "sh", "-c", script]].concat())
    }

    /// Where the kinds are kept, as `izba ns list` has them by this name.
    fn listed(&self) -> Vec<String> {
        let list = self.izba(&["list", "--format", "json"]);
        let list: serde_json::Value = serde_json::from_str(list.text()).unwrap();
        let rows = list["namespaces"].as_array().unwrap().iter();
        let own = rows.filter(|row| row.to_string().contains(&format!("\"{}\"", self.text)));
        let mut kinds: Vec<String> = own.map(|row| row["type"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    }

    /// Nothing of it is left: no mount, no file, no process.
    #[track_caller]
    fn is_gone(&self) {
        let netns = Path::new("/run/netns").join(&self.text);
        assert!(!netns.exists(), "{} is left", netns.display());
        let runtime = self.ground.runtime(self.user);
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let left: Vec<&str> = table
            .lines()
            .filter(|line| line.contains(&self.text) || line.contains(runtime.to_str().unwrap()))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!runtime.join("ns").exists(), "{:?}", listing(&runtime.join("ns")));
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        let _unknown = self.let_go();
    }
}

fn listing(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// A process in new namespaces of these kinds, which lives until it is dropped.
struct Target {
    pid: i32,
    namespaces: BTreeMap<&'static str, PathBuf>,
    process: Option<Background>,
}

impl Target {
    fn new(ground: &Ground, user: User, letters: &[&str]) -> Self {
        let mut unshare = ground.command("unshare", user);
        unshare.args(letters).args(["--fork", "--kill-child", "sh", "-c", "echo up; read end"]);
        let (process, line) = Background::start(&mut unshare);
        assert_eq!(line, "up", "{user:?}");
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.pid())).unwrap();
        let pid = children.trim().parse().unwrap();
        let link = |kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        Self { pid, namespaces: KINDS.map(|(kind, _)| (kind, link(kind))).into(), process: Some(process) }
    }

    fn all(ground: &Ground, user: User) -> Self {
        Self::new(ground, user, &["-U", "-r", "-m", "-p", "-n", "-i", "-u", "-C", "-T"])
    }

    fn pid(&self) -> String {
        self.pid.to_string()
    }

    fn namespace(&self, kind: &str) -> &str {
        self.namespaces[kind].to_str().unwrap()
    }

    /// No process is in its namespaces any more.
    fn end(&mut self, ground: &Ground) {
        self.process = None;
        let dir = PathBuf::from(format!("/proc/{}/ns/uts", self.pid));
        ground.wait_for("the target has ended", || fs::read_link(&dir).is_err());
    }
}

fn show(kind: &str) -> String {
    format!("readlink /proc/self/ns/{kind}")
}

#[test]
fn all_kinds_survive_their_last_process() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = Name::new(&ground, user);
        let mut target = Target::all(&ground, user);
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
        let target = Target::all(&ground, user);
        for (kind, letter) in KINDS {
            let name = Name::new(&ground, user);
            assert_eq!(name.keep(&[&target.pid(), letter]).text(), "", "{user:?} {kind}");
            assert_eq!(name.listed(), [kind], "{user:?}");
            let path = format!("/proc/{}/ns/{kind}", target.pid);
            let other = Name::new(&ground, user);
            other.keep(&[&path]).text();
            assert_eq!(other.listed(), [kind], "{user:?}");
            other.let_go().text();
            name.let_go().text();
            name.is_gone();
        }
    }
}

#[test]
fn several_targets_under_one_name() {
    let ground = Ground::new();
    for user in User::ALL {
        let (one, other) = (Target::all(&ground, user), Target::all(&ground, user));
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
        let target = Target::all(&ground, user);
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
        let target = Target::all(&ground, user);
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
fn of_many_at_once_one_wins() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::all(&ground, user);
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
        let target = Target::all(&ground, user);
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
        let target = Target::all(&ground, user);
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
        let target = Target::all(&ground, user);
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
        let target = Target::all(&ground, User::Root);
        let refused = name.keep(&[&target.pid()]);
        assert!(refused.refusal().contains("ptrace"), "{user:?}: {refused:?}");
        name.is_gone();
    }
}

#[test]
fn a_mount_namespace_that_is_no_younger_is_refused_and_nothing_stays() {
    let ground = Ground::new();
    let name = Name::new(&ground, User::Root);
    let target = Target::all(&ground, User::Root);
    let user = format!("/proc/{}/ns/user", target.pid);
    let refused = name.keep(&["/proc/self/ns/mnt", &user]);
    assert!(refused.refusal().contains("older"), "{refused:?}");
    name.is_gone();
    // The same from within another. How others stand to each other isn't certain: Linux 6.18 numbers them per processor.
    let script = format!("exec {} ns keep {} /proc/self/ns/mnt {user}", ground.path("izba").display(), name.text);
    let inside = run(ground.izba(User::Root).args(["ns", "run", "-m", "--", "sh", "-c", &script]));
    assert!(inside.refusal().contains("older"), "{inside:?}");
    name.is_gone();
}

#[test]
fn by_links_to_the_runtime_directory_it_is_one_place() {
    let ground = Ground::new();
    let target = Target::all(&ground, User::Root);
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

/// The process that holds a name of an ordinary user's.
fn holder(ground: &Ground, name: &Name<'_>) -> i32 {
    let file = ground.runtime(name.user).join("ns").join(&name.text).join("holder");
    fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
}

#[test]
fn who_holds_has_nothing_else() {
    let ground = Ground::new();
    for user in ORDINARY {
        let target = Target::all(&ground, user);
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

#[test]
fn a_killed_holder_frees_the_name() {
    let ground = Ground::new();
    for user in ORDINARY {
        let target = Target::all(&ground, user);
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
        let target = Target::all(&ground, user);
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

/// strace, which kills izba at the how-manieth of its calls of one name.
fn killed(name: &Name<'_>, point: Option<(&str, usize)>, target: &Target) -> (i32, String) {
    let trace = name.ground.path("trace");
    let mut command = name.ground.command("/usr/bin/strace", User::Root);
    let izba = name.ground.izba(name.user);
    command.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.args(["-qq", "-o"]).arg(&trace);
    if name.user != User::Root {
        command.args(["-u", name.user.name()]);
    }
    if let Some((call, count)) = point {
        command.args(["-e", &format!("inject={call}:signal=KILL:when={count}")]);
    }
    command.arg(name.ground.path("izba")).args(["ns", "keep", &name.text, &target.pid()]);
    let ended = run(&mut command);
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

fn killed_at_points(user: User, step: usize) {
    let ground = Ground::new();
    let target = Target::all(&ground, user);
    let others = ground.processes();
    let name = Name::new(&ground, user);
    let (status, trace) = killed(&name, None, &target);
    assert_eq!(status, 0);
    name.let_go().text();
    name.is_gone();
    let (mut kills, mut tries) = (0, 0);
    for (number, (call, count)) in points(&trace).into_iter().enumerate().step_by(step) {
        let (status, _) = killed(&name, Some((&call, count)), &target);
        kills += u32::from(status == 128 + 9);
        tries += 1;
        let context = format!("{user:?} killed at {call} {count}");
        // Who holds a name that nobody knows of ends by itself.
        ground.wait_for(&format!("{context}: who isn't known ends"), || {
            ground.processes().len() == others.len() || !name.listed().is_empty()
        });
        if number % 2 == 0 {
            let dropped = name.let_go();
            assert!(dropped.status == 0 || dropped.refusal().contains(&name.text), "{context}: {dropped:?}");
        }
        let kept = name.keep(&[&target.pid()]);
        if kept.status != 0 {
            // It had been kept before the kill, or a part of it.
            assert!(number % 2 == 1 && kept.refusal().contains("taken"), "{context}: {kept:?}");
            name.let_go().text();
            name.keep(&[&target.pid()]).text();
        }
        assert_eq!(name.listed().len(), 8, "{context}");
        name.let_go().text();
        name.is_gone();
    }
    assert!(tries >= 10 && kills * 10 >= tries * 9, "{user:?}: killed {kills} times at {tries} points");
    ground.wait_for("only the target is left", || ground.processes().len() == others.len());
}

#[test]
fn roots_keep_killed_at_points() {
    killed_at_points(User::Root, 3);
}

#[test]
fn an_ordinary_users_keep_killed_at_points() {
    killed_at_points(User::Ranges, 1);
}
