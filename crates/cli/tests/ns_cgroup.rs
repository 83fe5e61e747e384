//! `izba ns enter --join-cgroup`, in groups of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Background, Ground, User, run};

/// Groups below the root of two hierarchies: one of cgroup v1, and the unified one. Dropping them removes them.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn new(name: &str) -> Self {
        let places: Vec<PathBuf> = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .filter(|place| Path::new(place).join("cgroup.procs").exists())
            .map(|place| Path::new(place).join(name))
            .collect();
        assert!(!places.is_empty(), "there is no cgroup hierarchy to make groups in");
        places.iter().for_each(|place| fs::create_dir(place).unwrap());
        Self(places)
    }

    fn add(&self, pid: i32) {
        self.0.iter().for_each(|place| fs::write(place.join("cgroup.procs"), pid.to_string()).unwrap());
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for place in &self.0 {
            let start = std::time::Instant::now();
            // The kernel lets a group go when the last process has been reaped.
            while fs::remove_dir(place).is_err() && start.elapsed() < std::time::Duration::from_secs(20) {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn the_program_is_in_the_groups_of_the_target() {
    let ground = Ground::new();
    let name = format!("izba-enter-{}", std::process::id());
    let groups = Groups::new(&name);
    let mut target = ground.command("unshare", User::Root);
    let (target, line) = Background::start(target.args(["-n", "sh", "-c", "echo up; read end"]));
    assert_eq!(line, "up");
    groups.add(target.pid());
    let theirs = fs::read_to_string(format!("/proc/{}/cgroup", target.pid())).unwrap();
    assert_eq!(theirs.matches(&name).count(), groups.0.len(), "{theirs}");
    let enter = |options: &[&str]| {
        let mut command = ground.izba(User::Root);
        command.args(["ns", "enter", &target.pid().to_string(), "-n"]).args(options);
        run(command.args(["--", "cat", "/proc/self/cgroup"]))
    };
    assert_eq!(enter(&["--join-cgroup"]).text(), theirs.trim_end());
    assert!(!enter(&[]).text().contains(&name));
    let of_a_file = run(ground.izba(User::Root).args(["ns", "enter", "/proc/self/ns/net", "--join-cgroup", "true"]));
    assert!(of_a_file.refusal().contains("--join-cgroup"), "{of_a_file:?}");
    let planned = enter(&["--join-cgroup", "--dry-run"]);
    for place in &groups.0 {
        // In cgroup v2 it is made, and into v1 it goes by itself.
        let v2 = place.join("cgroup.events").exists();
        let call = if v2 { "CLONE_INTO_CGROUP".to_owned() } else { format!("{}/tasks", place.display()) };
        assert!(planned.text().contains(&place.display().to_string()) && planned.text().contains(&call), "{planned:?}");
    }
    let places = groups.0.clone();
    drop(target);
    drop(groups);
    places.iter().for_each(|place| assert!(!place.exists(), "{}", place.display()));
}
