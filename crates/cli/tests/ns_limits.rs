//! `izba ns limits`: what may be made, and that the kernel agrees.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{Background, Ground, User, run};
use target::{NAMES, inode};

fn limits(ground: &Ground, user: User, target: &[&str]) -> Value {
    let ended = run(ground.izba(user).args(["ns", "limits", "--format", "json"]).args(target));
    serde_json::from_str(ended.text()).unwrap()
}

fn of<'a>(level: &'a Value, kind: &str) -> &'a Value {
    level["limits"].as_array().unwrap().iter().find(|limit| limit["type"] == kind).unwrap()
}

/// A shell in a new user namespace of this user.
fn user_namespace(ground: &Ground, user: User, script: &str) -> Background {
    let script = format!("{script}; echo up; read end");
    let (background, line) = Background::start(ground.command("unshare", user).args(["-U", "-r", "sh", "-c", &script]));
    assert_eq!(line, "up");
    background
}

/// A program in that user namespace.
fn within(ground: &Ground, user: User, target: &Background, program: &[&str]) -> Command {
    let mut nsenter = ground.command("nsenter", user);
    nsenter.args(["-t", &target.pid().to_string(), "-U", "--preserve-credentials"]).args(program);
    nsenter
}

#[test]
fn the_limits_are_the_kernels() {
    let ground = Ground::new();
    for user in User::ALL {
        let shown = limits(&ground, user, &[]);
        let level = &shown["levels"][0];
        assert_eq!(level["userNamespace"].as_u64(), Some(inode(i32::try_from(std::process::id()).unwrap(), "user")));
        assert_eq!(level["charged"].as_u64(), Some(user.account().0.into()), "{user:?}");
        for kind in NAMES {
            let file = fs::read_to_string(format!("/proc/sys/user/max_{kind}_namespaces")).unwrap();
            assert_eq!(of(level, kind)["most"].to_string(), file.trim(), "{user:?} {kind}");
        }
    }
}

#[test]
fn a_lower_limit_of_a_user_namespace_is_shown_from_outside_and_within() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = user_namespace(&ground, user, "echo 3 > /proc/sys/user/max_net_namespaces");
        let izba = ground.path("izba");
        let inside =
            run(&mut within(&ground, user, &target, &[izba.to_str().unwrap(), "ns", "limits", "--format", "json"]));
        let inside: Value = serde_json::from_str(inside.text()).unwrap();
        assert_eq!(inside["moreAbove"].as_bool(), Some(true), "{user:?}: what is around it can't be seen");
        let outside = limits(&ground, user, &[&target.pid().to_string()]);
        let levels = outside["levels"].as_array().unwrap();
        let ids: Vec<_> = levels.iter().map(|level| level["userNamespace"].as_u64().unwrap()).collect();
        assert_eq!(ids, [inode(target.pid(), "user"), inode(i32::try_from(std::process::id()).unwrap(), "user")]);
        assert_eq!(levels[1]["charged"].as_u64(), Some(user.account().0.into()), "{user:?}: who made it");
        for level in [&inside["levels"][0], &levels[0]] {
            assert_eq!(of(level, "net")["most"].as_u64(), Some(3), "{user:?}");
        }
        assert!(outside["refused"].as_array().unwrap().is_empty(), "{user:?}: {outside:#}");
    }
}

#[test]
fn what_is_said_to_be_refused_is_refused() {
    let ground = Ground::new();
    for user in User::ALL {
        for (kind, option) in [("net", "-n"), ("uts", "-u"), ("user", "-U")] {
            let script = format!("echo 1 > /proc/sys/user/max_{kind}_namespaces");
            let target = user_namespace(&ground, user, &script);
            let pid = target.pid().to_string();
            let make = |program: &[&str]| within(&ground, user, &target, &["unshare", option]).args(program).output();
            assert_eq!(limits(&ground, user, &[&pid])["refused"].as_array().map(Vec::len), Some(0), "{user:?} {kind}");
            let mut first = within(&ground, user, &target, &["unshare", option, "sh", "-c", "echo up; read end"]);
            let (_first, line) = Background::start(&mut first);
            assert_eq!(line, "up", "{user:?} {kind}: the limit allows one");
            let second = make(&["true"]).unwrap();
            let said = String::from_utf8(second.stderr).unwrap();
            assert!(said.contains("No space left on device"), "{user:?} {kind}: {said}");
            let shown = limits(&ground, user, &[&pid]);
            let refused = &shown["refused"][0];
            assert_eq!(refused["by"], format!("user.max_{kind}_namespaces"), "{user:?}: {shown:#}");
            assert_eq!(refused["userNamespace"].as_u64(), Some(inode(target.pid(), "user")));
            // The kernel tells who made a user namespace, and of no other kind.
            assert_eq!(refused["certain"].as_bool(), Some(kind == "user"), "{user:?} {kind}");
            let text = run(ground.izba(user).args(["ns", "limits", &pid]));
            let word = if kind == "user" { "is" } else { "may be" };
            let sentence = format!(
                "A new {kind} namespace {word} refused with ENOSPC: user.max_{kind}_namespaces of user:[{}] is 1, and 1 are in use.",
                inode(target.pid(), "user")
            );
            assert!(text.text().contains(&sentence), "{sentence}\n{text:?}");
        }
    }
}

#[test]
fn none_at_all_is_certain() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = user_namespace(&ground, user, "echo 0 > /proc/sys/user/max_ipc_namespaces");
        let said = run(&mut within(&ground, user, &target, &["unshare", "-i", "true"]));
        assert!(said.stderr.contains("No space left on device"), "{user:?}: {said:?}");
        let shown = limits(&ground, user, &[&target.pid().to_string()]);
        let refused = &shown["refused"][0];
        assert_eq!((refused["type"].as_str(), refused["certain"].as_bool()), (Some("ipc"), Some(true)), "{user:?}");
    }
}

#[test]
fn what_is_made_below_counts_above_for_who_made_the_user_namespace() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let target = user_namespace(&ground, user, "true");
        let mut nested =
            within(&ground, user, &target, &["unshare", "-U", "-r", "-u", "sh", "-c", "echo up; read end"]);
        let (_nested, line) = Background::start(&mut nested);
        assert_eq!(line, "up");
        let shown = limits(&ground, user, &[&target.pid().to_string()]);
        let used = |level: usize, kind: &str| of(&shown["levels"][level], kind)["used"].as_u64().unwrap();
        assert_eq!((used(0, "user"), used(0, "uts"), used(0, "net")), (1, 1, 0), "{user:?}: {shown:#}");
        // Other tests may have made some of this user's too.
        assert!(used(1, "user") >= 2 && used(1, "uts") >= 1, "{user:?}: {shown:#}");
    }
}

#[test]
fn who_may_not_look_is_told_so() {
    let ground = Ground::new();
    let target = user_namespace(&ground, User::Ranges, "true");
    let refused = run(ground.izba(User::OneId).args(["ns", "limits", &target.pid().to_string()]));
    assert!(refused.refusal().contains("may not be read"), "{refused:?}");
}
