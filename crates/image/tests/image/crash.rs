//! Killed at any moment: the next sweep leaves nothing, and the next start works.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::archive::Archive;
use crate::process::{stopped_unpacker, unpacker};
use crate::scratch::{Scratch, picture, unpack};

fn big_archive() -> Vec<u8> {
    let content = "0123456789abcdef".repeat(20_000);
    (0..20).fold(Archive::default().dir("d/"), |archive, n| archive.file(&format!("d/{n}"), &content)).finish()
}

#[test]
fn what_a_killed_process_leaves_is_swept() {
    let scratch = Scratch::new();
    let archive = scratch.write("a.tar", &big_archive());
    let cache = scratch.cache();
    for reports in [1, 5, 15, 20] {
        let mut child = stopped_unpacker(&scratch.path.join("cache"), &archive, reports);
        let busy = cache.sweep().unwrap();
        assert_eq!((busy.busy, busy.removed), (1, 0), "a sweep must leave what is being made");
        assert_eq!(scratch.cache_names()[1].len(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(scratch.cache_names()[1].len(), 1, "a killed process cannot clean up");
        let swept = cache.sweep().unwrap();
        assert_eq!((swept.busy, swept.removed, swept.failed.len()), (0, 1, 0));
        scratch.assert_cache_empty("swept");
    }
}

#[test]
fn the_next_start_takes_over_without_a_sweep() {
    let scratch = Scratch::new();
    let archive = scratch.write("a.tar", &big_archive());
    let mut child = stopped_unpacker(&scratch.path.join("cache"), &archive, 10);
    child.kill().unwrap();
    child.wait().unwrap();
    let (tree, report) = unpack(&scratch.cache(), &archive).unwrap();
    assert!(!report.shared);
    assert_eq!(picture(tree.path()).len(), 22);
    let [index, making, trees] = scratch.cache_names();
    assert_eq!((index.len(), making.len(), trees.len()), (1, 0, 1));
}

/// The calls of an undisturbed run: names, and how often one thread makes each.
fn calls_of_a_run(scratch: &Scratch, archive: &Path) -> BTreeMap<String, u32> {
    let log = scratch.path.join("log");
    let run = traced(scratch, archive).arg("-o").arg(&log).args(unpacker_args()).status();
    assert!(run.unwrap().success(), "strace is needed for this test: apt-get install strace");
    let mut of_thread = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        if let Some((name, _)) = call.trim_start().split_once('(') {
            *of_thread.entry((name.to_string(), thread.to_string())).or_insert(0) += 1;
        }
    }
    let mut calls = BTreeMap::new();
    for ((name, _), count) in of_thread {
        let most = calls.entry(name).or_insert(0);
        *most = count.max(*most);
    }
    calls
}

/// strace, with the environment of an unpacker. Only file system calls count: those leave traces.
fn traced(scratch: &Scratch, archive: &Path) -> Command {
    let unpacker = unpacker(&scratch.path.join("cache"), archive, "root");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", FILE_CALLS, "-e", "signal=none"]);
    command.envs(unpacker.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

const FILE_CALLS: &str = "trace=mkdir,mkdirat,openat,openat2,flock,fchmod,fchown,fchownat,utimensat,symlinkat,rename,\
    renameat,unlinkat,syncfs,fremovexattr";

fn unpacker_args() -> Vec<std::ffi::OsString> {
    let unpacker = unpacker(Path::new("/"), Path::new("/"), "");
    std::iter::once(unpacker.get_program()).chain(unpacker.get_args()).map(Into::into).collect()
}

#[test]
fn killed_at_every_system_call_nothing_is_left() {
    let scratch = Scratch::new();
    let archive = Archive::default().dir("d/").file("d/a", "a").symlink("d/l", "a").file("b", "b").finish();
    let archive = scratch.write("a.tar", &archive);
    let cache = scratch.cache();
    let calls = calls_of_a_run(&scratch, &archive);
    assert_eq!(cache.prune(&mut |_| true).unwrap().removed.len(), 1);
    assert!(["openat2", "renameat", "symlinkat", "syncfs", "flock"].iter().all(|name| calls.contains_key(*name)));
    for (name, number) in calls.iter().flat_map(|(name, count)| (1..=*count).map(move |number| (name, number))) {
        let inject = format!("inject={name}:signal=KILL:when={number}");
        let run = traced(&scratch, &archive).args(["-e", &inject]).args(unpacker_args()).status().unwrap();
        assert!(!run.success(), "{inject}: it was not killed");
        assert_swept_clean(&scratch, &inject);
    }
}

/// Sweeps after a kill: there is a whole tree or none, and nothing else.
fn assert_swept_clean(scratch: &Scratch, what: &str) {
    let cache = scratch.cache();
    let swept = cache.sweep().unwrap();
    assert!(swept.failed.is_empty(), "{what}: {:?}", swept.failed);
    let [index, making, trees] = scratch.cache_names();
    assert!(making.is_empty(), "{what}: {making:?}");
    assert!(index.len() <= trees.len(), "{what}: a link leads nowhere");
    for entry in cache.list().unwrap() {
        assert_eq!(picture(&entry.path).len(), 5, "{what}: a half-made tree is taken for a whole one");
    }
    cache.prune(&mut |_| true).unwrap();
    scratch.assert_cache_empty(what);
}
