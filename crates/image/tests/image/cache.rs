//! What the cache knows, keeps and gives back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use izba_image::{Cache, Digest, Error, Located, Owners, Unpacking};

use crate::archive::{Archive, compress};
use crate::scratch::{Scratch, chain, need_root, only_entry, picture, unpack};

fn ready(cache: &Cache, archive: &Path) -> bool {
    matches!(cache.locate(archive, "root").unwrap(), Located::Ready(_))
}

#[test]
fn an_unchanged_archive_is_found_without_reading_it() {
    let scratch = Scratch::new();
    let archive = scratch.write("a.tar", &Archive::default().file("f", "x").finish());
    let cache = scratch.cache();
    assert!(!ready(&cache, &archive));
    let mut reports = Vec::new();
    let how = Unpacking::new(Owners::AsArchived, "root");
    let (tree, _) = cache.unpack(&archive, &how, &mut |read, total| reports.push((read, total))).unwrap();
    assert_eq!(reports.last(), Some(&(2048, 2048)));
    assert_eq!(tree.digest(), &Digest::of(&fs::read(&archive).unwrap()));
    // Without permission to read it, and under another name: it is recognised by what the kernel says of it.
    let Located::Ready(found) = cache.locate(&archive, "root").unwrap() else { panic!("not found") };
    assert_eq!((found.path(), found.digest()), (tree.path(), tree.digest()));
    let root = rustix::fs::fstat(found.root()).unwrap();
    assert_eq!(root.st_ino, fs::metadata(tree.path()).unwrap().ino());
    assert_eq!(found.about().unwrap(), only_entry(&cache));
    for fd in [found.root(), found.lock()] {
        assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn a_changed_archive_is_noticed() {
    let scratch = Scratch::new();
    let old = Archive::default().file("f", "old").finish();
    let archive = scratch.write("a.tar", &old);
    let cache = scratch.cache();
    let before = fs::metadata(&archive).unwrap().modified().unwrap();
    unpack(&cache, &archive).unwrap();
    // As slyly as can be: the same inode, size and modification time, at once.
    fs::write(&archive, Archive::default().file("f", "new").finish()).unwrap();
    fs::File::options().write(true).open(&archive).unwrap().set_modified(before).unwrap();
    assert!(!ready(&cache, &archive));
    let (tree, report) = unpack(&cache, &archive).unwrap();
    assert!(!report.shared);
    assert_eq!(fs::read(tree.path().join("f")).unwrap(), b"new");
    assert_eq!(scratch.cache_names()[0].len(), 1, "the old index entry is of no use");
    // Back again: the first tree is still there.
    fs::write(&archive, &old).unwrap();
    assert!(!ready(&cache, &archive));
    let (tree, report) = unpack(&cache, &archive).unwrap();
    assert!(report.shared);
    assert_eq!(fs::read(tree.path().join("f")).unwrap(), b"old");
}

#[test]
fn an_archive_that_changes_while_it_is_unpacked_is_refused() {
    let scratch = Scratch::new();
    let archive = scratch.write("a.tar", &Archive::default().file("f", &"x".repeat(3_000_000)).finish());
    let cache = scratch.cache();
    let how = Unpacking::new(Owners::AsArchived, "root");
    let touch = |_, _| fs::File::options().write(true).open(&archive).unwrap().set_len(3_000_000).unwrap();
    let mut touch = touch;
    let error = cache.unpack(&archive, &how, &mut touch).unwrap_err();
    assert!(matches!(error, Error::Changed { .. } | Error::Unpack { .. }), "{error:?}");
    scratch.assert_cache_empty("changed");
    let archive = scratch.write("b.tar", &Archive::default().file("f", "x").finish());
    let mut append = |_, _| {
        use std::io::Write;
        fs::File::options().append(true).open(&archive).unwrap().write_all(b"\0").unwrap();
    };
    let error = cache.unpack(&archive, &how, &mut append).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error:?}");
    scratch.assert_cache_empty("changed");
}

/// A backup program links it, somebody moves it, its mode is set: nobody has written to it.
#[test]
fn an_archive_may_get_another_name_while_it_is_unpacked() {
    let scratch = Scratch::new();
    let archive = scratch.write("a.tar", &Archive::default().file("f", "x").finish());
    let cache = scratch.cache();
    let how = Unpacking::new(Owners::AsArchived, "root");
    let mut link = |_, _| drop(fs::hard_link(&archive, archive.with_extension("again")));
    let (tree, _report) = cache.unpack(&archive, &how, &mut link).unwrap();
    assert!(archive.with_extension("again").exists());
    assert_eq!(fs::read(tree.path().join("f")).unwrap(), b"x");
}

#[test]
fn variants_have_trees_of_their_own() {
    let scratch = Scratch::new();
    let archive = scratch.write("a.tar", &Archive::default().file("f", "x").finish());
    let cache = scratch.cache();
    let variants = ["root", "map-0-1000-1-1-100000-65536", "0 1000 1, and: so/on"];
    for variant in variants {
        let (_, report) = cache.unpack(&archive, &Unpacking::new(Owners::AsArchived, variant), &mut |_, _| {}).unwrap();
        assert!(!report.shared, "{variant}");
    }
    let mut listed: Vec<String> = cache.list().unwrap().into_iter().map(|entry| entry.variant).collect();
    listed.sort();
    assert_eq!(listed, ["0 1000 1, and: so/on", "map-0-1000-1-1-100000-65536", "root"]);
    assert!(variants.iter().all(|variant| matches!(cache.locate(&archive, variant).unwrap(), Located::Ready(_))));
}

#[test]
fn a_tree_in_use_is_not_pruned() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let used = scratch.write("used.tar", &Archive::default().file("f", "used").finish());
    let idle = scratch.write("idle.tar", &Archive::default().file("f", "idle one").finish());
    let (tree, _) = unpack(&cache, &used).unwrap();
    drop(unpack(&cache, &idle).unwrap());
    let Located::Ready(second_user) = cache.locate(&used, "root").unwrap() else { panic!("not found") };
    let pruned = cache.prune(&mut |_| true).unwrap();
    assert_eq!((pruned.removed.len(), pruned.freed, pruned.in_use.len(), pruned.failed.len()), (1, 8, 1, 0));
    assert!(pruned.removed[0].archive.ends_with("/idle.tar") && pruned.in_use[0].archive.ends_with("/used.tar"));
    assert_eq!(picture(tree.path()).len(), 2);
    assert!(!ready(&cache, &idle) && ready(&cache, &used));
    // A duplicate of the lock keeps the tree as well.
    let kept = second_user.lock().try_clone_to_owned().unwrap();
    drop((tree, second_user));
    assert_eq!(cache.prune(&mut |_| true).unwrap().in_use.len(), 1);
    drop(kept);
    assert_eq!(cache.prune(&mut |_| true).unwrap().removed.len(), 1);
    scratch.assert_cache_empty("pruned");
}

