//! What a survey reads of real processes. Needs root, and unshare(1) and setpriv(1).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use izba_sandbox::survey::{Detail, Survey};

#[test]
fn a_process_of_many_groups_has_its_pids() {
    // Its groups alone are longer than a page.
    let groups: Vec<String> = (100_000..100_700).map(|group: u32| group.to_string()).collect();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "setpriv", "--groups", &groups.join(","), "sh", "-c", "echo up; read end"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let survey = Survey::take(Detail::All).unwrap();
    let unshare = i32::try_from(child.id()).unwrap();
    let inside: Vec<_> = survey.processes.values().filter(|process| process.parent == unshare).cloned().collect();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(line, "up\n");
    let [inside] = &inside[..] else { panic!("{inside:?}") };
    assert_eq!(inside.pids, [inside.pid, 1]);
}
