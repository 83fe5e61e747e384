//! Roots made by somebody who means harm: whatever stands where izba mounts or looks, no byte of the host changes, nothing
//! hangs, and the program starts inside the root or there is one error. CVE-2019-19921, 2021-30465, 2023-27561, 2024-45310,
//! 2025-31133, 2025-52565, 2025-52881, 2025-54867.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use support::{Ended, Ground, User, run};

/// Every path that izba touches in a root: where it mounts, what it reads, what it enters and executes.
const TOUCHED: [&str; 11] = [
    "proc",
    "sys",
    "dev",
    "etc",
    "etc/passwd",
    "etc/group",
    "etc/hosts",
    "etc/hostname",
    "target",
    "work",
    "bin/busybox",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trap {
    AbsoluteLink,
    RelativeLink,
    Dangling,
    Loop,
    Fifo,
    Device,
    BindMount,
    OwnRoot,
    InitsRoot,
    OwnDirectory,
}

impl Trap {
    const ALL: [Self; 10] = [
        Self::AbsoluteLink,
        Self::RelativeLink,
        Self::Dangling,
        Self::Loop,
        Self::Fifo,
        Self::Device,
        Self::BindMount,
        Self::OwnRoot,
        Self::InitsRoot,
        Self::OwnDirectory,
    ];

    /// Puts itself at a path of the root.
    fn set(self, place: &Path, bait: &Path) {
        if place.is_dir() {
            fs::remove_dir_all(place).unwrap();
        } else {
            fs::remove_file(place).unwrap();
        }
        let up = format!("{}{}", "../".repeat(12), bait.display().to_string().trim_start_matches('/'));
        match self {
            Self::AbsoluteLink => symlink(bait, place).unwrap(),
            Self::RelativeLink => symlink(up, place).unwrap(),
            Self::Dangling => symlink("/no/such/place", place).unwrap(),
            Self::Loop => symlink(place.file_name().unwrap(), place).unwrap(),
            Self::Fifo => mknodat(CWD, place, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap(),
            Self::Device => {
                mknodat(CWD, place, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 7)).unwrap();
            }
            // Mounted when izba is started, in a mount namespace that goes with it.
            Self::BindMount if bait.is_dir() => fs::create_dir(place).unwrap(),
            Self::BindMount => fs::write(place, "").unwrap(),
            Self::OwnRoot => symlink(format!("/proc/self/root{}", bait.display()), place).unwrap(),
            Self::InitsRoot => symlink(format!("/proc/1/root{}", bait.display()), place).unwrap(),
            Self::OwnDirectory => symlink("/proc/self/cwd", place).unwrap(),
        }
    }
}

/// A tree of the host's that the traps lead to.
fn sentinel(ground: &Ground, user: User) -> PathBuf {
    let dir = ground.directory(&format!("sentinel-{user:?}"), user);
    let (uid, gid, _) = user.account();
    for name in ["hosts", "hostname", "passwd", "group", "file", "busybox", "resolv.conf"] {
        // Lines of users too, so that a passwd file that is read from outside would be believed.
        fs::write(dir.join(name), "root:x:0:0:outside:/outside:/outside\n").unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::chown(dir.join(name), Some(uid), Some(gid)).unwrap();
    }
    for name in ["sys", "pts", "shm", "fd", "net", "mqueue"] {
        ground.directory(&format!("sentinel-{user:?}/{name}"), user);
    }
    dir
}

/// All that can be seen of a tree: what there is, of which kind, whose, and with what in it.
fn fingerprint(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let text =
            format!("{:o} {} {} {} {:?} {:?}", meta.mode(), meta.uid(), meta.gid(), meta.nlink(), times, content);
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, text);
    }
    found
}

/// A program that does what harm it can, but for opening a FIFO, which would only stop itself.
const HARM: &str = "for f in /etc/hosts /etc/hostname /etc/passwd /etc/group /work/new /target/new /dev/new /proc/new /sys/new; do \
    [ -p $f ] || [ -c $f ] || echo harm > $f; done 2>/dev/null; echo inside";

/// It worked, or there is one error; never both, and nothing else.
#[track_caller]
fn works_or_says_why(ended: &Ended, context: &str) {
    let errors = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    let worked = ended.status == 0 && ended.stdout == "inside\n" && errors == 0;
    let refused = (125..=127).contains(&ended.status) && ended.stdout.is_empty() && errors == 1;
    assert!(worked || refused, "{context}: {ended:?}");
}

fn start(ground: &Ground, user: User, options: &[&str], root: &Path) -> Command {
    let mut command = ground.izba(user);
    command.arg("run").args(options).arg("-v").arg(format!("{}:/target", ground.path("shared").display()));
    command.args(["-w", "/work"]).arg(root).args(["/bin/busybox", "sh", "-c", HARM]);
    command
}

/// The same in a mount namespace of its own, where the bait lies over the place.
fn start_mounted(ground: &Ground, user: User, options: &[&str], root: &Path, bait: &Path, place: &Path) -> Command {
    let inner = start(ground, user, options, root);
    let mut command = ground.command("/usr/bin/unshare", User::Root);
    command.args([
        "-m",
        "--propagation",
        "private",
        "/bin/sh",
        "-c",
        "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"",
        "sh",
    ]);
    command.arg(bait).arg(place);
    if user != User::Root {
        command.args(["setpriv", "--reuid", user.name(), "--regid", user.name(), "--clear-groups"]);
    }
    command.arg(inner.get_program()).args(inner.get_args());
    for (key, value) in inner.get_envs() {
        value.map(|value| command.env(key, value));
    }
    command
}

