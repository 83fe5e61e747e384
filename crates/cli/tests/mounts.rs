//! `-v`, `--mount`, `--tmpfs`, and what becomes of writes to the root.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Ground, User, run};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_directory_of_the_host_is_shown_and_written() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("data-{user:?}"), user);
        fs::write(dir.join("theirs"), "outside\n").unwrap();
        let ended = ground.sh(
            user,
            &["-v", &format!("{}:/mnt/data", dir.display())],
            "host",
            "cat /mnt/data/theirs; echo in > /mnt/data/ours",
        );
        assert_eq!(ended.text(), "outside", "{user:?}");
        assert_eq!(fs::read_to_string(dir.join("ours")).unwrap(), "in\n");
    }
}

#[test]
fn a_read_only_mount_refuses_writes() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("data-{user:?}"), user);
        let source = dir.display();
        for options in [
            ["-v".to_owned(), format!("{source}:/mnt:ro")],
            ["--mount".to_owned(), format!("type=bind,source={source},target=/mnt,readonly")],
        ] {
            let ended = ground.sh(user, &[&options[0], &options[1]], "host", "touch /mnt/x 2>&1");
            assert!(ended.status != 0 && ended.stdout.contains("Read-only"), "{user:?}: {ended:?}");
        }
        assert!(names(&dir).is_empty());
    }
}

#[test]
fn a_read_only_mount_covers_what_is_mounted_below_it() {
    let ground = Ground::new();
    let dir = ground.directory("data", User::Root);
    ground.directory("data/below", User::Root);
    let script = "mount -t tmpfs tmpfs \"$1/below\" && exec \"$2\" run -v \"$1:/mnt:ro\" host sh -c 'touch /mnt/below/x 2>/dev/null || echo refused'";
    let mut command = ground.command("unshare", User::Root);
    let ended = run(command.args(["-m", "sh", "-c", script, "sh"]).arg(&dir).arg(ground.path("izba")));
    assert_eq!(ended.text(), "refused");
}

#[test]
fn a_single_file_is_shown() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("data-{user:?}"), user);
        ground.file(dir.join("file"), user, "content\n");
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        let ended = ground.sh(
            user,
            &["-v", &format!("{}:/etc/new/file", dir.join("file").display())],
            &root,
            "cat /etc/new/file; echo more >> /etc/new/file",
        );
        assert_eq!(ended.text(), "content", "{user:?}");
        assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "content\nmore\n");
        assert_eq!(fs::metadata(root.join("etc/new/file")).unwrap().len(), 0, "the mount point was made and stays");
    }
}

#[test]
fn the_working_directory_and_home_can_be_named() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("data-{user:?}"), user);
        fs::write(dir.join("file"), "here\n").unwrap();
        for source in [".", "~", "../data-"] {
            let source = if source == "../data-" { format!("../data-{user:?}") } else { source.to_owned() };
            let mut izba = ground.izba(user);
            izba.current_dir(&dir).env("HOME", &dir);
            let ended = run(izba.args([
                "run",
                "-v",
                &format!("{source}:/work"),
                "-w",
                "/work",
                "host",
                "sh",
                "-c",
                "pwd; cat file",
            ]));
            assert_eq!(ended.text(), "/work\nhere", "{user:?} {source}");
        }
    }
}

#[test]
fn a_source_that_does_not_exist_is_an_error_with_a_remedy() {
    let ground = Ground::new();
    for user in User::ALL {
        let missing = ground.path("missing");
        let refused = ground.sh(user, &["-v", &format!("{}:/mnt", missing.display())], "host", "true");
        assert!(refused.refusal().contains("try: mkdir -p"), "{user:?}: {refused:?}");
        assert!(!missing.exists());
    }
}

#[test]
fn a_colon_and_a_comma_in_a_path_can_be_written() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("a:b,c {user:?}"), user);
        fs::write(dir.join("file"), "odd\n").unwrap();
        let shown = dir.display().to_string();
        let volume = format!("{}:/mnt", shown.replace(':', "\\:"));
        assert_eq!(ground.sh(user, &["-v", &volume], "host", "cat /mnt/file").text(), "odd", "{user:?}");
        let mount = format!("source={},target=/mnt", shown.replace(',', "\\,"));
        assert_eq!(ground.sh(user, &["--mount", &mount], "host", "cat /mnt/file").text(), "odd", "{user:?}");
    }
}

