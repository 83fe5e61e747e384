//! `izba run host`, and what every root has: /proc, /sys and /dev.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;

use support::{Ground, User, run};

#[test]
fn nothing_of_anybodys_and_no_secret_is_visible() {
    let ground = Ground::new();
    let script = "ls -A /root /home /tmp /run /var/tmp /srv /mnt 2>&1 | grep -v '^/.*:$' | grep .; \
                  for file in /etc/shadow /etc/gshadow /etc/shadow- /etc/ssl/private /etc/ssh /etc/sudoers /etc/subuid /var/lib/dpkg; do \
                  [ -e $file ] && echo $file; done; true";
    for user in User::ALL {
        assert_eq!(ground.sh(user, &[], "host", script).text(), "", "{user:?}");
    }
}

#[test]
fn no_private_key_is_anywhere_in_the_root() {
    let ground = Ground::new();
    let script = "find / -xdev -path /proc -prune -o -name '*_key' -print -o -name 'id_*sa' -print -o -name 'id_ed25519' -print; \
                  grep -rlE 'BEGIN ([A-Z]+ )?PRIVATE KEY' /etc 2>/dev/null; true";
    assert_eq!(ground.sh(User::Root, &[], "host", script).text(), "");
}

#[test]
fn system_directories_are_read_only_and_the_rest_is_private() {
    let ground = Ground::new();
    let script = "for dir in /usr /usr/bin /etc/alternatives; do touch $dir/x 2>/dev/null && echo $dir; done; \
                  for dir in /tmp /run /var/tmp /root /home; do echo mine > $dir/izba-made && cat $dir/izba-made; done";
    for user in User::ALL {
        assert_eq!(ground.sh(user, &[], "host", script).text(), "mine\nmine\nmine\nmine\nmine", "{user:?}");
        for dir in ["/tmp", "/run", "/var/tmp", "/root", "/home"] {
            assert!(!std::path::Path::new(dir).join("izba-made").exists());
        }
    }
}

#[test]
fn system_directories_stay_read_only_for_a_program_with_all_capabilities() {
    let ground = Ground::new();
    let script = "mount -o remount,rw,bind /usr 2>/dev/null; touch /usr/izba-made 2>/dev/null && echo written; true";
    for user in [User::Ranges, User::OneId] {
        assert_eq!(ground.sh(user, &["--cap-add", "ALL"], "host", script).text(), "", "{user:?}");
    }
}

#[test]
fn the_hosts_programs_and_users_are_there() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(
            user,
            &[],
            "host",
            "for name in python3 gcc ls; do command -v $name; done; id -un; getent passwd daemon | cut -d: -f1",
        );
        assert!(ended.text().ends_with("gcc\n/usr/bin/ls\nroot\ndaemon"), "{user:?}: {ended:?}");
    }
}

#[test]
fn a_directory_called_host_is_meant_by_its_path() {
    let ground = Ground::new();
    for user in User::ALL {
        let name = format!("in-{user:?}");
        ground.busybox_root(&format!("{name}/host"), user);
        let izba =
            |root| run(ground.izba(user).current_dir(ground.path(&name)).args(["run", root, "sh", "-c", "ls /"]));
        assert!(!izba("./host").text().contains("usr") && izba("host").text().contains("usr"), "{user:?}");
    }
}

#[test]
fn kernel_paths_that_leak_or_harm_are_hidden_or_read_only() {
    let ground = Ground::new();
    let script = "for file in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats; do \
                    [ -e $file ] && head -c1 $file | grep -q . && echo readable $file; done; \
                  for dir in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do \
                    [ -d $dir ] && ls -A $dir | grep . ; done; \
                  for file in /proc/sys/kernel/panic /proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger /proc/irq/default_smp_affinity; do \
                    [ -e $file ] && (: > $file) 2>/dev/null && echo writable $file; done; \
                  for dir in /sys /sys/fs/cgroup /sys/kernel; do mkdir $dir/izba-made 2>/dev/null && echo writable $dir; done; true";
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for root in [root.as_os_str(), "host".as_ref()] {
            for options in [
                &[][..],
                &["--share", "net"],
                &["--share", "pid"],
                &["--share", "pid", "--share", "net", "--share", "ipc"],
            ] {
                assert_eq!(ground.sh(user, options, root, script).text(), "", "{user:?} {options:?}");
            }
        }
    }
}

