//! `--dry-run` and `--explain`: the plan, shown.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Ground, User, run};

fn listing(dir: &Path) -> String {
    run(Command::new("find").arg(dir).args(["-printf", "%p %T@ %m %U %s\n"])).stdout
}

fn plan(ground: &Ground, user: User, options: &[&str], root: &Path) -> Value {
    let ended = run(ground
        .izba(user)
        .args(["run", "--dry-run", "--format", "json"])
        .args(options)
        .arg(root)
        .args(["touch", "/made"]));
    serde_json::from_str(&of_any_izba(ended.text())).unwrap()
}

/// A run's group is named after its izba, which is another process each time.
fn of_any_izba(text: &str) -> String {
    let Some((_, rest)) = text.split_once("/izba-") else { return text.to_owned() };
    let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
    text.replace(&format!("/izba-{number}"), "/izba-PID")
}

/// The clone, and how many steps come before it.
fn clone_of(plan: &Value) -> (&str, usize) {
    let steps = plan["steps"].as_array().unwrap().iter();
    let mut first = steps.map(|step| step["calls"][0].as_str().unwrap()).enumerate();
    first.find(|(_, call)| call.starts_with("clone3(")).map(|(index, call)| (call, index)).unwrap()
}

fn titles(plan: &Value) -> Vec<&str> {
    plan["steps"].as_array().unwrap().iter().map(|step| step["title"].as_str().unwrap()).collect()
}

#[test]
fn a_dry_run_changes_nothing() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        fs::remove_dir(root.join("proc")).unwrap();
        ground.izba(user);
        let mounts = || {
            fs::read_to_string("/proc/self/mountinfo")
                .unwrap()
                .lines()
                .filter(|line| line.contains("izba-ground"))
                .count()
        };
        let before = (listing(&ground.path("")), mounts());
        for options in [&[][..], &["--ephemeral=disk"], &["--tmpfs", "/a/b"], &["--format", "json"], &["--read-only"]] {
            let ended =
                run(ground.izba(user).args(["run", "--dry-run"]).args(options).arg(&root).args(["touch", "/made"]));
            assert!(ended.text().contains("pivot_root"), "{user:?} {options:?}: {ended:?}");
        }
        assert_eq!((listing(&ground.path("")), mounts()), before, "{user:?}");
    }
}

#[test]
fn a_dry_run_unpacks_no_archive_and_says_so() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::OneId);
    let archive = ground.path("root.tar");
    assert_eq!(run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".")).status, 0);
    let refused = run(ground.izba(User::OneId).args(["run", "--dry-run"]).arg(&archive).arg("true"));
    assert!(refused.refusal().contains("isn't unpacked yet"), "{refused:?}");
    assert_eq!(fs::read_dir(ground.path("cache-izba-plain")).unwrap().count(), 0);
    assert_eq!(run(ground.izba(User::OneId).arg("run").arg(&archive).arg("true")).status, 0);
    assert!(
        run(ground.izba(User::OneId).args(["run", "--dry-run"]).arg(&archive).arg("true")).text().contains("overlay")
    );
}

#[test]
fn the_json_plan_has_every_step_with_its_calls() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let plan = plan(&ground, user, &[], &root);
        assert_eq!(plan["version"], 1);
        let (clone, before) = clone_of(&plan);
        assert!(clone.contains("CLONE_NEWPID"), "{user:?}");
        assert_eq!(clone.contains("CLONE_NEWUSER"), user != User::Root, "{user:?}");
        // It is made in its group.
        assert_eq!(clone.contains("CLONE_INTO_CGROUP"), before > 0, "{user:?}");
        assert!(titles(&plan)[..before].iter().all(|title| title.starts_with("make the group /sys/fs/cgroup/")));
        assert!(user != User::Root || before == 1, "{user:?}");
        let steps = plan["steps"].as_array().unwrap();
        assert!(steps.iter().all(|step| !step["calls"].as_array().unwrap().is_empty()));
        assert!(steps.iter().all(|step| step["by"] == "parent" || step["by"] == "child"));
        assert!(titles(&plan).contains(&"mount /proc"), "{user:?}");
        assert!(steps.iter().any(|step| step["shell"] == "mount --make-rprivate /"), "{user:?}");
        assert!(steps.last().unwrap()["calls"].to_string().contains("execve"), "{user:?}");
    }
}

#[test]
fn the_plan_is_the_same_each_time() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        assert_eq!(
            plan(&ground, user, &["--ephemeral"], &root),
            plan(&ground, user, &["--ephemeral"], &root),
            "{user:?}"
        );
    }
}

#[test]
fn mount_points_that_are_to_be_made_are_in_the_plan() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        fs::remove_dir(root.join("sys")).unwrap();
        let text = plan(&ground, user, &["--tmpfs", "/new/place"], &root).to_string();
        for made in ["sys", "new", "place"] {
            assert!(text.contains("mkdirat(") && text.contains(&format!("\\\"{made}\\\"")), "{user:?} {made}: {text}");
        }
    }
}

#[test]
fn the_text_shows_shell_commands_and_what_is_not_enforced() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = run(ground.izba(user).args(["run", "--dry-run", "host", "true"]));
        let text = ended.text();
        assert!(text.contains("# mount --make-rprivate /") && text.contains("clone3("), "{user:?}: {text}");
        assert!(text.lines().last().unwrap().starts_with("not enforced yet: "), "{user:?}");
    }
}

#[test]
fn explain_prints_each_step_with_its_time_and_runs_the_program() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let planned =
            run(ground.izba(user).args(["run", "--dry-run", "--format", "json"]).arg(&root).args(["echo", "ran"]));
        let planned: Value = serde_json::from_str(&of_any_izba(planned.text())).unwrap();
        let ended = run(ground.izba(user).args(["run", "--explain"]).arg(&root).args(["echo", "ran"]));
        assert_eq!(ended.text(), "ran", "{user:?}");
        let explained = of_any_izba(&ended.stderr);
        let lines: Vec<&str> = explained.lines().filter(|line| line.starts_with('+')).collect();
        let titles = titles(&planned);
        let last = titles.len() - 1;
        for (title, line) in titles[..last].iter().zip(&lines) {
            assert!(line.contains(" ms  ") && line.contains(title), "{user:?}: {title} in {line}");
        }
        assert!(lines.len() >= last, "{user:?}: {} of {} steps", lines.len(), titles.len());
    }
}

#[test]
fn a_dry_run_of_what_is_impossible_is_an_error() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = run(ground.izba(user).args(["run", "--dry-run", "--share", "mnt", "host", "true"]));
        assert!(ended.refusal().contains("mount namespace"), "{user:?}: {ended:?}");
    }
    run(ground.izba(User::Root).args(["run", "--dry-run", "--explain", "host", "true"])).refusal();
}
