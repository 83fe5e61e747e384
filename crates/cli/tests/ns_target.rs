//! TARGET is what was meant, or nothing: what led to it may lead elsewhere a moment later.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use support::{Background, Ground, User, run};

/// Goes to and fro between two network namespaces of its own, whose numbers it prints.
const RESTLESS: &str = "\
import ctypes, os
libc = ctypes.CDLL(None)
places = []
for _ in range(2):
    assert libc.unshare(0x40000000) == 0
    places.append(os.open('/proc/self/ns/net', os.O_RDONLY))
print(*(os.fstat(place).st_ino for place in places), flush=True)
while True:
    for place in places:
        libc.setns(place, 0)
";

#[test]
fn a_number_never_leads_into_another_namespace() {
    let ground = Ground::new();
    let (_restless, line) = Background::start(ground.command("python3", User::Root).args(["-c", RESTLESS]));
    let (first, second) = line.split_once(' ').unwrap();
    let mut entered = 0;
    for try_number in 0..40 {
        let wanted = [first, second][try_number % 2];
        let mut command = ground.izba(User::Root);
        let ended = run(command.args(["ns", "enter", wanted, "--", "readlink", "/proc/self/ns/net"]));
        if ended.status == 0 {
            assert_eq!(ended.text(), format!("net:[{wanted}]"), "{try_number}");
            entered += 1;
        } else {
            // It was in the other one when the processes were looked at.
            ended.refusal();
        }
    }
    assert!(entered > 0, "the test has lost its use");
}
