//! Archives that mean harm: whatever they try, no byte outside the tree changes, and nothing of them stays.

use std::fs;

use izba_image::{Limits, Owners, Unpacking};

use crate::archive::{Archive, compress, compress_with};
use crate::scratch::{Scratch, chain, picture};

/// Unpacks `archive`, which shall fail and say `words`, with a sentinel beside the cache.
fn assert_refused(what: &str, archive: &[u8], words: &str) {
    assert_refused_within(what, archive, words, &Limits::default());
}

fn assert_refused_within(what: &str, archive: &[u8], words: &str, limits: &Limits) {
    let scratch = Scratch::new();
    scratch.dir("outside");
    scratch.write("outside/secret", b"as it was");
    let cache = scratch.cache();
    let archive = scratch.write("hostile.tar", archive);
    let before = picture(&scratch.path.join("outside"));
    for owners in [Owners::AsArchived, Owners::Squashed] {
        let how = Unpacking { owners, variant: "test", limits: limits.clone() };
        let error = cache.unpack(&archive, &how, &mut |_, _| {}).map(|(tree, report)| {
            panic!("{what}: unpacked to {}: {report:?}", tree.path().display());
        });
        let Err(error) = error;
        let text = chain(&error);
        assert!(text.contains(words), "{what}: {text}");
        assert!(text.contains("hostile.tar"), "{what}: {text}");
        assert_eq!(picture(&scratch.path.join("outside")), before, "{what}");
        scratch.assert_cache_empty(what);
    }
}

/// From a tree's root to the sentinel.
const UP: &str = "../../../../../outside";

#[test]
fn names_that_leave_the_root() {
    let secret = format!("{UP}/secret");
    for name in ["..", "../x", &secret, "a/../../x", "./..", "/../x", "a/.."] {
        assert_refused(name, &Archive::default().file(name, "x").finish(), "'..' component");
        assert_refused(name, &Archive::default().dir(name).finish(), "'..' component");
        assert_refused(name, &Archive::default().file("f", "x").hard_link("h", name).finish(), "'..' component");
        assert_refused(name, &Archive::default().long(b'L', name.as_bytes()).file("x", "x").finish(), "'..' component");
        assert_refused(name, &Archive::default().pax(&[("path", name.as_bytes())]).file("x", "x").finish(), "'..'");
    }
}

#[test]
fn names_that_are_none() {
    let nul = Archive::default().long(b'L', b"a\0b").file("x", "x").finish();
    assert_refused("NUL", &nul, "NUL");
    assert_refused("NUL in pax", &Archive::default().pax(&[("path", b"a\0b")]).file("x", "x").finish(), "NUL");
    assert_refused("empty", &Archive::default().file("", "x").finish(), "name is empty");
    assert_refused("root as file", &Archive::default().file(".", "x").finish(), "replace the root");
    assert_refused("root as link", &Archive::default().symlink("./", "/").finish(), "replace the root");
    assert_refused("link to nothing", &Archive::default().symlink("x", "").finish(), "empty name");
    assert_refused("NUL in a link", &Archive::default().long(b'K', b"a\0b").symlink("x", "y").finish(), "NUL");
}

#[test]
fn links_are_not_followed_while_writing() {
    let outside = |link: &str| Archive::default().dir("d/").symlink(link, UP);
    let words = "passes through, a link";
    assert_refused("file", &outside("l").file("l/secret", "changed").finish(), words);
    assert_refused("new file", &outside("l").file("l/new", "x").finish(), words);
    assert_refused("directory", &outside("l").dir("l/new/").finish(), words);
    assert_refused("parents", &outside("l").file("l/a/b/c", "x").finish(), words);
    assert_refused("deeper", &outside("d/l").file("d/l/secret", "x").finish(), words);
    assert_refused("symlink", &outside("l").symlink("l/new", "x").finish(), words);
    assert_refused("fifo", &outside("l").entry(b'6', b"l/new", b"", |_| {}).finish(), words);
    assert_refused("hard link there", &outside("l").file("f", "x").hard_link("l/new", "f").finish(), words);
    assert_refused("hard link from there", &outside("l").hard_link("h", "l/secret").finish(), words);
    assert_refused("chain", &outside("l").symlink("m", "l").file("m/secret", "x").finish(), words);
    assert_refused("inside too", &Archive::default().dir("d/").symlink("l", "d").file("l/x", "x").finish(), words);
    let absolute = Archive::default().symlink("l", "/").file("l/izba-was-here", "x").finish();
    assert_refused("absolute", &absolute, words);
    assert!(!fs::exists("/izba-was-here").unwrap());
    let magic = Archive::default().symlink("l", "/proc/self/cwd").file("l/x", "x").finish();
    assert_refused("magic", &magic, words);
    let file = Archive::default().file("f", "x").file("f/x", "x").finish();
    assert_refused("through a file", &file, words);
}

