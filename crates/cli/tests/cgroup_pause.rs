//! Runs are paused, resumed, and ended as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use std::time::Duration;

use group::{groups_of, izba, json};
use support::{Background, Ground, User};

const BUSY: &str = "echo up; while :; do :; done";

fn cpu_time(ground: &Ground) -> u64 {
    json(ground, &["stats", "--format", "json", "web"])[0]["cpu"]["totalMicroseconds"].as_u64().unwrap()
}

fn state(ground: &Ground) -> String {
    json(ground, &["ps", "--format", "json"])[0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_paused_run_uses_no_cpu_time() {
    let ground = Ground::new();
    let _run = ground.named(User::Root, "web", &[], "host", BUSY);
    assert_eq!(state(&ground), "running");
    assert_eq!(izba(&ground, &["pause", "web"]).text(), "");
    assert_eq!(state(&ground), "paused");
    let before = cpu_time(&ground);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(cpu_time(&ground), before);
    assert_eq!(izba(&ground, &["resume", "web"]).text(), "");
    assert_eq!(state(&ground), "running");
    ground.wait_for("the run goes on", || cpu_time(&ground) > before);
}

#[test]
fn nothing_is_executed_in_a_paused_run() {
    let ground = Ground::new();
    let _run = ground.named(User::Root, "web", &[], "host", BUSY);
    izba(&ground, &["pause", "web"]).text();
    let refused = izba(&ground, &["exec", "web", "true"]);
    assert!(refused.refusal().contains("the run web is paused") && refused.stderr.contains("try: izba resume web"));
    izba(&ground, &["resume", "web"]).text();
    izba(&ground, &["exec", "web", "true"]).text();
}

#[test]
fn a_paused_run_can_be_ended() {
    let ground = Ground::new();
    let name = "paused-and-killed";
    for all in [&["kill", name, "KILL"][..], &["kill", "--all", name, "KILL"]] {
        let mut run = ground.named(User::Root, name, &[], "host", BUSY);
        izba(&ground, &["pause", name]).text();
        assert_eq!(izba(&ground, all).text(), "");
        assert_eq!(run.status(), 137);
    }
    assert!(groups_of("paused-and-killed").is_empty());
}

#[test]
fn a_paused_run_whose_izba_was_killed_is_ended_by_who_looks() {
    let ground = Ground::new();
    let name = "paused-and-left";
    let mut run = ground.named(User::Root, name, &[], "host", BUSY);
    izba(&ground, &["pause", name]).text();
    run.signal("KILL");
    assert_eq!(run.status(), 137);
    assert!(!groups_of(name).is_empty());
    assert_eq!(izba(&ground, &["ps", "-q"]).text(), "");
    // Another test's izba may have begun to remove it before.
    ground.wait_for("nothing is left", || groups_of(name).is_empty() && ground.processes().is_empty());
}

#[test]
fn other_signals_wait_until_it_goes_on() {
    let ground = Ground::new();
    let mut run = ground.named(User::Root, "web", &[], "host", "trap 'exit 7' TERM; echo up; while :; do :; done");
    izba(&ground, &["pause", "web"]).text();
    let sent = izba(&ground, &["kill", "web"]);
    assert!(sent.text().is_empty() && sent.stderr.contains("note: the run web is paused"), "{sent:?}");
    assert_eq!(state(&ground), "paused");
    izba(&ground, &["resume", "web"]).text();
    assert_eq!(run.status(), 7);
}

#[test]
fn everybody_gets_the_signal_once() {
    let ground = Ground::new();
    let script = "trap 'echo got' USR1; trap 'exit 7' USR2; echo up; while :; do sleep 0.01; done";
    let mut run = ground.named(User::Root, "web", &[], "host", script);
    let mut second = ground.izba(User::Root);
    second.args(["exec", "--no-tty", "web", "sh", "-c", "trap 'exit 8' USR1; echo up; while :; do sleep 0.01; done"]);
    let (mut second, up) = Background::start(&mut second);
    assert_eq!(up, "up");
    assert_eq!(izba(&ground, &["kill", "--all", "web", "USR1"]).text(), "");
    assert_eq!((run.line().as_str(), second.status()), ("got", 8));
    izba(&ground, &["kill", "web", "USR2"]).text();
    assert_eq!(run.status(), 7);
    // Its sh has said on standard error that a sleep was ended.
    assert_ne!(run.line(), "got");
}

#[test]
fn without_a_group_nothing_is_paused_but_all_can_be_killed() {
    let ground = Ground::new();
    let mut run = ground.named(User::Root, "web", &["--cgroup-manager", "none"], "host", "echo up; exec sleep 1000");
    for verb in ["pause", "resume"] {
        assert!(izba(&ground, &[verb, "web"]).refusal().contains("the run web has no control group of its own"));
    }
    assert!(izba(&ground, &["kill", "--all", "web", "TERM"]).refusal().contains("has no control group of its own"));
    assert_eq!(izba(&ground, &["kill", "--all", "web", "KILL"]).text(), "");
    assert_eq!(run.status(), 137);
}
