//! Namespaces of `izba run`: which are new, which are shared, and what is set up in them.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use support::{Ground, User, run};

const KINDS: [&str; 8] = ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time"];

/// Prints the namespaces of the shell, one on a line.
const SHOW: &str = "for kind in mnt pid net ipc uts cgroup user time; do readlink /proc/self/ns/$kind; done";

/// The kinds of which the program has another namespace than we have.
#[track_caller]
fn new_kinds(shown: &str) -> Vec<&'static str> {
    let inside: Vec<&str> = shown.lines().collect();
    assert_eq!(inside.len(), KINDS.len(), "{shown}");
    let ours = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    KINDS
        .into_iter()
        .zip(inside)
        .filter(|(kind, inside)| ours(kind).as_os_str() != *inside)
        .map(|(kind, _)| kind)
        .collect()
}

fn new_by_default(user: User) -> Vec<&'static str> {
    let user_is_new = user != User::Root;
    KINDS.into_iter().filter(|&kind| kind != "time" && (kind != "user" || user_is_new)).collect()
}

#[test]
fn every_kind_but_time_is_new_and_user_for_ordinary_users() {
    let ground = Ground::new();
    for user in User::ALL {
        assert_eq!(new_kinds(ground.sh(user, &[], "host", SHOW).text()), new_by_default(user), "{user:?}");
    }
}

#[test]
fn each_kind_can_be_shared_and_the_others_stay_new() {
    let ground = Ground::new();
    for user in User::ALL {
        for kind in ["pid", "net", "ipc", "uts", "cgroup", "time"] {
            let expected: Vec<_> = new_by_default(user).into_iter().filter(|&other| other != kind).collect();
            assert_eq!(
                new_kinds(ground.sh(user, &["--share", kind], "host", SHOW).text()),
                expected,
                "{user:?} {kind}"
            );
        }
    }
}

#[test]
fn several_kinds_can_be_shared_at_once() {
    let ground = Ground::new();
    for user in User::ALL {
        let options = ["--share", "net", "--share", "ipc", "--share", "uts", "--share", "pid", "--share", "cgroup"];
        let expected = if user == User::Root { vec!["mnt"] } else { vec!["mnt", "user"] };
        assert_eq!(new_kinds(ground.sh(user, &options, "host", SHOW).text()), expected, "{user:?}");
    }
}

#[test]
fn the_long_names_of_kinds_are_understood() {
    let ground = Ground::new();
    let shown = ground.sh(User::Root, &["--share", "network"], "host", SHOW);
    assert!(!new_kinds(shown.text()).contains(&"net"));
}

#[test]
fn the_mount_namespace_is_shared_only_with_the_callers_own_root() {
    let ground = Ground::new();
    for user in User::ALL {
        let refused = ground.sh(user, &["--share", "mnt"], "host", "true");
        assert!(refused.refusal().contains("give / as the root"), "{user:?}: {refused:?}");
    }
    let shown = ground.sh(User::Root, &["--share", "mnt"], "/", SHOW);
    assert!(!new_kinds(shown.text()).contains(&"mnt"));
}

#[test]
fn an_ordinary_user_cannot_share_its_user_namespace_and_is_told_so() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let refused = ground.sh(user, &["--share", "user"], "host", "true");
        assert!(refused.refusal().contains("--share user"), "{user:?}: {refused:?}");
    }
    assert!(!new_kinds(ground.sh(User::Root, &["--share", "user"], "host", SHOW).text()).contains(&"user"));
}

#[test]
fn a_kind_that_does_not_exist_is_named() {
    let ground = Ground::new();
    for options in [["--share", "disk"], ["--join", "disk=1"]] {
        let refused = ground.sh(User::Root, &options, "host", "true");
        assert!(refused.refusal().contains("disk"), "{refused:?}");
    }
}

#[test]
fn a_shared_pid_namespace_says_what_cannot_be_promised() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(user, &["--share", "pid"], "host", &format!("cat /proc/{}/comm", std::process::id()));
        assert_eq!(
            ended.text(),
            fs::read_to_string("/proc/self/comm").unwrap().trim(),
            "the caller's processes are visible"
        );
        assert!(ended.stderr.contains("note: ") && ended.stderr.contains("in the background"), "{ended:?}");
    }
}

#[test]
fn loopback_is_up_and_the_only_interface() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(user, &[], "host", "ls /sys/class/net; ip -o addr show lo");
        let lines: Vec<&str> = ended.text().lines().collect();
        assert_eq!(lines[0], "lo", "{user:?}");
        assert!(lines[1].contains("127.0.0.1/8"), "{user:?}: {lines:?}");
    }
}

#[test]
fn programs_reach_each_other_over_loopback() {
    let ground = Ground::new();
    let talk = "import socket; s = socket.create_server(('127.0.0.1', 0)); \
                c = socket.create_connection(s.getsockname()); s.accept()[0].sendall(b'hello'); print(c.recv(5).decode())";
    for user in User::ALL {
        let ended = run(ground.izba(user).args(["run", "host", "python3", "-c", talk]));
        assert_eq!(ended.text(), "hello", "{user:?}");
    }
}