#[test]
fn the_filter_chooses_what_is_pruned() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for name in ["a", "b", "c"] {
        let archive = scratch.write(&format!("{name}.tar"), &Archive::default().file(name, name).finish());
        drop(unpack(&cache, &archive).unwrap());
    }
    let pruned = cache.prune(&mut |entry| entry.archive.ends_with("/b.tar")).unwrap();
    assert_eq!(pruned.removed.len(), 1);
    let mut left: Vec<_> = cache.list().unwrap().into_iter().map(|entry| entry.archive).collect();
    left.sort();
    assert!(left[0].ends_with("/a.tar") && left[1].ends_with("/c.tar") && left.len() == 2, "{left:?}");
    assert_eq!(scratch.cache_names()[0].len(), 2, "the index leads to what is left");
}

#[test]
fn the_list_tells_where_a_tree_is_from() {
    let scratch = Scratch::new();
    let archive = Archive::default().file("f", "12345").device(b'3', "null", 1, 3);
    let archive = scratch.write("odd\nname.tar.gz", &compress("gzip", &archive.finish()));
    let cache = scratch.cache();
    let how = Unpacking::new(Owners::Squashed, "squashed-0");
    cache.unpack(&archive, &how, &mut |_, _| {}).unwrap();
    let entry = only_entry(&cache);
    assert!(entry.archive.ends_with("/odd\\nname.tar.gz"), "{}", entry.archive);
    assert_eq!(entry.archive_bytes, fs::metadata(&archive).unwrap().len());
    assert_eq!((entry.report.bytes, entry.report.entries, entry.report.devices_skipped), (5, 2, 1));
    assert!(entry.unpacked_at.elapsed().unwrap().as_secs() < 600);
    assert!(entry.path.join("f").is_file());
}

