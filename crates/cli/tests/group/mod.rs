//! The group of a run, looked at from outside: by what `izba inspect` says of it and by its own files.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Ended, Ground, User, run};

/// izba with these arguments, to its end, as root.
pub fn izba(ground: &Ground, arguments: &[&str]) -> Ended {
    run(ground.izba(User::Root).args(arguments))
}

/// What it prints as JSON.
pub fn json(ground: &Ground, arguments: &[&str]) -> Value {
    serde_json::from_str(izba(ground, arguments).text()).unwrap()
}

/// Is cgroup v2 alone? Else v1 has the controllers.
pub fn pure_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// What a file of the run's group says, which has one name on v1 and one on v2.
pub fn file(ground: &Ground, run: &str, controller: &str, v1: &str, v2: &str) -> String {
    let record = json(ground, &["inspect", run]);
    let (dir, name) = match record["cgroup"]["v1"][controller].as_str() {
        Some(dir) => (dir.to_owned(), v1),
        None => (record["cgroup"]["unified"].as_str().unwrap().to_owned(), v2),
    };
    fs::read_to_string(Path::new(&dir).join(name)).unwrap().trim().to_owned()
}

/// All groups of runs of this name, in all hierarchies.
pub fn groups_of(name: &str) -> Vec<PathBuf> {
    let start = format!("izba-{name}-");
    let mut found = Vec::new();
    let mut unseen = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = unseen.pop() {
        // A group that another test removes meanwhile has nothing in it.
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
        unseen.extend(dirs);
        if dir.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&start)) {
            found.push(dir);
        }
    }
    found
}
