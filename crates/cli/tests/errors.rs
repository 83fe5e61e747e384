//! Bad input: one clear error, status 125, nothing left. And `izba doctor`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;

use serde_json::Value;
use support::{Ground, User, run};

/// Options with a value that can't be, and a word that the error must have.
const BAD: &[(&[&str], &str)] = &[
    (&["--no-such-option"], "--no-such-option"),
    (&["-v", "/usr"], "/usr"),
    (&["-v", ":/x"], "names nothing"),
    (&["-v", "/usr:relative"], "relative"),
    (&["-v", "/usr:/"], "root itself"),
    (&["-v", "/usr:/a/../b"], ".."),
    (&["-v", "/usr:/x:nonsense"], "nonsense"),
    (&["-v", ""], "volume"),
    (&["-v", "/usr:/x", "--tmpfs", "/x"], "/x"),
    (&["--mount", "type=bind,target=/x"], "source"),
    (&["--mount", "type=tmpfs"], "target"),
    (&["--mount", "type=nonsense,target=/x"], "nonsense"),
    (&["--mount", "type=volume,source=a,target=/x"], "named volumes"),
    (&["--mount", "type=bind,source=/usr,target=/x,nonsense=1"], "nonsense"),
    (&["--mount", "type=tmpfs,target=/x,size=many"], "many"),
    (&["--mount", "target=/x,target=/y,source=/usr"], "twice"),
    (&["--mount", "type=overlay,target=/x"], "overlay"),
    (&["--tmpfs", "relative"], "relative"),
    (&["--tmpfs", "/x:size=-1"], "size"),
    (&["--tmpfs", "/x:nonsense"], "nonsense"),
    (&["--ephemeral=lots"], "lots"),
    (&["--ephemeral", "--read-only"], "--read-only"),
    (&["--hostname", "no spaces"], "host name"),
    (&["--hostname", ""], "host name"),
    (&["--hostname", "-x"], "-x"),
    (&["--domainname", "a/b"], "domain name"),
    (&["--share", "nonsense"], "nonsense"),
    (&["--join", "net=/nonexistent"], "/nonexistent"),
    (&["--boottime", "soon"], "soon"),
    (&["--monotonic", "99999999999999999999"], "99999999999999999999"),
    (&["--sysctl", "kernel.panic=1"], "kernel.panic"),
    (&["--sysctl", "net.ipv4.ip_forward"], "ip_forward"),
    (&["--user", "no:such:thing"], "no:such:thing"),
    (&["--uidmap", "1:2"], "1:2"),
    (&["--gidmap", "x:y:z"], "x:y:z"),
    (&["-e", "=value"], "names no variable"),
    (&["--env-file", "/nonexistent/env"], "/nonexistent/env"),
    (&["-w", "relative"], "relative"),
    (&["--fd", "2"], "2"),
    (&["--fd", "999"], "999"),
    (&["--fd", "x"], "x"),
    (&["--ulimit", "nonsense=1"], "nonsense"),
    (&["--ulimit", "nofile"], "nofile"),
    (&["--ulimit", "nofile=5:1"], "nofile"),
    (&["--ulimit", "nofile=many"], "many"),
    (&["--oom-score-adj", "1001"], "1001"),
    (&["--cap-add", "NONSENSE"], "NONSENSE"),
    (&["--cap-drop", ""], "cap-drop"),
    (&["--cap-add", "ALL", "--cap-drop", "ALL"], "contradict"),
    (&["--dry-run", "--explain"], "--explain"),
    (&["--format", "yaml", "--dry-run"], "yaml"),
    (&["--repair"], "--repair"),
];

#[test]
fn every_bad_option_is_one_clear_error_and_nothing_is_left() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let wrong = BAD.iter().filter_map(|(options, word)| {
            let ended = run(ground.izba(user).arg("run").args(*options).args(["host", "echo", "ran"]));
            let one_error = ended.stderr.matches("error: ").count() == 1 && ended.stderr.starts_with("error: ");
            let refused = ended.status == 125 && ended.stdout.is_empty() && one_error;
            (!refused || !ended.stderr.contains(word)).then(|| format!("{options:?}: {ended:?}\n"))
        });
        assert_eq!(wrong.collect::<String>(), "", "{user:?}");
        assert!(ground.processes().is_empty() && !root.join("x").exists());
    }
}