#[test]
fn a_cache_is_private() {
    need_root();
    let scratch = Scratch::new();
    scratch.cache();
    let path = scratch.path.join("cache/v1");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(scratch.path.join("cache")).unwrap().mode() & 0o7777, 0o700);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o720)).unwrap();
    let error = Cache::open(&scratch.path.join("cache")).unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&path, Some(1234), None).unwrap();
    let error = Cache::open(&scratch.path.join("cache")).unwrap_err();
    assert!(error.to_string().contains("belongs to user 1234"), "{error}");
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/", &path).unwrap();
    let error = Cache::open(&scratch.path.join("cache")).unwrap_err();
    assert!(chain(&error).contains("cannot open"), "{}", chain(&error));
}

#[test]
fn what_is_no_archive_is_named() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let content = |name: &str, bytes: &[u8]| (name.to_string(), scratch.write(name, bytes));
    let tar = Archive::default().file("f", "x").finish();
    let cases = [
        (content("empty", b""), "the file is empty"),
        (content("photo.tar", b"\xff\xd8\xff\xe0JFIF"), "JPEG"),
        (content("text.tar.gz", b"hello\n"), "shorter than one tar header"),
        (content("long-text", &[b'a'; 5000]), "no tar header"),
        (content("zeros", &[0; 10240]), "no entries"),
        (content("gzipped text", &compress("gzip", b"hello")), "shorter than one tar header"),
        (content("bz2", b"BZh91AY&SY"), "bzip2, which is not supported"),
        (content("lz4", b"\x04\x22\x4d\x18...."), "lz4, which is not supported"),
        (content("half.gz", &compress("gzip", &tar)[..50]), "cut off at its start"),
        (content("cut.tar", &tar[..1024]), "cut off"),
        (("directory".into(), scratch.dir("directory")), "is a directory, not an archive file"),
        (("missing".into(), scratch.path.join("missing")), "No such file"),
        (("device".into(), "/dev/null".into()), "is a device, not an archive file"),
    ];
    for ((name, path), words) in cases {
        let error = unpack(&cache, &path).map(|(tree, _)| tree.path().to_path_buf()).unwrap_err();
        let text = chain(&error);
        assert!(text.contains(words) && text.contains(&*path.to_string_lossy()), "{name}: {text}");
        scratch.assert_cache_empty(&name);
    }
    let fifo = scratch.path.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let error = unpack(&cache, &fifo).map(drop).unwrap_err();
    assert!(error.to_string().contains("is a FIFO"), "{error}");
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    need_root();
    // A small file system of its own, in a mount namespace of its own.
    let scratch = Scratch::new();
    let archive = scratch.write("a.tar", &Archive::default().file("big", &"x".repeat(4 << 20)).finish());
    let small = scratch.dir("small");
    let unpacker = crate::process::unpacker(&small.join("cache"), &archive, "root");
    let mut command = Command::new("unshare");
    command.envs(unpacker.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=2m,mode=755 small \"$0\" && \"$@\" && find \"$0\" -mindepth 4");
    command.arg(&small).arg(unpacker.get_program()).args(unpacker.get_args());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.lines().find(|line| line.contains("answer: ")).unwrap_or_default();
    for words in ["no space left for the entry big", "write", "izba cache prune", "No space left on device"] {
        assert!(answer.contains(words), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(output.status.success() && !text.contains("making/"), "{text}");
}
