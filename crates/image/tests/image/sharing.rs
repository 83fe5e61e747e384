//! Many starts at once share the work, and find what is there.

use std::fs;
use std::os::unix::fs::MetadataExt;

use izba_image::Located;

use crate::archive::Archive;
use crate::process::{answer, stopped_unpacker, unpacker};
use crate::scratch::{Scratch, unpack};

fn archive(scratch: &Scratch) -> std::path::PathBuf {
    let content = "0123456789abcdef".repeat(4000);
    let files = (0..200).fold(Archive::default().dir("d/"), |archive, n| archive.file(&format!("d/{n}"), &content));
    scratch.write("a.tar", &files.finish())
}

#[test]
fn eight_processes_make_one_tree() {
    let scratch = Scratch::new();
    let archive = archive(&scratch);
    let one = || answer(&mut unpacker(&scratch.path.join("cache"), &archive, "root"));
    let answers: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let made = answers.iter().filter(|answer| answer.contains("shared: false")).count();
    let shared = answers.iter().filter(|answer| answer.contains("shared: true")).count();
    assert_eq!((made, shared), (1, 7), "{answers:#?}");
    assert!(answers.iter().all(|answer| answer.contains("entries: 201")), "{answers:#?}");
    let [index, making, trees] = scratch.cache_names();
    assert_eq!((index.len(), making.len(), trees.len()), (1, 0, 1));
}

#[test]
fn who_waits_takes_over_when_the_maker_is_killed() {
    let scratch = Scratch::new();
    let archive = archive(&scratch);
    let cache = scratch.path.join("cache");
    let mut maker = stopped_unpacker(&cache, &archive, 3);
    let waiters = std::thread::scope(|scope| {
        let start = || scope.spawn(|| answer(&mut unpacker(&cache, &archive, "root")));
        let waiters = [start(), start()];
        // Both wait for the lock, which the kernel lists with an arrow.
        let waiting = || fs::read_to_string("/proc/locks").unwrap().lines().filter(|l| waits_for(l, &scratch)).count();
        while waiting() < 2 {
            std::thread::yield_now();
        }
        maker.kill().unwrap();
        maker.wait().unwrap();
        waiters.map(|waiter| waiter.join().unwrap())
    });
    let made = waiters.iter().filter(|answer| answer.contains("shared: false")).count();
    assert_eq!(made, 1, "{waiters:#?}");
    assert!(scratch.cache_names()[1].is_empty());
}

/// Whether a line of /proc/locks is of a process that waits for the maker's directory.
fn waits_for(line: &str, scratch: &Scratch) -> bool {
    let making = scratch.path.join("cache/v1/making");
    let job = fs::read_dir(making).unwrap().next().map(|entry| entry.unwrap().metadata().unwrap().ino());
    line.contains("->") && job.is_some_and(|ino| line.contains(&format!(":{ino} ")))
}

#[test]
fn copies_of_an_archive_share_its_tree() {
    let scratch = Scratch::new();
    let first = archive(&scratch);
    let copy = scratch.path.join("copy.tar");
    fs::copy(&first, &copy).unwrap();
    let cache = scratch.cache();
    let (tree, report) = unpack(&cache, &first).unwrap();
    assert!(!report.shared);
    let Located::Missing { bytes } = cache.locate(&copy, "root").unwrap() else { panic!("an unknown file was found") };
    assert_eq!(bytes, fs::metadata(&copy).unwrap().len());
    let (shared, report) = unpack(&cache, &copy).unwrap();
    assert_eq!((shared.path(), report.shared, report.entries), (tree.path(), true, 201));
    let Located::Ready(_) = cache.locate(&copy, "root").unwrap() else { panic!("the copy is not known now") };
    // Of the same size, and yet another archive.
    let mut bytes = fs::read(&first).unwrap();
    bytes[600] ^= 1;
    let other = scratch.write("other.tar", &bytes);
    let error = unpack(&cache, &other).map(|(tree, _)| tree.path().to_path_buf());
    assert!(error.is_err(), "{error:?}");
    assert_eq!(cache.list().unwrap().len(), 1);
}
