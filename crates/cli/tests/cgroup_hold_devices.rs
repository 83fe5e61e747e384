//! Limits of devices hold: rates by the group's own counters against the time that has passed, and rules by what can be opened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod disk;
mod group;
mod support;

use std::time::Instant;

use disk::Disk;
use group::{Limited, pure_v2};
use support::{Ground, User};

/// How much of a second's amount may come at once: the kernel counts in slices of 0.1 s (block/blk-throttle.c), and begins a new one early where nothing was done.
const BURST: f64 = 0.25;

/// Has dd transfer a disk's beginning under a limit for each second, and looks at what the group had transferred in the time that has passed.
fn rate_holds(option: &str, rate: u32, dd: &str, counter: &str, amount: u64) {
    let ground = Ground::new();
    let disk = Disk::new(&ground, 16);
    let device = &disk.device;
    let (volume, limit) = (format!("{device}:{device}:dev"), format!("{device}:{rate}"));
    let script = format!("echo up; read go; dd {} 2>&1 | tail -n1; read end", dd.replace("DISK", device));
    let mut run = Limited::start(&ground, &["-v", &volume, option, &limit], &script);
    let start = Instant::now();
    assert!(run.ask("go").contains("copied"));
    let stats = run.stats();
    let passed = start.elapsed().as_secs_f64();
    let counted = stats["io"].as_array().unwrap().iter().find(|row| row["device"] == disk.number()).unwrap();
    let count = counted[counter].as_u64().unwrap();
    assert_eq!(count, amount, "{stats:#}");
    let most = f64::from(rate) * (passed + BURST);
    assert!(f64::from(u32::try_from(count).unwrap()) <= most, "{count} {counter} in {passed} s, {option} {limit}");
}

#[test]
fn bytes_written_hold_to_their_rate() {
    let dd = "if=/dev/zero of=DISK bs=64k count=48 oflag=direct";
    rate_holds("--device-write-bps", 2 << 20, dd, "writtenBytes", 3 << 20);
}

#[test]
fn bytes_read_hold_to_their_rate() {
    let dd = "if=DISK of=/dev/null bs=64k count=48 iflag=direct";
    rate_holds("--device-read-bps", 2 << 20, dd, "readBytes", 3 << 20);
}

#[test]
fn writes_hold_to_their_rate() {
    rate_holds("--device-write-iops", 50, "if=/dev/zero of=DISK bs=4k count=75 oflag=direct", "writes", 75);
}

#[test]
fn reads_hold_to_their_rate() {
    rate_holds("--device-read-iops", 50, "if=DISK of=/dev/null bs=4k count=75 iflag=direct", "reads", 75);
}

/// What can be done with a node that was made inside.
const OPEN: &str = "mknod /dev/node $NODE 2>/dev/null || { echo not made; exit; }
    (: < /dev/node) 2>/dev/null && echo read || echo not read
    (: >> /dev/node) 2>/dev/null && echo written || echo not written";

fn tried(ground: &Ground, rules: &[&str], node: &str) -> String {
    let mut options = vec!["--cap-add", "MKNOD"];
    rules.iter().for_each(|rule| options.extend(["--device-cgroup-rule", *rule]));
    let script = OPEN.replace("$NODE", node);
    ground.sh(User::Root, &options, "host", &script).text().replace('\n', ", ")
}

#[test]
fn only_devices_with_a_rule_can_be_used() {
    let ground = Ground::new();
    let disk = Disk::new(&ground, 1);
    let number = disk.number();
    let node = format!("b {}", number.replace(':', " "));
    let open = |rules: &[&str]| tried(&ground, rules, &node);
    let own = |access: &str| format!("b {number} {access}");
    assert_eq!(open(&["c 10:229 rwm"]), "not read, not written");
    assert_eq!(open(&[&own("rw")]), "read, written");
    assert_eq!(open(&[&own("r")]), "read, not written");
    assert_eq!(open(&[&own("w")]), "not read, written");
    assert_eq!(open(&[&own("rw"), "deny b *:* m"]), "not made");
    if pure_v2() {
        // A list of v1 has no exceptions from exceptions, which izba says.
        assert_eq!(open(&["b 7:* rwm", &format!("deny {}", own("w"))]), "read, not written");
    }
    // Those that every root has stay.
    assert_eq!(tried(&ground, &[&own("r")], "c 1 3"), "read, written");
    assert_eq!(tried(&ground, &[&own("r")], "c 1 11"), "not read, not written");
}

/// Without rules all devices can be used: what keeps from that is the lack of the capability, and of nodes.
#[test]
fn without_a_rule_no_device_is_refused() {
    let ground = Ground::new();
    let disk = Disk::new(&ground, 1);
    let node = format!("b {}", disk.number().replace(':', " "));
    assert_eq!(tried(&ground, &[], &node), "read, written");
    let refused = ground.sh(User::Root, &[], "host", "mknod /dev/node c 1 3");
    assert!(refused.status != 0 && refused.stderr.contains("Operation not permitted"), "{refused:?}");
}
