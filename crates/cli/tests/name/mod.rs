//! Names under which namespaces are kept.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Ended, Ground, User, run};
use crate::target::unique;

/// A name that nobody else has, and the user whose it is. Dropping it lets go what is kept under it.
pub struct Name<'a> {
    pub ground: &'a Ground,
    pub user: User,
    pub text: String,
}

impl<'a> Name<'a> {
    pub fn new(ground: &'a Ground, user: User) -> Self {
        Self { ground, user, text: unique() }
    }

    pub fn izba(&self, arguments: &[&str]) -> Ended {
        run(self.ground.izba(self.user).arg("ns").args(arguments))
    }

    pub fn keep(&self, targets: &[&str]) -> Ended {
        self.izba(&[&["keep", &self.text], targets].concat())
    }

    pub fn let_go(&self) -> Ended {
        self.izba(&["drop", &self.text])
    }

    pub fn enter(&self, options: &[&str], script: &str) -> Ended {
        self.izba(&[&["enter", &self.text], options, &["--", "sh", "-c", script]].concat())
    }

    /// Where the kinds are kept, as `izba ns list` has them by this name.
    pub fn listed(&self) -> Vec<String> {
        let list = self.izba(&["list", "--format", "json"]);
        let list: serde_json::Value = serde_json::from_str(list.text()).unwrap();
        let rows = list["namespaces"].as_array().unwrap().iter();
        let own = rows.filter(|row| row["names"].as_array().unwrap().iter().any(|name| *name == self.text));
        let mut kinds: Vec<String> = own.map(|row| row["type"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    }

    /// Nothing of it is left: no mount, no file, no process.
    #[track_caller]
    pub fn is_gone(&self) {
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

pub fn listing(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
