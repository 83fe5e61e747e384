//! izba inside izba, and `--repair`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;

use support::{Ended, Ground, MARK, User, run};

/// `izba run OUTER host izba run INNER host sh -c SCRIPT`
fn nested(ground: &Ground, user: User, outer: &[&str], inner: &[&str], script: &str) -> Ended {
    let volume = format!("{}:/mnt/izba", ground.path("izba").display());
    let mut izba = ground.izba(user);
    izba.arg("run").args(MARK).args(outer).args(["-v", &volume, "host", "/mnt/izba", "run"]).args(MARK).args(inner);
    run(izba.args(["host", "sh", "-c", script]))
}

#[test]
fn where_proc_is_masked_the_error_names_the_option_that_works() {
    let ground = Ground::new();
    for user in User::ALL {
        let refused = nested(&ground, user, &[], &[], "true");
        let text = refused.refusal();
        assert!(text.contains("/proc") && text.contains("try: add --share pid"), "{user:?}: {refused:?}");
    }
}

#[test]
fn izba_runs_inside_izba_with_the_option_that_it_names() {
    let ground = Ground::new();
    let show = "id -u; hostname; readlink /proc/self/ns/pid; cat /proc/1/comm";
    for user in User::ALL {
        for outer in [&[][..], &["-u", "1000"], &["--cap-add", "ALL"]] {
            let ended = nested(&ground, user, outer, &["--share", "pid", "--hostname", "inner"], show);
            let lines: Vec<&str> = ended.text().lines().collect();
            assert_eq!((lines[0], lines[1], lines[3]), ("0", "inner", "izba-init"), "{user:?} {outer:?}");
        }
    }
}

#[test]
fn root_with_all_capabilities_makes_a_new_proc_inside() {
    let ground = Ground::new();
    let ended = nested(&ground, User::Root, &["--cap-add", "ALL"], &[], "echo $$; cat /proc/1/comm");
    assert_eq!(ended.text(), "2\nizba-init");
}

#[test]
fn the_masks_hold_for_the_nested_program_too() {
    let ground = Ground::new();
    let script = "(: > /proc/sys/kernel/panic) 2>/dev/null && echo writable; [ -e /proc/kcore ] && head -c1 /proc/kcore; \
                  ls -A /proc/acpi /sys/firmware 2>/dev/null | grep -v '^/' | grep .; true";
    for user in User::ALL {
        let ended = nested(&ground, user, &["--cap-add", "ALL"], &["--share", "pid", "--cap-add", "ALL"], script);
        assert_eq!(ended.text(), "", "{user:?}");
    }
}

#[test]
fn izba_runs_in_a_plain_user_namespace() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let mut unshare = ground.command("unshare", user);
        let izba = ground.izba(user).get_program().to_owned();
        let ended = run(unshare.args(["-Ur"]).arg(izba).args(["run", "host", "sh", "-c", "id -u; echo $$"]));
        assert_eq!(ended.text(), "0\n2", "{user:?}");
    }
}

#[test]
fn everything_of_a_nested_izba_dies_with_the_outer_one() {
    let ground = Ground::new();
    let volume = format!("{}:/mnt/izba", ground.path("izba").display());
    for user in User::ALL {
        let mut izba = ground.izba(user);
        izba.arg("run").args(MARK).args(["-v", &volume, "host", "/mnt/izba", "run"]).args(MARK);
        izba.args(["--share", "pid", "host", "sh", "-c", "echo up; trap '' TERM; setsid sleep 1000 & sleep 1000"]);
        let (mut outer, line) = support::Background::start(&mut izba);
        assert_eq!(line, "up", "{user:?}");
        outer.signal("KILL");
        assert_eq!(outer.status(), 137);
        ground.wait_for("no process is left", || ground.processes().is_empty());
    }
}

#[test]
fn repair_has_the_machines_own_devices_processes_and_names() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let own = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
    let script = "for kind in pid net uts ipc user; do readlink /proc/self/ns/$kind; done; hostname; cat /proc/1/comm; ls /dev | wc -l; touch /etc/repaired; grep CapEff /proc/self/status | cut -f2; grep NoNewPrivs /proc/self/status | cut -f2";
    let ended =
        run(ground.izba(User::Root).arg("run").args(MARK).arg("--repair").arg(&root).args(["sh", "-c", script]));
    let lines: Vec<&str> = ended.text().lines().collect();
    assert_eq!(lines[..5], ["pid", "net", "uts", "ipc", "user"].map(own));
    assert_eq!(lines[5], fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    assert_eq!(lines[6], fs::read_to_string("/proc/1/comm").unwrap().trim());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    assert_eq!((lines[8], lines[9]), (held, "0"));
    assert!(lines[7].trim().parse::<usize>().unwrap() > 14 && root.join("etc/repaired").exists());
    assert!(!root.join("etc/hosts").exists() && !root.join("etc/hostname").exists(), "nothing of izba's is left in it");
}

#[test]
fn repair_is_for_root_and_for_a_directory() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    for user in [User::Ranges, User::OneId] {
        let refused = run(ground.izba(user).args(["run", "--repair"]).arg(&root).arg("true"));
        assert!(refused.refusal().contains("root"), "{user:?}: {refused:?}");
    }
    for (option, value) in [("--share", "net"), ("--uidmap", "0:1:1")] {
        run(ground.izba(User::Root).args(["run", "--repair", option, value]).arg(&root).arg("true")).refusal();
    }
    run(ground.izba(User::Root).args(["run", "--repair", "host", "true"])).refusal();
}
