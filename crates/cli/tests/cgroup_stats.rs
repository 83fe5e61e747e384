//! What runs use is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod pty;
mod support;

use group::{izba, json};
use serde_json::Value;
use support::{Ground, User};

const LIMITS: [&str; 6] = ["--memory", "256m", "--pids-limit", "50", "--cpus", "1"];

#[test]
fn numbers_are_those_of_the_run() {
    let ground = Ground::new();
    let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo up; exec sleep 1000";
    let _run = ground.named(User::Root, "web", &LIMITS, "host", busy);
    let stats = json(&ground, &["stats", "--format", "json", "web"]);
    let of = |object: &str, field: &str| stats[0][object][field].as_u64();
    assert_eq!((stats[0]["name"].as_str(), stats[0]["paused"].as_bool()), (Some("web"), Some(false)), "{stats:#}");
    assert_eq!((of("memory", "limitBytes"), of("pids", "limit")), (Some(256 << 20), Some(50)));
    assert!(of("cpu", "totalMicroseconds") > Some(0) && of("memory", "currentBytes") > Some(0), "{stats:#}");
    assert!(of("memory", "peakBytes") >= of("memory", "currentBytes") && of("pids", "current") >= Some(1), "{stats:#}");
    assert_eq!(of("memory", "oomKills"), Some(0));
}

#[test]
fn a_table_has_a_row_for_each_run() {
    let ground = Ground::new();
    let _one = ground.named(User::Root, "one", &LIMITS, "host", "echo up; exec sleep 1000");
    let _two = ground.named(User::Root, "two", &["--cgroup-manager", "none"], "host", "echo up; exec sleep 1000");
    let all = izba(&ground, &["stats"]);
    let lines: Vec<&str> = all.text().lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("NAME") && lines[1].contains("256.0 MiB"), "{all:?}");
    assert!(lines[2].starts_with("two") && lines[2].matches(" -").count() == 11, "{all:?}");
    assert_eq!(izba(&ground, &["stats", "one"]).text().lines().count(), 2);
    assert!(izba(&ground, &["stats", "none"]).refusal().contains("nothing runs under the name none"));
}

#[test]
fn watching_ends_with_the_run() {
    let ground = Ground::new();
    let mut run = ground.named(User::Root, "web", &LIMITS, "host", "echo up; read line");
    let mut watch = ground.izba(User::Root);
    watch.args(["stats", "--watch=0.1", "--format", "json", "web"]);
    let (mut watch, first) = support::Background::start(&mut watch);
    let second = watch.line();
    let percent = |line: &str| serde_json::from_str::<Value>(line).unwrap()[0]["cpu"]["percent"].clone();
    assert!(percent(&first).is_null() && percent(&second).is_number(), "{first} {second}");
    drop(run.child.stdin.take());
    assert_eq!((run.status(), watch.status()), (1, 0));
}

#[test]
fn a_terminal_is_left_as_it_was() {
    let ground = Ground::new();
    let _run = ground.named(User::Root, "web", &LIMITS, "host", "echo up; exec sleep 1000");
    let script = r#"
start('stats', '--watch=0.1')
expect('\x1b[?1049h')
for look in range(3):
    expect('\x1b[H\x1b[J')
    expect('web')
send('\x03')
assert status() == 130
assert '\x1b[?1049l' in seen and 'web' in seen.split('\x1b[?1049l')[1], seen
assert modes() == before
"#;
    let driven = pty::drive(&ground, User::Root, &[], script);
    assert_eq!(driven.status, 0, "{driven:?}");
}
