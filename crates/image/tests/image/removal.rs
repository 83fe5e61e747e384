//! Removing trees that resist.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use izba_image::remove_tree;
use rustix::fs::{CWD, Mode, OFlags};

use crate::scratch::{Scratch, picture};

fn open(path: &Path) -> OwnedFd {
    rustix::fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap()
}

#[test]
fn ten_thousand_levels_are_removed_with_few_descriptors() {
    let scratch = Scratch::new();
    let mut dir = open(&scratch.path);
    for level in 0..10_000 {
        let name = if level == 0 { "deep" } else { "d" };
        rustix::fs::mkdirat(&dir, name, Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, name, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        // Names that the removal itself might choose are no obstacle.
        if level % 1000 == 0 {
            rustix::fs::mkdirat(&dir, ".izba-removing-2", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&dir, ".izba-removing-2/full", Mode::RWXU).unwrap();
        }
    }
    drop(dir);
    remove_tree(open(&scratch.path).as_fd(), OsStr::new("deep")).unwrap();
    assert_eq!(fs::read_dir(&scratch.path).unwrap().count(), 0);
}

#[test]
fn links_are_removed_and_not_followed() {
    let scratch = Scratch::new();
    let outside = scratch.dir("outside");
    scratch.write("outside/kept", b"kept");
    let tree = scratch.dir("tree");
    symlink(&outside, tree.join("absolute")).unwrap();
    symlink("../outside", tree.join("relative")).unwrap();
    let before = picture(&outside);
    remove_tree(open(&scratch.path).as_fd(), OsStr::new("tree")).unwrap();
    symlink("outside", scratch.path.join("link")).unwrap();
    remove_tree(open(&scratch.path).as_fd(), OsStr::new("link")).unwrap();
    assert_eq!(picture(&outside), before);
    assert_eq!(fs::read_dir(&scratch.path).unwrap().count(), 1);
}

#[test]
fn wide_directories_and_missing_ones_are_removed() {
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    for n in 0..5000 {
        fs::write(tree.join(n.to_string()), b"").unwrap();
    }
    let parent = open(&scratch.path);
    remove_tree(parent.as_fd(), OsStr::new("tree")).unwrap();
    remove_tree(parent.as_fd(), OsStr::new("tree")).unwrap();
    assert_eq!(fs::read_dir(&scratch.path).unwrap().count(), 0);
}