#[test]
fn a_directory_replaced_by_a_link_is_not_written_through() {
    // The reader keeps the last directory open: it must not outlive its replacement.
    let swapped = Archive::default().dir("d/").file("d/x", "x").file("d", "now a file");
    assert_refused("full directory", &swapped.finish(), "replace a directory that is not empty");
    let swapped = Archive::default().dir("d/").symlink("d", UP).file("d/secret", "changed");
    assert_refused("empty directory", &swapped.finish(), "passes through, a link");
    let used = Archive::default().dir("a/").entry(b'5', b"a/b/", b"", |_| {}).symlink("a/b", UP).dir("a/b/c/");
    assert_refused("nested", &used.finish(), "passes through, a link");
}

#[test]
fn a_link_gives_way_to_what_has_its_name() {
    // The other way round: an entry over a link replaces the link, and leaves what it points to.
    let scratch = Scratch::new();
    scratch.dir("outside");
    scratch.write("outside/secret", b"as it was");
    let before = picture(&scratch.path.join("outside"));
    let secret = format!("{UP}/secret");
    let archive =
        Archive::default().symlink("f", &secret).file("f", "new").symlink("d", UP).dir("d/").file("d/secret", "");
    let hard = archive.symlink("h", &secret).hard_link("h2", "h").file("h2", "new");
    let path = scratch.write("a.tar", &hard.finish());
    let how = Unpacking::new(Owners::Squashed, "squashed");
    let (tree, _) = scratch.cache().unpack(&path, &how, &mut |_, _| {}).unwrap();
    assert_eq!(fs::read(tree.path().join("f")).unwrap(), b"new");
    assert!(fs::symlink_metadata(tree.path().join("d")).unwrap().is_dir());
    assert_eq!(picture(&scratch.path.join("outside")), before);
}

#[test]
fn hard_links_stay_in_the_archive() {
    let words = "no file in the archive before it";
    assert_refused("absolute", &Archive::default().hard_link("h", "/etc/passwd").finish(), words);
    assert_refused("later", &Archive::default().hard_link("h", "f").file("f", "x").finish(), words);
    assert_refused("directory", &Archive::default().dir("d/").hard_link("h", "d").finish(), words);
    assert_refused("root", &Archive::default().hard_link("h", "./").finish(), words);
}

#[test]
fn sizes_that_lie() {
    for size in [1 << 40, u64::MAX >> 1] {
        let huge = Archive::default().entry(b'0', b"huge", b"x", |header| header.set_size(size)).finish();
        assert_refused("huge", &huge, "bytes for an unpacked archive");
        let huge = Archive::default().pax(&[("size", size.to_string().as_bytes())]).file("huge", "x").finish();
        assert_refused("huge in pax", &huge, "bytes for an unpacked archive");
    }
    let negative = Archive::default().entry(b'0', b"f", b"", |header| header.as_old_mut().size = [0xff; 12]);
    assert_refused("negative", &negative.finish(), "negative");
    let long = Archive::default().entry(b'0', b"long", b"x", |header| header.set_size(100_000)).finish();
    assert_refused("longer than the archive", &long, "cut off");
    let name = Archive::default().entry(b'L', b"n", b"x", |header| header.set_size(1 << 33)).file("x", "x").finish();
    assert_refused("huge name", &name, "extended header");
    let wrong = Archive::default().entry(b'0', b"f", b"", |header| header.as_old_mut().size = *b"00000000009\0");
    assert_refused("no number", &wrong.finish(), "no number");
}

#[test]
fn owners_that_are_none() {
    for id in ["4294967295", "4294967296", "99999999999999999999"] {
        let archive = Archive::default().pax(&[("uid", id.as_bytes())]).file("f", "x").finish();
        let scratch = Scratch::new();
        let path = scratch.write("a.tar", &archive);
        let how = Unpacking::new(Owners::AsArchived, "root");
        let error = scratch.cache().unpack(&path, &how, &mut |_, _| {}).unwrap_err();
        let text = chain(&error);
        assert!(text.contains("no 32-bit id") || text.contains("no number"), "{text}");
        scratch.assert_cache_empty(id);
    }
}

