//! Limits of devices hold: rates by the group's own counters against the time that has passed, and rules by what can be opened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod disk;
mod group;
mod rate;
mod support;

use disk::Disk;
use group::{Limited, pure_v2};
use rate::Rate;
use support::{Ground, User};

fn rate_holds(rate: &Rate) {
    let ground = Ground::new();
    let disk = Disk::new(&ground, 16);
    rate.holds(&disk, &disk.device, |options, script| Limited::start(&ground, options, script));
}

#[test]
fn bytes_written_hold_to_their_rate() {
    rate_holds(&rate::BYTES_WRITTEN);
}

#[test]
fn bytes_read_hold_to_their_rate() {
    rate_holds(&rate::BYTES_READ);
}

#[test]
fn writes_hold_to_their_rate() {
    rate_holds(&rate::WRITES);
}

#[test]
fn reads_hold_to_their_rate() {
    rate_holds(&rate::READS);
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
