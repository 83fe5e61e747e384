//! Thousands of damaged archives, the same at each run: whatever they have become, no panic, and nothing outside the
//! tree changes. The fuzz target does the same with what libFuzzer finds.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

use izba_image::{Limits, Owners, remove_tree, unpack_stream};

use crate::archive::{Archive, compress};
use crate::scratch::{Scratch, picture};

const ROUNDS: u32 = 4000;

/// Small and fast; its quality is of no matter here (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let plain = Archive::default()
        .dir("./")
        .dir("d/")
        .file("d/f", "content")
        .symlink("d/l", "../../../../outside")
        .hard_link("d/h", "d/f")
        .entry(b'6', b"d/p", b"", |_| {})
        .file("d/l2/x", "x");
    let long = Archive::default()
        .long(b'L', &[b'n'; 150])
        .long(b'K', b"../../../../outside/secret")
        .symlink("x", "y")
        .pax(&[("path", b"d/e/f"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b\n")])
        .file("x", "data");
    let sparse = Archive::default()
        .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"5000"), ("GNU.sparse.name", b"holes")])
        .file("x", &format!("1\n4000\n3\n{:\0<503}abc", ""))
        .pax(&[("GNU.sparse.size", b"99"), ("GNU.sparse.map", b"0,2,50,3")])
        .file("y", "abcde");
    [plain, long, sparse].map(Archive::finish).into()
}

/// Spoils some bytes; mostly in headers, whose checksums are then mended so that the change is not just refused.
fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = b"/.\x00019257LKxgS"[random.below(14)],
            3 => {
                let (from, len) = (random.below(bytes.len()), random.below(40));
                let piece = bytes[from..bytes.len().min(from + len)].to_vec();
                let end = bytes.len().min(at + piece.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
            4 => {
                let block = random.below(bytes.len() / 512) * 512;
                let copy = bytes[block..block + 512].to_vec();
                bytes.splice(block..block, copy);
            }
            _ => bytes.truncate(at.max(512)),
        }
    }
    if random.below(8) > 0 {
        mend_checksums(&mut bytes);
    }
    bytes
}

fn mend_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

#[test]
fn damaged_archives_do_no_harm() {
    let scratch = Scratch::new();
    scratch.dir("outside");
    scratch.write("outside/secret", b"as it was");
    fs::create_dir_all(scratch.path.join("a/b/c")).unwrap();
    let before = picture(&scratch.path.join("outside"));
    let mut random = Random(0x1F2B_3C4D_5E6F_7081);
    let limits = Limits { bytes: 1 << 20, entries: 200, depth: 20, header: 10_000 };
    let seeds = seeds();
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let seed = &seeds[random.below(seeds.len())];
        let mut archive = mutate(seed, &mut random);
        if round % 100 == 0 {
            archive = compress(["gzip", "xz", "zstd"][random.below(3)], &archive);
            let at = random.below(archive.len());
            archive[at] ^= 1 << random.below(8);
        }
        let owners = if round % 2 == 0 { Owners::Squashed } else { Owners::AsArchived };
        accepted += u32::from(unpack_and_remove(&scratch.path.join("a/b/c"), &archive, owners, &limits));
        if round % 50 == 0 {
            assert_eq!(picture(&scratch.path.join("outside")), before, "round {round}");
        }
    }
    assert_eq!(picture(&scratch.path.join("outside")), before);
    assert_eq!(picture(&scratch.path).len(), 6, "something was made beside the tree");
    assert!((ROUNDS / 20..ROUNDS * 19 / 20).contains(&accepted), "{accepted}: the mutations try nothing");
}

/// Whether the archive was accepted.
fn unpack_and_remove(dir: &Path, archive: &[u8], owners: Owners, limits: &Limits) -> bool {
    let root = dir.join("root");
    fs::create_dir(&root).unwrap();
    let fd = File::open(&root).unwrap();
    let result = unpack_stream(archive, fd.as_fd(), owners, limits, &mut |_| {});
    // Every error must be printable.
    let accepted = result.map_err(|error| error.to_string()).is_ok();
    remove_tree(File::open(dir).unwrap().as_fd(), "root".as_ref()).unwrap();
    accepted
}
