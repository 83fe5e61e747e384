//! Arbitrary bytes as an archive, unpacked into a directory on tmpfs: no crash, and nothing outside the tree.
//!
//! Run it with `cargo +nightly fuzz run unpack --target x86_64-unknown-linux-gnu`, as an ordinary user.
#![no_main]

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use izba_image::{Limits, Owners, remove_tree, unpack_stream};
use libfuzzer_sys::fuzz_target;

/// A directory with a sentinel file; trees are made in it.
static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
    let scratch = Path::new("/dev/shm").join(format!("izba-fuzz-{}", std::process::id()));
    fs::create_dir_all(scratch.join("trees")).unwrap();
    fs::write(scratch.join("secret"), "as it was").unwrap();
    scratch
});

/// libFuzzer can't guess checksums: what looks like a header gets a right one.
fn mend_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

fuzz_target!(|archive: &[u8]| {
    let mut archive = archive.to_vec();
    mend_checksums(&mut archive);
    let limits = Limits { bytes: 1 << 20, entries: 100, depth: 16, header: 8192 };
    let trees = SCRATCH.join("trees");
    let root = trees.join("root");
    fs::create_dir(&root).unwrap();
    let fd = File::open(&root).unwrap();
    if let Err(error) = unpack_stream(&archive[..], fd.as_fd(), Owners::Squashed, &limits, &mut |_| {}) {
        assert!(!error.to_string().is_empty());
    }
    remove_tree(File::open(&trees).unwrap().as_fd(), "root".as_ref()).unwrap();
    assert_eq!(fs::read(SCRATCH.join("secret")).unwrap(), b"as it was");
    assert_eq!(fs::read_dir(&*SCRATCH).unwrap().count(), 2);
    assert_eq!(fs::read_dir(&trees).unwrap().count(), 0);
});
