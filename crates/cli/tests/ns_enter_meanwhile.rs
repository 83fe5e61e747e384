//! `izba ns enter` where the target ends before, while and after it is entered.
//!
//! strace stops izba after one of its calls, the target is killed, and izba goes on: no try depends on how fast anything is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Background, Ended, Ground, User, run};
use target::{ALL, Target, peer, show};

/// The kinds that are entered. In a PID namespace the program would end with its process 1, which is the target.
const ENTERED: [(&str, &str); 4] = [("user", "-U"), ("mnt", "-m"), ("net", "-n"), ("uts", "-u")];

/// The n-th call of a name, as a process counts its own.
type Point = (String, usize);

/// `izba ns enter TARGET -U -m -n -u sh -c SCRIPT`
fn words(target: &Target, script: &str) -> Vec<String> {
    let (pid, letters) = (target.pid(), ENTERED.map(|(_, letter)| letter));
    let words = [&["ns", "enter", &pid], &letters[..], &["--", "sh", "-c", script]].concat();
    words.into_iter().map(String::from).collect()
}

fn show_all() -> String {
    ENTERED.map(|(kind, _)| show(kind)).join(";")
}

fn namespaces(target: &Target) -> Vec<&str> {
    ENTERED.iter().map(|(kind, _)| target.namespace(kind)).collect()
}

/// Until nothing is left of it: a process that hasn't been reaped may still be sent a signal.
fn kill(ground: &Ground, target: &Target) {
    assert_eq!(run(Command::new("kill").args(["-KILL", &target.pid()])).status, 0);
    ground.wait_for("the target has ended", || !Path::new(&format!("/proc/{}", target.pid)).exists());
}

/// izba under strace, which stops each of its processes after this call; at the first stop the target is killed.
fn entered(ground: &Ground, user: User, target: &Target, point: Option<&Point>) -> (Ended, String) {
    let trace = ground.path("trace");
    fs::write(&trace, "").unwrap();
    let mut command = ground.command("/usr/bin/strace", User::Root);
    command.envs(peer(ground, user, "izba").get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.args(["-f", "-qq", "-o"]).arg(&trace);
    if user != User::Root {
        command.args(["-u", user.name()]);
    }
    if let Some((call, count)) = point {
        command.args(["-e", &format!("inject={call}:signal=STOP:when={count}")]);
    }
    command.arg(ground.path("izba")).args(words(target, &show_all()));
    let read = || fs::read_to_string(&trace).unwrap();
    let ended = std::thread::scope(|scope| {
        let entering = scope.spawn(|| run(&mut command));
        let mut stops = 0;
        while !entering.is_finished() {
            for pid in stopped(&read()).into_iter().skip(stops) {
                if stops == 0 {
                    kill(ground, target);
                }
                stops += 1;
                assert_eq!(run(Command::new("kill").args(["-s", "CONT", &pid])).status, 0);
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(point.is_none() || stops > 0, "izba never came to {point:?}");
        entering.join().unwrap()
    });
    (ended, read())
}

/// The processes that have stopped, in this order.
fn stopped(trace: &str) -> Vec<String> {
    let stops = trace.lines().filter(|line| line.ends_with("--- stopped by SIGSTOP ---"));
    stops.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The points at which izba has just looked at the target or entered a namespace, each with whether it comes after the last look.
fn points(trace: &str, target: &Target) -> Vec<(Point, bool)> {
    let of_target = [format!("\"/proc/{}/", target.pid), format!("pidfd_open({},", target.pid), "setns(".to_owned()];
    let (mut counts, mut known) = (BTreeMap::<(&str, &str), usize>::new(), BTreeSet::new());
    // A signal 0 by its pidfd: that it was one process all the while. The parent looks, and the child last of all.
    let looks = trace.lines().filter(|line| line.contains("pidfd_send_signal(")).count();
    let (mut found, mut looked) = (Vec::new(), 0);
    for line in trace.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        let count = counts.entry((pid, name)).or_default();
        *count += 1;
        looked += usize::from(name == "pidfd_send_signal");
        let first = known.insert((name, *count));
        if first && (name == "pidfd_send_signal" || of_target.iter().any(|text| call.contains(text))) {
            found.push(((name.to_owned(), *count), looked == looks));
        }
    }
    found
}

#[test]
fn a_target_that_is_killed_meanwhile_has_been_entered_or_not() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let (ended, trace) = entered(&ground, user, &target, None);
        assert_eq!(ended.text().lines().collect::<Vec<_>>(), namespaces(&target), "{user:?}");
        let points = points(&trace, &target);
        let sure = points.iter().filter(|(_, is_sure)| *is_sure).count();
        assert!(sure >= 3 && points.len() >= sure + 6, "{user:?}: {points:?}");
        for (point, is_sure) in points {
            let target = Target::new(&ground, user, &ALL);
            let (ended, _) = entered(&ground, user, &target, Some(&point));
            if is_sure {
                assert_eq!(ended.text().lines().collect::<Vec<_>>(), namespaces(&target), "{user:?} {point:?}");
            } else {
                ended.refusal();
            }
        }
    }
}

#[test]
fn a_target_that_has_ended_before_cannot_be_entered() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        kill(&ground, &target);
        let refused = run(ground.izba(user).args(words(&target, "echo run")));
        assert!(refused.refusal().contains(&format!("no process {}", target.pid)), "{user:?}: {refused:?}");
    }
}

#[test]
fn the_program_stays_where_the_target_was() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::new(&ground, user, &ALL);
        let script = format!("echo up; read again; {}", show_all());
        let (mut running, line) = Background::start(ground.izba(user).args(words(&target, &script)));
        assert_eq!(line, "up");
        kill(&ground, &target);
        std::io::Write::write_all(running.child.stdin.as_mut().unwrap(), b"again\n").unwrap();
        for namespace in namespaces(&target) {
            assert_eq!(running.line(), namespace, "{user:?}");
        }
        assert_eq!(running.status(), 0, "{user:?}");
    }
}
