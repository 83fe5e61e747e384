//! `izba ns show`: why a namespace lives. Each kind of holder is made for real.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::Value;
use support::{Background, Ground, User, run};

/// A program of this user in new namespaces; an ordinary user's in a user namespace too.
fn unshare(ground: &Ground, user: User, options: &[&str], script: &str) -> Background {
    let mut command = ground.command("unshare", user);
    if user != User::Root {
        command.args(["-U", "-r"]);
    }
    let (background, line) = Background::start(command.args(options).args(["sh", "-c", script]));
    assert_eq!(line, "up");
    background
}

const WAIT: &str = "echo up; read end";

fn child_of(process: &Background) -> i32 {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.pid())).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

fn inode(pid: i32, kind: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{kind}")).unwrap().ino()
}

/// What is said below "why it lives".
fn why(ground: &Ground, user: User, target: &str, options: &[&str]) -> String {
    let ended = run(ground.izba(user).args(["ns", "show", target]).args(options));
    let (_, lines) = ended.text().split_once("why it lives\n").unwrap();
    // Another test that looks at the same moment has every namespace open.
    let lasting = lines.lines().filter(|line| !line.contains("/izba ns "));
    lasting.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_line(why: &str, start: &str) {
    assert!(why.lines().any(|line| line.trim_start().starts_with(start)), "{start:?} in\n{why}");
}

#[test]
fn a_process_in_it_and_what_it_owns() {
    let ground = Ground::new();
    for user in User::ALL {
        let process = unshare(&ground, user, &["-n", "-u"], WAIT);
        let pid = process.pid();
        let lines = why(&ground, user, &pid.to_string(), &["-t", "net"]);
        assert_line(&lines, &format!("process {pid} (sh -c {WAIT})"));
        assert!(!lines.contains("not visible"), "{user:?}: {lines}");
        if user != User::Root {
            let lines = why(&ground, user, &pid.to_string(), &["-t", "user"]);
            assert_line(&lines, &format!("net:[{}], which it owns", inode(pid, "net")));
            assert_line(&lines, &format!("uts:[{}], which it owns", inode(pid, "uts")));
        }
    }
}

#[test]
fn an_open_descriptor() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut process = unshare(&ground, user, &["-u"], WAIT);
        let path = format!("/proc/{}/ns/uts", process.pid());
        let id = inode(process.pid(), "uts");
        let hold = format!("exec 9<{path}; {WAIT}");
        let (holder, line) = Background::start(ground.command("sh", user).args(["-c", &hold]));
        assert_eq!(line, "up");
        process.signal("KILL");
        process.status();
        let lines = why(&ground, user, &id.to_string(), &[]);
        assert_eq!(lines.lines().filter(|line| !line.contains("not looked into")).count(), 1, "{user:?}: {lines}");
        assert_line(&lines, &format!("descriptor 9 of process {} (sh -c", holder.pid()));
    }
}

#[test]
fn bind_mounts_here_and_in_another_mount_namespace() {
    let ground = Ground::new();
    let (here, there) = (ground.path("here"), ground.path("there"));
    fs::write(&here, "").unwrap();
    fs::write(&there, "").unwrap();
    run(Command::new("unshare").arg(format!("--uts={}", here.display())).arg("true")).text();
    let script = format!("mount --bind {} {}; {WAIT}", here.display(), there.display());
    let process = unshare(&ground, User::Root, &["-m", "--propagation", "private"], &script);
    let lines = why(&ground, User::Root, here.to_str().unwrap(), &[]);
    // Another test's izba may have it open at this moment.
    run(Command::new("umount").arg("--lazy").arg(&here)).text();
    assert_line(&lines, &format!("bind mount {}", here.display()));
    let elsewhere = format!("bind mount {} in mnt:[{}]", there.display(), inode(process.pid(), "mnt"));
    assert_line(&lines, &elsewhere);
}

#[test]
fn a_child_namespace() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = format!("exec unshare -pf --kill-child sh -c '{WAIT}'");
        let outer = unshare(&ground, user, &["-pf", "--kill-child"], &script);
        let inner = child_of(&outer);
        let innermost: i32 = {
            let children = fs::read_to_string(format!("/proc/{inner}/task/{inner}/children")).unwrap();
            children.trim().parse().unwrap()
        };
        let lines = why(&ground, user, &inner.to_string(), &["-t", "pid"]);
        assert_line(&lines, &format!("pid:[{}], its child", inode(innermost, "pid")));
    }
}