#[test]
fn the_host_name_is_izba_or_as_asked_for_and_the_callers_stays() {
    let ground = Ground::new();
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let script =
        "hostname; cat /etc/hostname; getent hosts $(hostname) | cut -d' ' -f1; cat /proc/sys/kernel/domainname";
    for user in User::ALL {
        assert_eq!(ground.sh(user, &[], "host", script).text(), "izba\nizba\n127.0.1.1\n(none)", "{user:?}");
        let ended = ground.sh(user, &["--hostname", "log-house.test", "--domainname", "yard"], "host", script);
        assert_eq!(ended.text(), "log-house.test\nlog-house.test\n127.0.1.1\nyard", "{user:?}");
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

#[test]
fn a_host_name_is_not_set_for_a_shared_uts_namespace() {
    let ground = Ground::new();
    for option in ["--hostname", "--domainname"] {
        let refused = ground.sh(User::Root, &["--share", "uts", option, "other"], "host", "true");
        assert!(refused.refusal().contains("UTS"), "{refused:?}");
    }
}

#[test]
fn a_root_directory_keeps_its_own_hosts_file_outside() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        fs::write(root.join("etc/hosts"), "10.1.2.3 theirs\n").unwrap();
        let ended = ground.sh(user, &[], &root, "cat /etc/hosts");
        assert!(ended.text().contains("127.0.1.1\tizba") && ended.text().contains("127.0.0.1\tlocalhost"), "{ended:?}");
        assert_eq!(fs::read_to_string(root.join("etc/hosts")).unwrap(), "10.1.2.3 theirs\n");
    }
}

#[test]
fn the_hosts_name_servers_and_names_come_with_its_network() {
    let ground = Ground::new();
    let (resolv, hosts) = (fs::read_to_string("/etc/resolv.conf").unwrap(), fs::read_to_string("/etc/hosts").unwrap());
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for root in [root.as_os_str(), "host".as_ref()] {
            let ended = ground.sh(user, &["--share", "net"], root, "cat /etc/resolv.conf");
            assert_eq!(ended.text(), resolv.trim_end(), "{user:?}");
            let ended = ground.sh(user, &["--share", "net"], root, "cat /etc/hosts");
            assert!(ended.text().starts_with(hosts.trim_end()), "{user:?}: {ended:?}");
        }
    }
}

/// The two clocks as a program sees them, in seconds.
fn clocks(ground: &Ground, user: User, options: &[&str]) -> BTreeMap<&'static str, f64> {
    let show =
        "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC)); print(time.clock_gettime(time.CLOCK_BOOTTIME))";
    let ended = run(ground.izba(user).arg("run").args(options).args(["host", "python3", "-c", show]));
    ["monotonic", "boottime"].into_iter().zip(ended.text().lines().map(|line| line.parse().unwrap())).collect()
}

#[test]
fn clocks_are_as_far_ahead_as_asked_for() {
    let ground = Ground::new();
    for user in User::ALL {
        let before = clocks(&ground, user, &[]);
        let ahead = clocks(&ground, user, &["--boottime", "1000000", "--monotonic", "5000000"]);
        let after = clocks(&ground, user, &[]);
        for (clock, offset) in [("boottime", 1_000_000.0), ("monotonic", 5_000_000.0)] {
            let range = before[clock] + offset..=after[clock] + offset;
            assert!(range.contains(&ahead[clock]), "{user:?} {clock}: {} in {range:?}", ahead[clock]);
        }
    }
}

#[test]
fn uptime_follows_the_boot_time_and_a_time_namespace_is_new() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(user, &["--boottime", "100000000"], "host", &format!("cut -d. -f1 /proc/uptime; {SHOW}"));
        let (uptime, shown) = ended.text().split_once('\n').unwrap();
        assert!(uptime.parse::<u64>().unwrap() >= 100_000_000, "{user:?}: {uptime}");
        assert!(new_kinds(shown).contains(&"time"), "{user:?}");
    }
}

#[test]
fn a_clock_cannot_go_below_zero_and_the_error_says_so() {
    let ground = Ground::new();
    for user in User::ALL {
        let refused = ground.sh(user, &["--boottime", "-1000000000"], "host", "true");
        assert!(refused.refusal().contains("time namespace"), "{user:?}: {refused:?}");
    }
}

#[test]
fn system_v_and_posix_objects_of_the_host_are_not_seen() {
    let ground = Ground::new();
    let made = run(std::process::Command::new("ipcmk").args(["-Q"]));
    let id = made.text().rsplit(' ').next().unwrap().to_owned();
    for user in User::ALL {
        let own = ground.sh(user, &[], "host", "grep -c . /proc/sysvipc/msg").text().to_owned();
        let shared =
            ground.sh(user, &["--share", "ipc"], "host", &format!("grep -cw {id} /proc/sysvipc/msg")).text().to_owned();
        assert_eq!((own.as_str(), shared.as_str()), ("1", "1"), "{user:?}: only the heading, and the host's queue");
    }
    assert_eq!(run(std::process::Command::new("ipcrm").args(["-q", &id])).status, 0);
}
