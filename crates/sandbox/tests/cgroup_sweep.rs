//! What killed processes have left of groups is removed, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use izba_sandbox::cgroup::{PATIENCE, Parent, sweep};
use izba_sys::path::{FlockOperation, flock};

const PREFIX: &str = "left-";

/// A group of the test's own in every hierarchy. Dropping it removes it.
struct Above {
    name: String,
    dirs: Vec<PathBuf>,
}

impl Above {
    fn new() -> Self {
        // Tests are threads of one process under cargo test.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("izba-test-sweep-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer"];
        let tops = tops.iter().map(Path::new).filter(|top| top.join("cgroup.procs").exists());
        let dirs: Vec<PathBuf> = tops.map(|top| top.join(&name)).collect();
        assert!(!dirs.is_empty(), "there is no hierarchy to make groups in");
        dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
        Self { name, dirs }
    }

    /// A group in each of them, which says that it is an izba's or doesn't.
    fn make(&self, name: &str, mode: u32) -> Vec<PathBuf> {
        let made: Vec<PathBuf> = self.dirs.iter().map(|dir| dir.join(name)).collect();
        made.iter().for_each(|dir| DirBuilder::new().mode(mode).create(dir).unwrap());
        made
    }

    fn sweep(&self) -> u64 {
        let swept = sweep(PREFIX, Some(&Parent::Path(Path::new("/").join(&self.name))), PATIENCE);
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        swept.groups
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        for dir in &self.dirs {
            for below in fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
                let _removed = fs::remove_dir(below.path());
            }
            let _removed = fs::remove_dir(dir);
        }
    }
}

/// A process in these groups. Dropping it ends it.
struct Sleeper(Child);

impl Sleeper {
    fn inside(dirs: &[PathBuf]) -> Self {
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        dirs.iter().for_each(|dir| fs::write(dir.join("cgroup.procs"), child.id().to_string()).unwrap());
        Self(child)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn what_nobody_holds_is_removed_with_what_is_in_it() {
    let above = Above::new();
    let (empty, occupied) = (above.make("left-1", 0o1755), above.make("left-2", 0o1755));
    let sub_groups: Vec<PathBuf> = occupied.iter().map(|dir| dir.join("sub")).collect();
    sub_groups.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let mut sleeper = Sleeper::inside(&sub_groups);
    // Whoever kills a child of his waits for it: until then it is in its groups.
    let waiting = std::thread::spawn(move || sleeper.0.wait().unwrap());
    assert_eq!(above.sweep(), 2);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&waiting.join().unwrap()), Some(9));
    assert!(empty.iter().chain(&occupied).all(|dir| !dir.exists()));
    assert_eq!(above.sweep(), 0);
}

#[test]
fn what_is_held_and_what_is_somebody_elses_stays() {
    let above = Above::new();
    let held = above.make("left-held", 0o1755);
    let locks: Vec<File> = held.iter().map(|dir| File::open(dir).unwrap()).collect();
    locks.iter().for_each(|lock| flock(lock, FlockOperation::NonBlockingLockExclusive).unwrap());
    let others = [above.make("left-web.scope", 0o755), above.make("right-1", 0o1755)].concat();
    let mut inside = Sleeper::inside(&others[..above.dirs.len()]);
    assert_eq!(above.sweep(), 0);
    assert!(held.iter().chain(&others).all(|dir| dir.exists()));
    assert!(inside.0.try_wait().unwrap().is_none());
    drop(locks);
    // A process that is just being made has them a moment longer: vfork(2) is over before execve(2) closes descriptors.
    let started = Instant::now();
    while held.iter().any(|dir| dir.exists()) {
        assert!(started.elapsed() < PATIENCE, "{held:?} stays");
        above.sweep();
    }
    assert!(others.iter().all(|dir| dir.exists()));
    assert_eq!(fs::metadata(&others[0]).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn without_a_parent_every_group_is_looked_at_but_those_in_a_sandbox() {
    let above = Above::new();
    // Only this test's: others sweep meanwhile, or have theirs.
    let prefix = format!("deep-{}-", above.name);
    let (made_above, mut being_made) = (above.make("a", 0o3755), above.make("b", 0o1355));
    let deep: Vec<PathBuf> = made_above.iter().map(|dir| dir.join("kept/gone")).collect();
    let mode = |mode: u32, dir: &Path| fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    for dir in &deep {
        fs::create_dir_all(dir.join(format!("{prefix}1"))).unwrap();
        mode(0o1755, &dir.join(format!("{prefix}1")));
        mode(0o3755, dir);
    }
    made_above.iter().for_each(|dir| mode(0o3755, dir));
    // There it has a set-group-ID bit at once.
    being_made.extend(above.make("a/b", 0o1355));
    let sandboxes = above.make("right-1", 0o1755);
    let inside: Vec<PathBuf> = sandboxes.iter().map(|dir| dir.join(format!("{prefix}2"))).collect();
    inside.iter().for_each(|dir| DirBuilder::new().mode(0o1755).create(dir).unwrap());
    // Where a killed test's groups above are, they are swept too.
    let swept = sweep(&prefix, None, PATIENCE);
    assert!(swept.failed.is_empty() && swept.groups >= 1, "{swept:?}");
    let kept: Vec<PathBuf> = made_above.iter().map(|dir| dir.join("kept")).collect();
    let gone = |dirs: &[PathBuf]| dirs.iter().all(|dir| !dir.exists());
    let stay = [&kept[..], &inside].concat();
    let stays = stay.iter().all(|dir| dir.is_dir());
    stay.iter().for_each(|dir| drop(fs::remove_dir(dir)));
    assert!(gone(&deep) && gone(&being_made), "{deep:?}");
    assert!(stays, "{stay:?}");
}