#[test]
fn a_process_whose_children_will_be_in_it() {
    let ground = Ground::new();
    for user in User::ALL {
        let process = unshare(&ground, user, &["-p", "-T", "-f", "--kill-child"], WAIT);
        let child = child_of(&process);
        for kind in ["pid", "time"] {
            let lines = why(&ground, user, &child.to_string(), &["-t", kind]);
            assert_line(&lines, &format!("process {child} (sh -c"));
            let waiting = lines.lines().find(|line| line.contains("whose next children will be in it"));
            let expected = format!("process {} (unshare", process.pid());
            assert!(waiting.is_some_and(|line| line.trim().starts_with(&expected)), "{user:?} {kind}: {lines}");
        }
    }
}

#[test]
fn a_mounted_proc_and_mounted_message_queues() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("{user:?}"), user);
        let script = format!("mount -t mqueue mqueue {}; {WAIT}", dir.display());
        let process = unshare(&ground, user, &["-p", "-i", "-f", "-m", "--mount-proc", "--kill-child"], &script);
        let child = child_of(&process);
        let namespace = inode(child, "mnt");
        let lines = why(&ground, user, &child.to_string(), &["-t", "pid"]);
        assert_line(&lines, &format!("procfs of it at /proc in mnt:[{namespace}]"));
        let lines = why(&ground, user, &child.to_string(), &["-t", "ipc"]);
        assert_line(&lines, &format!("message queues of it at {} in mnt:[{namespace}]", dir.display()));
    }
}

/// Sends a descriptor of a new UTS namespace into a socket pair, and closes every copy. One is left to izba, which looks at it by
/// that and isn't a holder of its own finding.
const IN_FLIGHT: &str = "
import os, socket, subprocess, sys
a, b = socket.socketpair()
child = subprocess.Popen(['unshare', *sys.argv[2:], 'sh', '-c', 'echo up; read end'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
fd = os.open(f'/proc/{child.pid}/ns/uts', os.O_RDONLY)
socket.send_fds(a, [b'x'], [fd])
child.stdin.close(); child.wait()
izba = subprocess.Popen(['sh', '-c', f'read go; exec {sys.argv[1]} ns show /proc/self/fd/{fd}'], stdin=subprocess.PIPE, pass_fds=[fd])
os.close(fd)
izba.communicate(b'go\\n')
sys.exit(izba.returncode)
";

#[test]
fn a_descriptor_in_flight_is_something_not_visible() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = ground.path("in_flight.py");
        fs::File::create(&script).unwrap().write_all(IN_FLIGHT.as_bytes()).unwrap();
        let mut python = ground.command("/usr/bin/python3", user);
        python.arg(&script).arg(ground.path("izba")).arg("-u");
        if user != User::Root {
            python.args(["-U", "-r"]);
        }
        let look = || run(&mut python).text().split_once("why it lives\n").unwrap().1.to_owned();
        // Another test's izba that looks at all namespaces just then has a descriptor of this one, too.
        let is_only_looked_at = |lines: &String| lines.contains("/izba ns show ");
        let lines = std::iter::repeat_with(look).take(50).find(|lines| !is_only_looked_at(lines)).unwrap();
        assert_line(&lines, "held by something not visible");
        // PID 1 of the machine is closed even to root.
        assert!(lines.contains("not looked into:"), "{user:?}: {lines}");
    }
}

#[test]
fn json_has_the_same_holders() {
    let ground = Ground::new();
    let process = unshare(&ground, User::Root, &["-p", "-f", "-m", "--mount-proc", "--kill-child"], WAIT);
    let child = child_of(&process);
    let ended = run(ground.izba(User::Root).args(["ns", "show", &child.to_string(), "-t", "pid", "--format", "json"]));
    let value: Value = serde_json::from_str(ended.text()).unwrap();
    // Another test's izba that surveys at this moment has every namespace open.
    let holders: Vec<&Value> =
        value["holders"].as_array().unwrap().iter().filter(|holder| holder["kind"] != "descriptor").collect();
    let kinds: Vec<&str> = holders.iter().map(|holder| holder["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["process", "for-children", "proc"], "{value:#}");
    assert_eq!((value["explained"].as_bool(), value["initial"].as_bool()), (Some(true), Some(false)));
    assert_eq!(holders[2]["path"].as_str(), Some("/proc"));
}
