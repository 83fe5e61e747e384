//! Tests that act in a process of their own: as somebody else, or to be killed. The process is this test program again,
//! running one ignored test that does what its environment says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use izba_image::{Cache, Owners, Unpacking};

use crate::scratch::chain;

/// The command that unpacks `archive` into `cache` in another process, and prints what came of it.
pub fn unpacker(cache: &Path, archive: &Path, variant: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["process::act", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("IZBA_TEST_CACHE", cache).env("IZBA_TEST_ARCHIVE", archive).env("IZBA_TEST_VARIANT", variant);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same as an ordinary user.
pub fn unpacker_as(uid: u32, cache: &Path, archive: &Path, variant: &str) -> Command {
    let mut command = unpacker(cache, archive, variant);
    // With a new uid, std drops the supplementary groups too.
    command.uid(uid).gid(uid);
    command
}

/// Runs a command to its end, and returns the line that [`act`] prints.
pub fn answer(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("answer: "));
    let errors = || String::from_utf8_lossy(&output.stderr).into_owned();
    line.map(|(_, answer)| answer.to_string()).unwrap_or_else(|| panic!("no answer: {text}{}", errors()))
}

/// Starts an unpacker that stops for ever at its `n`th report of progress, and waits until it is there.
pub fn stopped_unpacker(cache: &Path, archive: &Path, n: u32) -> Child {
    let mut command = unpacker(cache, archive, "root");
    let mut child = command.env("IZBA_TEST_STOP", n.to_string()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reached = lines.any(|line| line.unwrap().contains("stopped"));
    if !reached {
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        panic!("the unpacker ended before its {n}th report: {errors}");
    }
    child
}

#[test]
#[ignore = "other tests run this in a process of its own"]
#[allow(clippy::print_stdout)]
fn act() {
    let var = |name| std::env::var(name).unwrap();
    let stop: u32 = std::env::var("IZBA_TEST_STOP").map_or(u32::MAX, |n| n.parse().unwrap());
    let variant = var("IZBA_TEST_VARIANT");
    let owners = if variant.starts_with("squashed") { Owners::Squashed } else { Owners::AsArchived };
    let mut reports = 0;
    let mut progress = |_, _| {
        reports += 1;
        if reports == stop {
            println!("stopped");
            loop {
                std::thread::park();
            }
        }
    };
    let how = Unpacking::new(owners, &variant);
    let unpacked = Cache::open(var("IZBA_TEST_CACHE").as_ref())
        .and_then(|cache| cache.unpack(var("IZBA_TEST_ARCHIVE").as_ref(), &how, &mut progress));
    match unpacked {
        Ok((tree, report)) => println!("answer: {} {report:?}", tree.path().display()),
        Err(error) => println!("answer: error: {}", chain(&error)),
    }
}