#[test]
fn proc_shows_only_the_own_processes() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let ended = ground.sh(user, &[], &root, "cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l");
        let lines: Vec<&str> = ended.text().lines().collect();
        assert_eq!(lines[0], "izba-init", "{user:?}");
        assert!(lines[1].trim().parse::<u32>().unwrap() <= 4, "{user:?}: {lines:?}");
    }
}

#[test]
fn the_usual_devices_work() {
    let ground = Ground::new();
    let script = "echo x > /dev/null && head -c3 /dev/zero | od -An -tx1; \
                  (echo x > /dev/full) 2>/dev/null || echo full; \
                  for random in random urandom; do head -c16 /dev/$random | wc -c; done; \
                  echo in | cat /dev/stdin; (echo out > /dev/stdout) | cat; echo fd | cat /dev/fd/0; readlink /dev/ptmx; ls -A /dev | xargs";
    let all = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for root in [root.as_os_str(), "host".as_ref()] {
            let ended = ground.sh(user, &[], root, script);
            let words: Vec<&str> = ended.text().split_whitespace().collect();
            assert_eq!(words[..9], ["00", "00", "00", "full", "16", "16", "in", "out", "fd"], "{user:?}");
            assert_eq!(words[9..].join(" "), format!("pts/ptmx {all}"), "{user:?}");
        }
    }
}

#[test]
fn shared_memory_queues_and_terminals_can_be_made() {
    let ground = Ground::new();
    let script = "import os, ctypes, pty; from multiprocessing import shared_memory; \
                  memory = shared_memory.SharedMemory(create=True, size=4096); memory.close(); memory.unlink(); \
                  libc = ctypes.CDLL(None, use_errno=True); queue = libc.mq_open(b'/izba', os.O_CREAT | os.O_RDWR, 0o600, None); \
                  master, slave = pty.openpty(); print(os.listdir('/dev/mqueue'), queue >= 0, os.ttyname(slave))";
    for user in User::ALL {
        let ended = run(ground.izba(user).args(["run", "host", "python3", "-c", script]));
        assert_eq!(ended.text(), "['izba'] True /dev/pts/0", "{user:?}");
    }
}

#[test]
fn device_files_of_a_root_directory_cannot_be_opened() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let node = root.join("node");
    assert_eq!(run(std::process::Command::new("mknod").arg(&node).args(["c", "1", "3"])).status, 0);
    fs::set_permissions(&node, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    for user in User::ALL.into_iter().filter(|&user| user == User::Root) {
        for options in [&[][..], &["--ephemeral"], &["--read-only"], &["--userns"]] {
            let ended = ground.sh(user, options, &root, "(echo x > /node) 2>/dev/null || echo refused");
            assert_eq!(ended.text(), "refused", "{user:?} {options:?}");
        }
    }
}

#[test]
fn no_device_can_be_made_and_used() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "for dir in /tmp /dev; do mknod $dir/disk b 254 0 2>/dev/null && head -c1 $dir/disk | grep -q . && echo opened; done; true";
        for options in [&[][..], &["--cap-add", "MKNOD"]] {
            let ended = ground.sh(user, options, "host", script);
            assert_eq!(ended.text(), "", "{user:?} {options:?}");
        }
    }
}

#[test]
fn propagation_is_private_and_the_old_root_is_gone() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let ended = ground.sh(
            user,
            &[],
            &root,
            "grep -c -e shared: -e master: /proc/self/mountinfo; cut -d' ' -f5 /proc/self/mountinfo | grep -c '^/$'",
        );
        assert_eq!(ended.stdout.trim(), "0\n1", "{user:?}");
    }
}
