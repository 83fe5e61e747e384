//! How a run has ended, for scripts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod support;

use std::fs;

use group::{ended, groups_of};
use serde_json::{Value, json};
use support::{Ground, User, run};

#[test]
fn a_status_is_written_down() {
    let ground = Ground::new();
    let (ended, result) =
        ended(&ground, &["--name", "web"], "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 7");
    assert_eq!((ended.status, &result["status"], &result["name"]), (7, &json!(7), &json!("web")));
    assert!(
        result["signal"].is_null() && result["error"].is_null() && result["oomKilled"] == json!(false),
        "{result:#}"
    );
    assert!(result["cpuMicroseconds"].as_u64() > Some(0), "{result:#}");
    assert!(result["wallMicroseconds"].as_u64() > Some(0), "{result:#}");
}

#[test]
fn a_lack_of_memory_is_told_from_another_137() {
    let ground = Ground::new();
    let (killed, result) = ended(&ground, &[], "kill -KILL $$");
    assert_eq!((killed.status, &result["signal"], &result["oomKilled"]), (137, &json!(9), &json!(false)));
    assert!(!killed.stderr.contains("want of memory"), "{killed:?}");
    let (starved, result) = ended(&ground, &["--memory", "16m"], "exec tail /dev/zero");
    assert_eq!(
        (starved.status, &result["signal"], &result["oomKilled"]),
        (137, &json!(9), &json!(true)),
        "{starved:?}"
    );
    assert_eq!((&result["oomKills"], &result["memoryLimitBytes"]), (&json!(1), &json!(16 << 20)), "{result:#}");
    assert!(
        starved.stderr.contains("note: the kernel ended a process of this run for want of memory: limit 16.0 MiB"),
        "{starved:?}"
    );
}

#[test]
fn a_start_that_failed_is_written_down_too() {
    let ground = Ground::new();
    let file = ground.path("result.json");
    let mut izba = ground.izba(User::Root);
    izba.args(["run", "--result"]).arg(&file).args(["host", "no-such-program"]);
    assert_eq!(run(&mut izba).status, 127);
    let result: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(result["status"], json!(127));
    assert!(result["error"].as_str().unwrap().contains("no-such-program"), "{result:#}");
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_the_start() {
    let ground = Ground::new();
    let touched = ground.directory("out", User::Root);
    let volume = format!("{}:/out", touched.display());
    for file in ["/nonexistent/result.json", "/tmp"] {
        let refused = ground.sh(User::Root, &["--result", file, "-v", &volume], "host", "touch /out/started");
        assert!(refused.refusal().contains(&format!("--result {file}: it can't be written")), "{refused:?}");
        assert!(!touched.join("started").exists());
    }
}

#[test]
fn a_dry_run_writes_nothing_and_no_group_is_left() {
    let ground = Ground::new();
    let file = ground.path("result.json");
    let options = ["--name", "resultless", "--memory", "16m", "--result", file.to_str().unwrap()];
    let dry = ground.sh(User::Root, &[&options[..], &["--dry-run"]].concat(), "host", "true");
    assert!(!dry.text().is_empty() && !file.exists());
    assert!(groups_of("resultless").is_empty());
    ground.sh(User::Root, &options, "host", "true").text();
    assert!(file.exists() && groups_of("resultless").is_empty());
}