#[test]
fn mounts_of_every_type_are_made() {
    let ground = Ground::new();
    for user in User::ALL {
        let (lower, upper, work) = (
            ground.directory(&format!("lower-{user:?}"), user),
            ground.directory(&format!("upper-{user:?}"), user),
            ground.directory(&format!("work-{user:?}"), user),
        );
        fs::write(lower.join("file"), "below\n").unwrap();
        let overlay = format!(
            "type=overlay,target=/mnt/over,lowerdir={},upperdir={},workdir={},userxattr",
            lower.display(),
            upper.display(),
            work.display()
        );
        let options = ["--mount", "type=tmpfs,target=/mnt/tmp,size=1m,mode=0700", "--mount", &overlay];
        let ended = ground.sh(user, &options, "host", "cat /mnt/over/file; echo new > /mnt/over/made; stat -c %a /mnt/tmp; stat -f -c %T /mnt/tmp; df -k --output=size /mnt/tmp | tail -1 | xargs");
        assert_eq!(ended.text(), "below\n700\ntmpfs\n1024", "{user:?}");
        assert_eq!(fs::read_to_string(upper.join("made")).unwrap(), "new\n");
        run(ground.command("rm", User::Root).arg("-rf").arg(&work));
    }
}

#[test]
fn a_tmpfs_has_its_size_mode_and_flags() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "stat -c %a /mnt/t; cp /bin/true /mnt/t/; /mnt/t/true 2>/dev/null || echo noexec; \
                      head -c 2000000 /dev/zero > /mnt/t/big 2>/dev/null || echo full";
        let ended = ground.sh(user, &["--tmpfs", "/mnt/t:size=1m,mode=0711,noexec"], "host", script);
        assert_eq!(ended.text(), "711\nnoexec\nfull", "{user:?}");
        assert_eq!(
            ground.sh(user, &["--tmpfs", "/mnt/t"], "host", "stat -c %a /mnt/t; touch /mnt/t/x").text(),
            "1777",
            "{user:?}"
        );
    }
}

#[test]
fn mounts_within_mounts_work_in_any_order_of_options() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("data-{user:?}"), user);
        fs::write(dir.join("file"), "deep\n").unwrap();
        let ended = ground.sh(
            user,
            &["-v", &format!("{}:/mnt/a/b/c", dir.display()), "--tmpfs", "/mnt/a"],
            "host",
            "cat /mnt/a/b/c/file; touch /mnt/a/x",
        );
        assert_eq!(ended.text(), "deep", "{user:?}");
    }
}

#[test]
fn writes_to_a_directory_root_stay() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        ground.sh(user, &[], &root, "echo kept > /home/file").text();
        assert_eq!(fs::read_to_string(root.join("home/file")).unwrap(), "kept\n");
    }
}

#[test]
fn ephemeral_writes_are_seen_inside_and_gone_afterwards() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for option in ["--ephemeral", "--ephemeral=disk", "--ephemeral=64m"] {
            let script = "echo new > /home/file; echo x >> /etc/passwd; rm /bin/ls; cat /home/file; tail -1 /etc/passwd; [ -e /bin/ls ] || echo gone";
            assert_eq!(ground.sh(user, &[option], &root, script).text(), "new\nx\ngone", "{user:?} {option}");
            assert!(!root.join("home/file").exists() && root.join("bin/ls").is_symlink(), "{user:?} {option}");
            assert!(fs::read_to_string(root.join("etc/passwd")).unwrap().ends_with("/bin/sh\n"), "{user:?} {option}");
        }
        let scratch = ground.path(&format!("cache-{}", user.name())).join("scratch");
        assert!(names(&scratch).is_empty(), "{user:?}");
    }
}

#[test]
fn ephemeral_writes_have_the_limit_that_was_asked_for() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let ended = ground.sh(user, &["--ephemeral=1m"], &root, "head -c 500000 /dev/zero > /home/a && echo fits");
        let too_much = ground.sh(user, &["--ephemeral=1m"], &root, "dd if=/dev/zero of=/home/b bs=4k count=500");
        assert_eq!(ended.text(), "fits", "{user:?}");
        assert!(too_much.status != 0 && too_much.stderr.contains("No space left"), "{user:?}: {too_much:?}");
    }
}