fn every_trap(user: User, options: &[&str]) {
    let ground = Ground::new();
    let bait = sentinel(&ground, user);
    ground.directory("shared", user);
    let mut before = fingerprint(&bait);
    let host = host_files();
    let mut worked = 0;
    for (number, touched) in TOUCHED.iter().enumerate() {
        for trap in Trap::ALL {
            let root = ground.busybox_root(&format!("root{number}{trap:?}"), user);
            ground.directory(&format!("root{number}{trap:?}/work"), user);
            ground.directory(&format!("root{number}{trap:?}/target"), user);
            for name in ["hosts", "hostname"] {
                fs::write(root.join("etc").join(name), "").unwrap();
            }
            let place = root.join(touched);
            let file = touched.contains('/');
            let bait_here = if file { bait.join(place.file_name().unwrap()) } else { bait.clone() };
            trap.set(&place, &bait_here);
            let mut command = if trap == Trap::BindMount {
                start_mounted(&ground, user, options, &root, &bait_here, &place)
            } else {
                start(&ground, user, options, &root)
            };
            let ended = run(&mut command);
            let context = format!("{user:?} {options:?}: {touched} is {trap:?}");
            // What is mounted into the root belongs to it: only what izba does by itself must leave it alone.
            works_or_says_why(&ended, &context);
            if trap != Trap::BindMount {
                assert!(fingerprint(&bait) == before, "{context}: {:#?}", fingerprint(&bait));
            }
            assert!(!ended.stdout.contains("outside"), "{context}: {ended:?}");
            worked += u32::from(ended.status == 0);
            fs::remove_dir_all(&root).unwrap();
            if trap == Trap::BindMount {
                for name in before.keys().filter(|path| path.is_file()) {
                    let restored = String::from_utf8_lossy(&fs::read(name).unwrap()).into_owned();
                    assert!(restored.contains("outside") || restored == "harm\n", "{context}: {restored}");
                }
                return_bait(&bait);
                before = fingerprint(&bait);
            }
        }
    }
    assert!(worked >= 20, "only {worked} started: the traps have lost their teeth");
    assert_eq!(host_files(), host);
}

/// The program may write to what is mounted into its root; the next trap wants it as it was, its times aside.
fn return_bait(bait: &Path) {
    for entry in fs::read_dir(bait).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::write(entry.path(), "root:x:0:0:outside:/outside:/outside\n").unwrap();
    }
}

/// Files of the machine that a link out of a root would reach first.
fn host_files() -> Vec<String> {
    ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname"]
        .iter()
        .map(|path| format!("{:?}", fs::read(path).ok()))
        .collect()
}

#[test]
fn traps_for_root() {
    every_trap(User::Root, &[]);
}

#[test]
fn traps_for_root_with_a_user_namespace() {
    every_trap(User::Root, &["--userns"]);
}

#[test]
fn traps_for_an_ordinary_user() {
    every_trap(User::OneId, &[]);
}

#[test]
fn traps_where_writes_are_thrown_away() {
    every_trap(User::Root, &["--ephemeral"]);
}

/// Swaps a directory of the root and a link to the host, as fast as it can, while sandboxes start.
#[test]
fn racers_win_nothing() {
    for (user, options) in [(User::Root, &[][..]), (User::Root, &["--userns"]), (User::OneId, &[])] {
        let ground = Ground::new();
        let bait = sentinel(&ground, user);
        ground.directory("shared", user);
        let root = ground.busybox_root("root", user);
        for dir in ["work", "target"] {
            ground.directory(&format!("root/{dir}"), user);
        }
        fs::write(root.join("etc/hosts"), "").unwrap();
        fs::write(root.join("etc/hostname"), "").unwrap();
        let swapped = ["proc", "sys", "dev", "etc", "work", "target", "etc.link"];
        for name in &swapped[..6] {
            symlink(&bait, root.join(format!("{name}.link"))).unwrap();
        }
        let before = fingerprint(&bait);
        let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut outcomes = BTreeMap::<i32, u32>::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for name in &swapped[..6] {
                        let (one, other) = (root.join(name), root.join(format!("{name}.link")));
                        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                        swaps.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let ended: Vec<Ended> = (0..35).map(|_| run(&mut start(&ground, user, options, &root))).collect();
            stop.store(true, Ordering::Relaxed);
            for ended in ended {
                works_or_says_why(&ended, &format!("{user:?} {options:?}"));
                *outcomes.entry(ended.status).or_default() += 1;
            }
        });
        assert_eq!(fingerprint(&bait), before, "{user:?} {options:?}");
        assert!(swaps.load(Ordering::Relaxed) > 1000, "the racer hardly ran");
        assert!(
            outcomes.values().sum::<u32>() == 35 && outcomes.contains_key(&125),
            "nobody ever met a link: {outcomes:?}"
        );
    }
}

/// A link of the root's must not lead what we make into what the user has mounted.
#[test]
fn nothing_is_made_in_the_users_own_directories() {
    let ground = Ground::new();
    for options in [&["--ephemeral"][..], &[]] {
        let root = ground.busybox_root("root", User::Root);
        let mine = ground.directory("mine", User::Root);
        fs::write(mine.join("hosts"), "as it was").unwrap();
        for link in ["etc", "opt"] {
            let _absent = fs::remove_dir_all(root.join(link));
            symlink("work", root.join(link)).unwrap();
        }
        let volume = format!("{}:/work", mine.display());
        let mut command = ground.izba(User::Root);
        command.arg("run").args(options).args(["-v", &volume, "--tmpfs", "/opt/made"]).arg(&root).arg("true");
        let _works_or_is_refused = run(&mut command);
        let names: Vec<_> = fs::read_dir(&mine).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["hosts"], "{options:?}");
        assert_eq!(fs::read_to_string(mine.join("hosts")).unwrap(), "as it was");
        fs::remove_dir_all(&root).unwrap();
    }
}