#[test]
fn limits_hold() {
    let limits = || Limits { bytes: 100_000, entries: 10, depth: 5, header: 2000 };
    let many = (0..11).fold(Archive::default(), |archive, n| archive.file(&n.to_string(), ""));
    assert_refused_within("entries", &many.finish(), "10 entries", &limits());
    let deep = Archive::default().file("a/b/c/d/e/f", "x").finish();
    assert_refused_within("depth", &deep, "5 nested directories", &limits());
    let large = "x".repeat(60_000);
    let large = Archive::default().file("a", &large).file("b", &large).finish();
    assert_refused_within("bytes", &large, "100000 bytes", &limits());
    assert_refused_within("name", &Archive::default().long(b'L', &[b'x'; 3000]).finish(), "2000 bytes", &limits());
    // Headers that describe headers for ever.
    let described = (0..20).fold(Archive::default(), |archive, _| archive.pax(&[("uid", b"1")])).finish();
    assert_refused_within("descriptions", &described, "10 entries", &limits());
    // What comes after the end mark decompresses too.
    let bomb = [Archive::default().file("a", "x").finish(), vec![0; 200_000]].concat();
    assert_refused_within("after the end", &compress("gzip", &bomb), "100000 bytes", &limits());
}

#[test]
fn deep_names_are_refused_by_default() {
    let name = "d/".repeat(2000);
    let archive = Archive::default().long(b'L', name.as_bytes()).dir("d").finish();
    assert_refused("deep", &archive, "nested directories");
    let archive = Archive::default().long(b'L', &[b'x'; 5000]).file("x", "x").finish();
    assert_refused("long", &archive, "bytes for a name");
    let archive = Archive::default().long(b'L', &[b'x'; 300]).file("x", "x").finish();
    assert_refused("long component", &archive, "File name too long");
}

#[test]
fn types_that_cannot_be_unpacked_are_named() {
    let other = |kind| Archive::default().entry(kind, b"x", b"", |_| {}).finish();
    assert_refused("volume", &other(b'M'), "another volume");
    assert_refused("unknown", &other(b'Q'), "type 'Q'");
    let dangling = Archive::default().file("f", "x").pax(&[("path", b"x")]).finish();
    assert_refused("describes nothing", &dangling, "describes no entry");
    let doubled = Archive::default().pax(&[("GNU.sparse.map", b"0,5,3,5"), ("GNU.sparse.size", b"10")]);
    assert_refused("overlapping segments", &doubled.file("s", "xxxxxxxxxx").finish(), "overlap");
}

#[test]
fn archives_cut_off_anywhere_are_refused() {
    let archive = Archive::default().dir("d/").file("d/a", &"abc".repeat(700)).pax(&[("mtime", b"1.5")]).file("b", "x");
    let end = archive.bytes.len();
    let bytes = archive.finish();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let how = Unpacking::new(Owners::Squashed, "squashed");
    let check = |what: &str, bytes: &[u8], cut: usize| {
        let path = scratch.write("cut", &bytes[..cut]);
        let unpacked = cache.unpack(&path, &how, &mut |_, _| {});
        let Err(error) = unpacked else { panic!("{what} cut at {cut} of {} was accepted", bytes.len()) };
        let text = chain(&error);
        let words = ["cut off", "damaged", "empty", "shorter than"];
        assert!(words.iter().any(|word| text.contains(word)), "{what} cut at {cut}: {text}");
        scratch.assert_cache_empty(what);
    };
    (0..=end).step_by(64).for_each(|cut| check("tar", &bytes, cut));
    for program in ["gzip", "xz", "zstd"] {
        let packed = compress(program, &bytes);
        (0..packed.len()).step_by(3).for_each(|cut| check(program, &packed, cut));
        check(program, &packed, packed.len() - 1);
    }
}

#[test]
fn dictionaries_have_limits() {
    let bytes = Archive::default().file("a", "x").finish();
    let packed = |program: &str, args: &[&str]| compress_with(program, args, &bytes);
    let words = "recompress it with a smaller dictionary";
    assert_refused("xz", &packed("xz", &["--lzma2=dict=1GiB"]), words);
    // A frame's window is no larger than its content, unless the size is not known beforehand.
    assert_refused("zstd", &packed("zstd", &["--long=31", "--no-content-size"]), words);
}

#[test]
fn damaged_streams_are_refused() {
    let bytes = Archive::default().file("a", &"abcdefg".repeat(5000)).finish();
    for program in ["gzip", "xz", "zstd"] {
        let mut packed = compress(program, &bytes);
        // The checksum at the end, or near it.
        let at = packed.len() - 7;
        packed[at] ^= 0x55;
        if program == "zstd" {
            // zstd's own tool writes its checksum last.
            packed[at] ^= 0x55;
            *packed.last_mut().unwrap() ^= 0x55;
        }
        assert_refused(program, &packed, "damaged");
    }
}
