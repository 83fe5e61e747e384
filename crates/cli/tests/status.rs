//! How `izba run` ends: exit statuses, and what is said about a program that can't be executed.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::path::Path;

use support::{Ground, User, install, run};

fn make_executable(path: &Path, content: &[u8]) {
    let plain = path.with_extension("plain");
    fs::write(&plain, content).unwrap();
    install(&plain, path);
    fs::remove_file(&plain).unwrap();
}

#[test]
fn the_programs_own_status_comes_back() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--no-init"], &["--share", "pid"]] {
            for status in [0, 1, 42, 125, 255] {
                let ended = ground.sh(user, options, "host", &format!("exit {status}"));
                assert_eq!(ended.status, status, "{user:?} {options:?}: {ended:?}");
            }
        }
    }
}

#[test]
fn a_signal_is_shown_as_128_and_its_number() {
    let ground = Ground::new();
    for user in User::ALL {
        for options in [&[][..], &["--share", "pid"]] {
            for (name, status) in [("TERM", 143), ("KILL", 137), ("SEGV", 139), ("INT", 130)] {
                let ended = ground.sh(user, options, "host", &format!("ulimit -c 0; kill -{name} $$"));
                assert_eq!(ended.status, status, "{user:?} {options:?} {name}: {ended:?}");
            }
        }
    }
}

#[test]
fn a_program_that_is_not_found_is_127() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for name in ["no-such-program", "/bin/no-such-program", "./no-such-program", "/no/such/dir/program"] {
            let ended = run(ground.izba(user).arg("run").arg(&root).arg(name));
            assert!(
                ended.failure(127).contains("no-such") || ended.stderr.contains(name),
                "{user:?} {name}: {ended:?}"
            );
        }
    }
}

#[test]
fn a_missing_elf_interpreter_is_named() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        install("/usr/bin/true", root.join("bin/dynamic"));
        let ended = run(ground.izba(user).arg("run").arg(&root).arg("dynamic"));
        let text = ended.failure(127);
        assert!(text.contains("/bin/dynamic") && text.contains("/ld-"), "{user:?}: {ended:?}");
    }
}

#[test]
fn a_missing_script_interpreter_is_named() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        make_executable(&root.join("bin/script"), b"#!/usr/bin/no-such-python\nprint(1)\n");
        let ended = run(ground.izba(user).arg("run").arg(&root).arg("script"));
        assert!(ended.failure(127).contains("/usr/bin/no-such-python"), "{user:?}: {ended:?}");
    }
}

#[test]
fn what_cannot_be_executed_is_126_with_its_cause() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        fs::write(root.join("bin/no-bit"), "#!/bin/sh\n").unwrap();
        make_executable(&root.join("bin/nonsense"), b"\x00\x01\x02nonsense");
        make_executable(&root.join("bin/empty"), b"");
        for (name, expected) in [
            ("/bin", "director"),
            ("/bin/no-bit", "execut"),
            ("no-bit", "/bin/no-bit"),
            ("nonsense", "/bin/nonsense"),
            ("empty", "/bin/empty"),
        ] {
            let ended = run(ground.izba(user).arg("run").arg(&root).arg(name));
            assert!(ended.failure(126).contains(expected), "{user:?} {name}: {ended:?}");
        }
    }
}

#[test]
fn a_mount_without_exec_is_the_cause() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("data-{user:?}"), user);
        install("/bin/busybox", dir.join("true"));
        let volume = format!("{}:/mnt:noexec", dir.display());
        let ended = run(ground.izba(user).args(["run", "-v", &volume, "host", "/mnt/true"]));
        assert!(ended.failure(126).contains("noexec"), "{user:?}: {ended:?}");
    }
}

#[test]
fn a_program_of_another_architecture_is_refused_with_its_name() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let mut elf = fs::read("/bin/busybox").unwrap();
    // e_machine: EM_S390, see elf(5).
    elf[18..20].copy_from_slice(&22_u16.to_le_bytes());
    make_executable(&root.join("bin/foreign"), &elf);
    let ended = run(ground.izba(User::Root).arg("run").arg(&root).arg("foreign"));
    assert!(ended.failure(126).contains("/bin/foreign"), "{ended:?}");
}

#[test]
fn arguments_that_are_too_long_are_126() {
    let ground = Ground::new();
    let ended =
        run(ground.izba(User::Root).args(["run", "--ulimit", "stack=65536", "host", "true"]).arg("x".repeat(120_000)));
    assert!(ended.status == 126 || ended.status == 125, "{ended:?}");
    assert!(ended.stderr.starts_with("error: "), "{ended:?}");
}

#[test]
fn izbas_own_failures_are_125_and_one_error() {
    let ground = Ground::new();
    for user in User::ALL {
        for root in ["/nonexistent", "/etc/passwd", "/dev/null", ""] {
            let ended = run(ground.izba(user).args(["run", root, "true"]));
            assert!(ended.refusal().starts_with("error: "), "{user:?} {root}: {ended:?}");
        }
    }
}

#[test]
fn an_empty_program_name_is_not_found() {
    let ground = Ground::new();
    run(ground.izba(User::Root).args(["run", "host", ""])).failure(127);
}

#[test]
fn the_search_follows_the_programs_own_path() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        fs::create_dir(root.join("opt")).unwrap();
        make_executable(&root.join("opt/mine"), b"#!/bin/sh\necho mine\n");
        let mine = run(ground.izba(user).args(["run", "-e", "PATH=/opt:/bin"]).arg(&root).arg("mine"));
        assert_eq!(mine.text(), "mine", "{user:?}");
        let relative = run(ground.izba(user).args(["run", "-e", "PATH=opt:.", "-w", "/opt"]).arg(&root).arg("mine"));
        assert!(relative.failure(127).contains("mine"), "{user:?}: {relative:?}");
        let here = run(ground.izba(user).args(["run", "-w", "/opt"]).arg(&root).arg("./mine"));
        assert_eq!(here.text(), "mine", "{user:?}");
    }
}

#[test]
fn options_end_at_the_root() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = run(ground.izba(user).args(["run", "host", "echo", "--hostname", "x", "-v", "--", "--help"]));
        assert_eq!(ended.text(), "--hostname x -v -- --help", "{user:?}");
        let ended = run(ground.izba(user).args(["run", "host", "--", "echo", "--", "x"]));
        assert_eq!(ended.text(), "-- x", "{user:?}");
        let ended = run(ground.izba(user).args(["run", "--", "host", "echo", "-n"]));
        assert_eq!(ended.text(), "", "{user:?}");
    }
}

#[test]
fn without_a_command_it_is_the_users_shell() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        ground.file(root.join("etc/passwd"), user, "root:x:0:0:root:/root:/bin/ash\nann:x:1000:1000::/home:/bin/sh\n");
        for (asked, shell) in [("root", "ash"), ("ann", "/sh")] {
            let input = ground.path("input");
            fs::write(&input, "echo shell $0\n").unwrap();
            let mut izba = ground.izba(user);
            let ended = run(izba.args(["run", "-u", asked]).arg(&root).stdin(fs::File::open(&input).unwrap()));
            assert!(ended.text().ends_with(shell), "{user:?}: {ended:?}");
        }
    }
}
