//! A block device of a test's own.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

use crate::support::{Ground, User, run};

/// A loop device over a file of the ground's. Dropping it detaches it.
pub struct Disk {
    pub device: String,
    /// Its scheduler before the test chose one: the device stays.
    before: Option<String>,
}

impl Disk {
    pub fn new(ground: &Ground, mebibytes: u64) -> Self {
        let file = ground.path("disk");
        // Written, as what has holes can't be swapped to.
        let zeros = format!("head -c {mebibytes}M /dev/zero > {}", file.display());
        run(ground.command("sh", User::Root).args(["-c", &zeros])).text();
        assert_eq!(File::open(&file).unwrap().metadata().unwrap().len(), mebibytes << 20);
        let found = run(ground.command("losetup", User::Root).args(["--find", "--show"]).arg(&file));
        Self { device: found.text().to_owned(), before: None }
    }

    /// A node of the ground's by which this user too may read and write it.
    pub fn node(&self, ground: &Ground, user: User) -> String {
        let node = ground.path("node").display().to_string();
        let (uid, gid, _) = user.account();
        let number = self.number();
        let (major, minor) = number.split_once(':').unwrap();
        run(ground.command("mknod", User::Root).args(["-m", "600", &node, "b", major, minor])).text();
        std::os::unix::fs::chown(&node, Some(uid), Some(gid)).unwrap();
        node
    }

    /// Its name in /sys/block: "loop0".
    pub fn name(&self) -> &str {
        self.device.rsplit('/').next().unwrap()
    }

    /// Has a scheduler take charge of it.
    pub fn schedule(&mut self, scheduler: &str) {
        let file = self.scheduler();
        let all = std::fs::read_to_string(&file).unwrap();
        let now = all.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
        self.before.get_or_insert(now.unwrap().to_owned());
        std::fs::write(file, scheduler).unwrap();
    }

    fn scheduler(&self) -> String {
        format!("/sys/block/{}/queue/scheduler", self.name())
    }

    /// As the kernel names it: "7:0".
    pub fn number(&self) -> String {
        let metadata = std::fs::metadata(&self.device).unwrap();
        assert!(metadata.file_type().is_block_device());
        let device = metadata.rdev();
        format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _restored = self.before.take().map(|before| std::fs::write(self.scheduler(), before));
        let _detached = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}
