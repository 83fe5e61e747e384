//! GNU tar is the judge: what it makes of an archive, we make too.

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::compress;
use crate::scratch::{Scratch, Seen, need_root, picture, unpack};

/// A tree with every kind of entry.
fn make_tree(root: &Path) {
    for dir in ["bin", "etc/deep/er", "empty", "closed", "sticky", "set-gid"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::write(root.join("bin/program"), b"#!/bin/sh\n").unwrap();
    fs::write(root.join("bin/su"), b"set-uid").unwrap();
    fs::write(root.join("etc/deep/er/file"), vec![7; 1_000_000]).unwrap();
    fs::write(root.join("etc/odd \n name \u{1b}[m \u{e4}\\"), b"odd").unwrap();
    fs::write(root.join("etc/nothing"), b"").unwrap();
    fs::write(root.join("closed/inside"), b"unreachable").unwrap();
    let long = format!("{}/{}", "d".repeat(120), "e".repeat(180));
    fs::create_dir_all(root.join(&long)).unwrap();
    fs::write(root.join(&long).join("f".repeat(250)), b"long").unwrap();
    symlink("program", root.join("bin/link")).unwrap();
    symlink("/no/where", root.join("etc/dangling")).unwrap();
    symlink(format!("../{}", "t/".repeat(150)), root.join("etc/long-link")).unwrap();
    fs::hard_link(root.join("bin/program"), root.join("bin/same")).unwrap();
    fs::hard_link(root.join(&long).join("f".repeat(250)), root.join("etc/short")).unwrap();
    make_nodes(root);
    make_sparse(root);
    make_metadata(root);
}

fn make_nodes(root: &Path) {
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    };
    node("etc/fifo", FileType::Fifo, 0);
    node("etc/null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node("etc/disk", FileType::BlockDevice, rustix::fs::makedev(259, 1_000_000));
}

fn make_sparse(root: &Path) {
    use std::os::unix::fs::FileExt;
    // More segments than one header holds, a hole at the start of one file and at the end of the other.
    for (name, count, size) in [("etc/holes", 40u64, 64 << 20), ("etc/last-hole", 3, 5_000_001)] {
        let file = fs::File::create(root.join(name)).unwrap();
        file.set_len(size).unwrap();
        (1..count).for_each(|n| file.write_all_at(&[b'x'; 5000], n * 1_000_000).unwrap());
    }
}

fn make_metadata(root: &Path) {
    let attribute = |name: &str, key: &str, value: &[u8]| {
        rustix::fs::setxattr(root.join(name), key, value, XattrFlags::empty()).unwrap();
    };
    attribute("bin/program", "user.note", b"line\nline=\0end");
    attribute("etc", "user.dir", b"of a directory");
    // cap_net_raw=ep, as setcap writes it: with NUL bytes.
    attribute("bin/su", "security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    attribute("etc/nothing", "trusted.note", b"trusted");
    let own = |name: &str, uid, gid| {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(CWD, root.join(name), uid, gid, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    for (name, uid, gid) in [("bin/same", 1000, 100), ("etc/dangling", 5, 60), ("etc/fifo", 7, 8), ("empty", 9, 9)] {
        own(name, uid, gid);
    }
    own("etc/deep/er/file", 3_000_000_000, 2_500_000);
    let modes = [("bin/program", 0o755), ("etc/nothing", 0o000), ("closed", 0o555), ("sticky", 0o1777)];
    for (name, mode) in modes.into_iter().chain([("bin/su", 0o4755), ("set-gid", 0o2775), (".", 0o711)]) {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut names: Vec<PathBuf> = picture(root).into_keys().collect();
    // Children before parents: nothing below changes after a directory has got its time.
    names.reverse();
    for (number, name) in names.iter().enumerate() {
        let seconds = 1_000_000_000 + i64::try_from(number).unwrap() * 1000;
        let time = Timespec { tv_sec: if number == 3 { -86_400 } else { seconds }, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, root.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn gnu_tar(args: &[&str], dir: &Path, archive: &Path) {
    let mut command = Command::new("tar");
    command.args(args).arg("-C").arg(dir).arg("-f").arg(archive);
    command.args(["--numeric-owner", "--xattrs", "--xattrs-include=*"]);
    if args.contains(&"-c") {
        command.arg(".");
    } else {
        command.arg("--preserve-permissions");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "tar {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn assert_same(ours: &BTreeMap<PathBuf, Seen>, theirs: &BTreeMap<PathBuf, Seen>, what: &str) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{what}");
    for (name, seen) in ours {
        assert_eq!(seen, &theirs[name], "{what}: {}", name.display());
    }
}

#[test]
fn every_format_unpacks_as_gnu_tar_does_it() {
    need_root();
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    make_tree(&tree);
    let formats: [&[&str]; 7] = [
        &["-c", "--format=gnu"],
        &["-c", "--format=gnu", "--sparse"],
        &["-c", "--format=oldgnu", "--sparse"],
        &["-c", "--format=posix"],
        &["-c", "--format=posix", "--sparse", "--sparse-version=0.0"],
        &["-c", "--format=posix", "--sparse", "--sparse-version=0.1"],
        &["-c", "--format=posix", "--sparse", "--sparse-version=1.0"],
    ];
    for (number, format) in formats.into_iter().enumerate() {
        let archive = scratch.path.join(format!("{number}.tar"));
        let reference = scratch.dir(&format!("reference-{number}"));
        gnu_tar(format, &tree, &archive);
        gnu_tar(&["-x"], &reference, &archive);
        let (unpacked, report) = unpack(&scratch.cache(), &archive).unwrap();
        let ours = picture(unpacked.path());
        assert_same(&ours, &picture(&reference), &format!("{format:?}"));
        assert_eq!(report.entries, ours.len() as u64, "{format:?}");
        assert_eq!((report.devices_skipped, report.attributes_skipped), (0, 0), "{format:?}");
        if format.contains(&"--sparse") {
            let meta = fs::metadata(unpacked.path().join("etc/holes")).unwrap();
            assert!(meta.blocks() * 512 < meta.size() / 10, "{format:?}: the holes are filled");
        }
        if format.contains(&"--format=posix") {
            // The reference is not empty by a common mistake: the attributes are there.
            assert_eq!(ours[Path::new("bin/same")].attributes["user.note"], b"line\nline=\0end");
            assert_eq!(ours[Path::new("bin/su")].attributes["security.capability"].len(), 20);
            assert_same(&ours, &picture(&tree), "the tree itself");
        }
    }
}

#[test]
fn every_compression_gives_the_same_tree() {
    need_root();
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    make_tree(&tree);
    let plain = scratch.path.join("plain.tar");
    gnu_tar(&["-c", "--format=posix", "--sparse"], &tree, &plain);
    let cache = scratch.cache();
    let expected = picture(unpack(&cache, &plain).unwrap().0.path());
    let bytes = fs::read(&plain).unwrap();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for program in ["gzip", "xz", "zstd"] {
        // The name says nothing: the content does. Several members, streams or frames are one archive.
        let whole = scratch.write(&format!("{program}.whole"), &compress(program, &bytes));
        let parts = [compress(program, first), compress(program, second)].concat();
        let parts = scratch.write(&format!("{program}.parts"), &parts);
        for archive in [whole, parts] {
            let (unpacked, report) = unpack(&cache, &archive).unwrap();
            assert!(!report.shared, "it has a digest of its own");
            assert_same(&picture(unpacked.path()), &expected, &archive.display().to_string());
        }
    }
}

#[test]
fn a_later_entry_replaces_an_earlier_one_as_with_gnu_tar() {
    use crate::archive::Archive;
    let scratch = Scratch::new();
    let archive = Archive::default()
        .file("twice", "first")
        .file("twice", "second")
        .file("to-dir", "a file")
        .dir("to-dir/")
        .file("to-dir/x", "x")
        .symlink("to-file", "twice")
        .file("to-file", "not through the link")
        .dir("kept/")
        .file("kept/a", "a")
        .entry(b'5', b"kept/", b"", |h| h.set_mode(0o700))
        .file("kept/b", "b")
        .dir("gone/")
        .symlink("gone", "kept")
        .file("one", "1")
        .hard_link("other", "one")
        .file("one", "new one")
        .symlink("dir-link", "kept")
        .dir("dir-link/")
        .file("dir-link/c", "c");
    let archive = scratch.write("a.tar", &archive.finish());
    let reference = scratch.dir("reference");
    gnu_tar(&["-x"], &reference, &archive);
    let (tree, _) = unpack(&scratch.cache(), &archive).unwrap();
    let mut ours = picture(tree.path());
    let mut theirs = picture(&reference);
    // The root has no entry here: GNU tar leaves its time, and directories changed after their last entry differ.
    for picture in [&mut ours, &mut theirs] {
        picture.values_mut().for_each(|seen| seen.mtime = (0, 0));
        picture.remove(Path::new(""));
    }
    assert_same(&ours, &theirs, "replacing");
    assert_eq!(ours[Path::new("kept")].mode & 0o7777, 0o700);
    assert!(!Path::new(tree.path()).join("kept/c").exists());
}