#[test]
fn no_root_and_no_verb_are_explained() {
    let ground = Ground::new();
    for arguments in [&["run"][..], &["run", "--hostname", "x"], &["nonsense"], &["cache", "nonsense"]] {
        let ended = run(ground.izba(User::OneId).args(arguments));
        assert!(ended.refusal().starts_with("error: "), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn help_is_no_error() {
    let ground = Ground::new();
    for arguments in [&["--help"][..], &["run", "--help"], &["cache", "--help"], &["--version"]] {
        let ended = run(ground.izba(User::OneId).args(arguments));
        assert!(!ended.text().is_empty() && ended.stderr.is_empty(), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn an_empty_root_is_not_the_working_directory() {
    let ground = Ground::new();
    let refused = run(ground.izba(User::OneId).args(["run", "", "true"]));
    assert!(refused.refusal().contains("empty"), "{refused:?}");
}

#[test]
fn an_empty_directory_is_no_root_and_the_error_names_the_program() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.directory(&format!("{user:?}"), user);
        let ended = run(ground.izba(user).arg("run").arg(&root).arg("ls"));
        assert!(ended.failure(127).contains("ls"), "{user:?}: {ended:?}");
        let ended = run(ground.izba(user).arg("run").arg(&root));
        assert!(ended.failure(127).contains("/bin/sh"), "{user:?}: {ended:?}");
    }
}

#[test]
fn a_directory_that_may_not_be_searched_is_named() {
    let ground = Ground::new();
    let closed = ground.directory("closed", User::Root);
    ground.busybox_root("closed/root", User::Root);
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for user in [User::Ranges, User::OneId] {
        let ended = ground.sh(user, &[], closed.join("root"), "true");
        assert!(ended.refusal().contains("closed"), "{user:?}: {ended:?}");
    }
}

#[test]
fn a_reached_limit_of_namespaces_is_named() {
    let ground = Ground::new();
    // The limit of a user namespace counts for those below it: namespaces(7).
    for (file, word) in [("max_net_namespaces", "max_net_namespaces"), ("max_pid_namespaces", "max_pid_namespaces")] {
        let script = format!("echo 0 > /proc/sys/user/{file}; exec \"$0\" run host true");
        let mut unshare = ground.command("unshare", User::OneId);
        ground.izba(User::OneId);
        let ended = run(unshare.args(["-Ur", "sh", "-c", &script]).arg(ground.path("izba")));
        assert!(ended.refusal().contains(word), "{ended:?}");
    }
}

#[test]
fn output_that_nobody_reads_is_no_panic() {
    let ground = Ground::new();
    let mut shell = ground.command("bash", User::OneId);
    ground.izba(User::OneId);
    let ended = run(shell
        .args(["-c", "\"$0\" run --dry-run host true | true; \"$0\" --help > /dev/full; true"])
        .arg(ground.path("izba")));
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn doctor_says_what_works() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = run(ground.izba(user).arg("doctor"));
        assert!(ended.text().lines().last().unwrap().starts_with("izba run works here"), "{user:?}: {ended:?}");
        let ended = run(ground.izba(user).args(["doctor", "--format", "json"]));
        let report: Value = serde_json::from_str(ended.text()).unwrap();
        assert_eq!(report["runWorks"], true, "{user:?}");
        for finding in report["findings"].as_array().unwrap() {
            let state = finding["state"].as_str().unwrap();
            assert!(["works", "limited", "missing"].contains(&state), "{user:?}: {finding}");
            assert!(state != "missing" || finding["remedy"].is_string(), "{user:?}: a remedy for {finding}");
            assert!(!finding["detail"].as_str().unwrap().is_empty(), "{user:?}: {finding}");
        }
    }
}

#[test]
fn doctor_tells_who_has_subordinate_ids() {
    let ground = Ground::new();
    let state = |user| {
        let report: Value =
            serde_json::from_str(run(ground.izba(user).args(["doctor", "--format", "json"])).text()).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["name"].as_str().unwrap().contains("subordinate")).unwrap()["state"]
            .clone()
    };
    assert_eq!((state(User::Ranges), state(User::OneId) == "works"), ("works".into(), false));
}