#[test]
fn a_read_only_root_refuses_writes_but_not_to_its_mounts() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let script = "touch /home/x 2>/dev/null || echo refused; touch /tmp/x /dev/shm/x && echo written";
        assert_eq!(
            ground.sh(user, &["--read-only", "--tmpfs", "/tmp"], &root, script).text(),
            "refused\nwritten",
            "{user:?}"
        );
        assert!(names(&root.join("home")).is_empty());
    }
}

#[test]
fn mount_points_that_a_writable_directory_lacks_are_made_and_stay() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for dir in ["proc", "sys", "dev"] {
            fs::remove_dir(root.join(dir)).unwrap();
        }
        let ended = ground.sh(
            user,
            &["--tmpfs", "/a/b"],
            &root,
            "[ -c /dev/null ] && [ -d /proc/1 ] && [ -d /sys/kernel ] && [ -d /a/b ] && echo all",
        );
        assert_eq!(ended.text(), "all", "{user:?}");
        assert!(["proc", "sys", "dev", "a/b", "etc/hosts"].iter().all(|made| root.join(made).exists()), "{user:?}");
    }
}

#[test]
fn mount_points_that_a_closed_directory_lacks_come_from_an_overlay() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let root = ground.busybox_root(&format!("{user:?}"), User::Root);
        for dir in ["proc", "sys", "dev"] {
            fs::remove_dir(root.join(dir)).unwrap();
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let before = names(&root);
        let script = "[ -c /dev/null ] && [ -d /proc/1 ] && [ -d /a/b ] && cat /etc/hostname; touch /x 2>/dev/null || echo closed";
        assert_eq!(ground.sh(user, &["--tmpfs", "/a/b"], &root, script).text(), "izba\nclosed", "{user:?}");
        assert_eq!(names(&root), before);
        assert!(!root.join("etc/hosts").exists());
    }
}

#[test]
fn mount_points_that_a_read_only_root_lacks_come_from_an_overlay() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        fs::remove_dir(root.join("proc")).unwrap();
        let ended =
            ground.sh(user, &["--read-only"], &root, "cat /proc/1/comm; touch /home/x 2>/dev/null || echo refused");
        assert_eq!(ended.text(), "izba-init\nrefused", "{user:?}");
        assert!(!root.join("proc").exists(), "{user:?}");
    }
}

#[test]
fn no_pivot_uses_chroot_and_says_what_that_means() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let ended = ground.sh(user, &["--no-pivot"], &root, "ls /usr 2>/dev/null; cat /etc/hostname");
        assert_eq!(ended.text(), "izba", "{user:?}");
        assert!(ended.stderr.contains("--no-pivot"), "{ended:?}");
    }
}

/// In a user namespace nobody has rights over directories of unmapped owners, so the files come in a layer of their own.
#[test]
fn what_others_own_can_be_run_with_writes_thrown_away() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    for user in [User::Ranges, User::OneId] {
        let script = "cat /etc/hostname; cat /etc/passwd | wc -l; touch /x && echo made";
        assert_eq!(ground.sh(user, &["--ephemeral"], &root, script).text(), "izba\n2\nmade", "{user:?}");
    }
    assert!(!root.join("x").exists() && !root.join("etc/hostname").exists());
}

/// An overlay shows one file system. What it hides is said, or refused where the kernel refuses it.
#[test]
fn what_an_overlay_hides_is_said() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let script = "mount -t tmpfs none $1/home && shift && exec \"$@\"";
    for user in [User::Root, User::OneId] {
        let mut command = ground.command("/usr/bin/unshare", User::Root);
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]).arg(&root);
        if user != User::Root {
            let (uid, gid, _) = user.account();
            command.args(["setpriv", "--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
        }
        let ended = run(command.arg(ground.path("izba")).args(["run", "--ephemeral"]).arg(&root).arg("true"));
        assert_eq!(ended.status, if user == User::Root { 0 } else { 125 }, "{ended:?}");
        assert!(ended.stderr.contains("root/home"), "{ended:?}");
    }
}
