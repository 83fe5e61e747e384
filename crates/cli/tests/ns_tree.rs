//! `izba ns tree`, as root and as ordinary users.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::fs;

use serde_json::Value;
use support::{Background, Ground, User, run};
use target::{child, inode};

/// The listing of nested clone programs: a process, its child in a PID namespace, and that one's in another.
fn nested(ground: &Ground, user: User) -> (Background, [i32; 2]) {
    let mut unshare = ground.command("unshare", user);
    if user != User::Root {
        unshare.args(["-U", "-r"]);
    }
    let script = "unshare -p -f --kill-child sh -c 'echo up; read end' nested";
    let (process, line) = Background::start(unshare.args(["-p", "-f", "--kill-child", "sh", "-c", script]));
    assert_eq!(line, "up");
    let outer = child(process.pid());
    // dash executes the last command of a script in its own process.
    let inner = child(outer);
    let inner = if pids(inner).len() == 3 { inner } else { child(inner) };
    (process, [outer, inner])
}

fn pids(pid: i32) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

fn tree(ground: &Ground, user: User, options: &[&str]) -> String {
    run(ground.izba(user).args(["ns", "tree"]).args(options)).text().to_owned()
}

/// How deep a line is drawn, and what it says.
fn branch(line: &str) -> (usize, &str) {
    let text = line.trim_start_matches(['│', '├', '└', '─', ' ']);
    ((line.chars().count() - text.chars().count()) / 3, text)
}

fn depth_of(drawn: &str, start: &str) -> usize {
    let found = drawn.lines().map(branch).find(|(_, text)| text.starts_with(start));
    found.unwrap_or_else(|| panic!("no {start:?} in:\n{drawn}")).0
}

#[test]
fn each_process_shows_its_pid_in_every_namespace() {
    let ground = Ground::new();
    for user in User::ALL {
        let (_process, [outer, inner]) = nested(&ground, user);
        let drawn = tree(&ground, user, &[]);
        let (outside, inside) = (inode(outer, "pid"), inode(inner, "pid"));
        let depth = depth_of(&drawn, &format!("pid {outside}"));
        assert_eq!(depth_of(&drawn, &format!("pid {inside}")), depth + 1, "{drawn}");
        assert_eq!(pids(inner).len(), 3);
        assert_eq!(depth_of(&drawn, &format!("{}  ", pids(outer).join(" → "))), depth + 1, "{drawn}");
        assert_eq!(depth_of(&drawn, &format!("{}  ", pids(inner).join(" → "))), depth + 2, "{drawn}");
    }
}

#[test]
fn namespaces_hang_under_their_owners() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut unshare = ground.command("unshare", user);
        unshare.args(["-U", "-r", "-n", "sh", "-c", "unshare -U -r -u sh -c 'echo up; read end' || true"]);
        let (process, line) = Background::start(&mut unshare);
        assert_eq!(line, "up");
        let (outer, inner) = (process.pid(), child(process.pid()));
        let drawn = tree(&ground, user, &[]);
        let owned = drawn.split("\n\n").nth(1).unwrap();
        let depth = depth_of(owned, &format!("user {}", inode(outer, "user")));
        assert_eq!(depth, 1, "{drawn}");
        assert_eq!(depth_of(owned, &format!("net {}", inode(outer, "net"))), depth + 1, "{drawn}");
        assert_eq!(depth_of(owned, &format!("user {}", inode(inner, "user"))), depth + 1, "{drawn}");
        assert_eq!(depth_of(owned, &format!("uts {}", inode(inner, "uts"))), depth + 2, "{drawn}");
        let maker = format!("user {}, made by {}", inode(outer, "user"), user.name());
        assert_eq!(depth_of(owned, &maker), depth, "{drawn}");
    }
}

/// Processes that nothing sets apart are a number, unless they are asked for.
#[test]
fn the_hosts_processes_are_summed_up() {
    let ground = Ground::new();
    let plain = Background::start(ground.command("sh", User::Root).args(["-c", "echo up; read end; : plain-process"]));
    let apart = ["-u", "sh", "-c", "echo up; read end; : apart-process"];
    let apart = Background::start(ground.command("unshare", User::Root).args(apart));
    let short = tree(&ground, User::Root, &[]);
    let line = |drawn: &str, pid: i32| drawn.lines().map(branch).any(|(_, text)| text.starts_with(&format!("{pid}  ")));
    assert!(!line(&short, plain.0.pid()) && line(&short, apart.0.pid()), "{short}");
    assert!(short.contains("in no namespaces of their own (--all)"), "{short}");
    assert!(short.contains("  root  [uts] sh -c echo up; read end; : apart-process"), "{short}");
    let whole = tree(&ground, User::Root, &["--all"]);
    assert!(line(&whole, plain.0.pid()) && line(&whole, apart.0.pid()), "{whole}");
    assert!(!whole.contains("(--all)"), "{whole}");
}

fn find(list: &Value, id: u64) -> Option<&Value> {
    list.as_array()?.iter().find_map(|node| {
        let own = (node["id"].as_u64() == Some(id)).then_some(node);
        own.or_else(|| find(&node["children"], id))
    })
}

#[test]
fn programs_get_the_same_trees() {
    let ground = Ground::new();
    let (_process, [outer, inner]) = nested(&ground, User::Root);
    let trees: Value = serde_json::from_str(&tree(&ground, User::Root, &["--format", "json"])).unwrap();
    let outside = find(&trees["pid"], inode(outer, "pid")).unwrap();
    let inside = find(&outside["children"], inode(inner, "pid")).unwrap();
    let member = inside["members"].as_array().unwrap().iter().find(|member| member["pid"] == inner).unwrap();
    let shown: Vec<String> = member["pids"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(shown, pids(inner));
    assert_eq!(member["namespaces"]["pid"].as_u64(), Some(inode(inner, "pid")));
    let user = find(&trees["user"], inode(inner, "user")).unwrap();
    let owned = user["owns"].as_array().unwrap().iter().find(|row| row["id"] == inside["id"]);
    assert_eq!(owned.map(|row| &row["type"]), Some(&"pid".into()), "{user}");
}
