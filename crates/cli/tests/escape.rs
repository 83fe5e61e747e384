//! What a program inside may try, one test for each of the attacks that taught the field: nothing of the host, of izba or
//! of its caller is reached.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use support::{Ended, Ground, User, run};

/// Runs a Python program with the host's programs.
fn python(ground: &Ground, user: User, options: &[&str], script: &str) -> Ended {
    run(ground.izba(user).arg("run").args(options).args(["host", "/usr/bin/python3", "-c", script]))
}

fn identity(path: &Path) -> (u64, u32, u32, i64, u64) {
    let meta = fs::metadata(path).unwrap();
    let mut content = DefaultHasher::new();
    fs::read(path).unwrap().hash(&mut content);
    (content.finish(), meta.mode(), meta.uid(), meta.mtime_nsec(), meta.len())
}

/// CVE-2019-5736.
#[test]
fn our_own_binary_stays_what_it_is() {
    let ground = Ground::new();
    let before = identity(&ground.path("izba"));
    for user in [User::Root, User::OneId] {
        let name = format!("root-{user:?}");
        let root = ground.busybox_root(&name, user);
        fs::write(root.join("evil"), "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(root.join("evil"), fs::Permissions::from_mode(0o755)).unwrap();
        for program in ["/proc/self/exe", "/evil"] {
            let ended = run(ground.izba(user).arg("run").arg(&root).arg(program));
            assert_ne!(ended.status, 0, "{ended:?}");
        }
        let attack = "for exe in /proc/1/exe /proc/self/exe /proc/[0-9]*/exe; do \
            case $(readlink $exe) in */izba) echo seen $exe;; esac; \
            (echo harm >> $exe) 2>/dev/null && echo written $exe; chmod 777 $exe 2>/dev/null && [ $exe = /proc/1/exe ] && echo changed; done; true";
        let ended = run(ground.izba(user).arg("run").arg(&root).args(["sh", "-c", attack]));
        assert_eq!((ended.status, ended.stdout.as_str()), (0, ""), "{ended:?}");
        assert_eq!(identity(&ground.path("izba")), before, "{user:?}");
    }
}

/// CVE-2019-5736 once more: who is inside already opens /proc/PID/exe of a newcomer that executes our binary, and has the host's
/// file in hand: as root, fchmod(2) is enough.
#[test]
fn our_own_binary_is_out_of_reach_for_who_catches_it_running() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let before = identity(&ground.path("izba"));
    fs::write(root.join("evil"), "#!/proc/self/exe run\n").unwrap();
    fs::set_permissions(root.join("evil"), fs::Permissions::from_mode(0o755)).unwrap();
    let attack = "touch /ready; while :; do for exe in /proc/[0-9]*/exe; do chmod 777 $exe 2>/dev/null; done; done";
    let mut attacker = ground.izba(User::Root).arg("run").arg(&root).args(["sh", "-c", attack]).spawn().unwrap();
    ground.wait_for("the attacker is ready", || root.join("ready").exists());
    let init = ground.processes().into_iter().find(|pid| comm(*pid) == "izba-init").unwrap();
    for _ in 0..20 {
        let join = format!("pid={init}");
        let ended = run(ground.izba(User::Root).args(["run", "--join", &join]).arg(&root).arg("/evil"));
        assert_ne!(ended.status, 0, "{ended:?}");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&attacker), rustix::process::Signal::TERM).unwrap();
    assert_eq!(attacker.wait().unwrap().code(), Some(143));
    assert_eq!(identity(&ground.path("izba")), before);
}

/// CVE-2024-21626.
#[test]
fn only_the_standard_streams_arrive() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let izba = ground.izba(User::Root);
    let start = |arguments: &[&str]| {
        let mut command = ground.command("/bin/bash", User::Root);
        command.arg("-c").arg("for n in $(seq 10 209); do eval \"exec $n</\"; done; exec \"$@\"").arg("bash");
        command.arg(izba.get_program()).arg("run").args(arguments);
        command
    };
    let root = root.to_str().unwrap();
    let list = "for fd in /proc/self/fd/*; do echo ${fd##*/}; done";
    let ended = run(&mut start(&[root, "sh", "-c", list]));
    let arrived: Vec<&str> = ended.text().lines().collect();
    // The shell's glob has the directory open itself.
    assert_eq!(arrived, ["0", "1", "2", "3"]);
    let ended = run(&mut start(&["--fd", "50", root, "sh", "-c", list]));
    assert!(ended.text().lines().any(|fd| fd == "50") && ended.text().lines().count() <= 5, "{ended:?}");
    for number in [3, 4, 5, 6, 7, 8, 9, 10, 50, 209] {
        let ended = run(&mut start(&["-w", &format!("/proc/self/fd/{number}"), root, "pwd"]));
        assert_eq!((ended.status, ended.stdout.as_str()), (125, ""), "{number}: {ended:?}");
    }
    let ended = run(&mut start(&["-w", "/proc/self/cwd", root, "pwd"]));
    assert_eq!(ended.status, 125, "{ended:?}");
}

/// CVE-2017-5226, CVE-2019-10063: also with a request whose upper half isn't zero, which the kernel cuts off.
#[test]
fn no_input_is_pushed_into_the_callers_terminal() {
    let inside = "import ctypes,sys\n\
        libc=ctypes.CDLL(None,use_errno=True)\n\
        for fd in (0,1,2):\n\
        \x20for request in (0x5412,0x541C,0x100005412,0x10000541C):\n\
        \x20 for text in (b'x',b'\\x03',b'\\x02'):\n\
        \x20  if libc.syscall(16,fd,ctypes.c_ulong(request),text)==0: print('pushed',fd,hex(request),flush=True)\n\
        try:\n\
        \x20open('/dev/tty'); print('controlling',flush=True)\n\
        except OSError: pass\n\
        print('tried',flush=True)\n";
    // The caller's side: a session of its own on a new terminal, whose input is looked at afterwards.
    let outside = "import os,pty,sys,fcntl,termios,struct,select\n\
        pid,master=pty.fork()\n\
        if pid==0:\n\
        \x20os.execv(sys.argv[1],sys.argv[1:])\n\
        seen=b''\n\
        while True:\n\
        \x20try: part=os.read(master,65536)\n\
        \x20except OSError: break\n\
        \x20if not part: break\n\
        \x20seen+=part\n\
        _,status=os.waitpid(pid,0)\n\
        print(seen.decode(),os.waitstatus_to_exitcode(status))\n";
    let ground = Ground::new();
    for user in [User::Root, User::OneId] {
        let izba = ground.izba(user);
        let mut command = ground.command("/usr/bin/python3", user);
        command.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.args(["-c", outside]).arg(izba.get_program()).args([
            "run",
            "--no-tty",
            "host",
            "/usr/bin/python3",
            "-c",
            inside,
        ]);
        let ended = run(&mut command);
        assert!(ended.text().contains("tried") && ended.text().ends_with(" 0"), "{ended:?}");
        assert!(!ended.stdout.contains("pushed") && !ended.stdout.contains("controlling"), "{user:?}: {ended:?}");
    }
}

/// CVE-2016-9962. What init shows of itself is a name.
#[test]
fn init_can_neither_be_traced_nor_read() {
    let script = "import ctypes,os\n\
        libc=ctypes.CDLL(None,use_errno=True)\n\
        assert open('/proc/1/comm').read()=='izba-init\\n'\n\
        for request in (16,0x4206):\n\
        \x20if libc.ptrace(request,1,0,0)==0: print('traced',request)\n\
        for name in ('mem','environ','maps','auxv','stack','syscall','io'):\n\
        \x20for mode in ('rb','r+b'):\n\
        \x20 try:\n\
        \x20  with open('/proc/1/'+name,mode) as file: file.read(1) and print('read',name)\n\
        \x20 except OSError: pass\n\
        for name in ('exe','cwd','root','fd/0','ns/mnt'):\n\
        \x20try: print('followed',name,os.readlink('/proc/1/'+name))\n\
        \x20except OSError: pass\n\
        numbers=[]\n\
        try: numbers=os.listdir('/proc/1/fd')\n\
        except OSError: pass\n\
        for number in numbers:\n\
        \x20for look in (os.readlink,lambda path: os.open(path,os.O_RDONLY|os.O_NONBLOCK)):\n\
        \x20 try: print('reached',number,look('/proc/1/fd/'+number))\n\
        \x20 except OSError: pass\n\
        print('tried')\n";
    let ground = Ground::new();
    for user in User::ALL {
        let ended = python(&ground, user, &[], script);
        assert_eq!(ended.text(), "tried", "{user:?}: {ended:?}");
    }
}

#[test]
fn what_izba_was_told_is_not_shown_inside() {
    let ground = Ground::new();
    for user in [User::Root, User::OneId] {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        let script = "tr '\\0' '\\n' < /proc/1/cmdline; cat /proc/1/comm; cat /proc/1/environ 2>/dev/null; true";
        let mut command = ground.izba(user);
        command.env("IZBA_SECRET", "outer-secret").args(["run", "-e", "TOKEN=inner-secret"]).arg(&root);
        let ended = run(command.args(["sh", "-c", script]));
        let lines: Vec<&str> = ended.text().lines().filter(|line| !line.trim_matches('\0').is_empty()).collect();
        assert_eq!(lines, ["izba-init", "izba-init"], "{user:?}");
    }
}

/// Only in a PID namespace of its own: the script looks that it isn't the machine's PID 1 that it would hit.
#[test]
fn init_ignores_what_would_end_or_stop_it() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        let script =
            "[ \"$(cat /proc/1/comm)\" = izba-init ] || exit 9; kill -KILL 1; kill -STOP 1; true & wait; echo alive";
        let ended = run(ground.izba(user).arg("run").arg(&root).args(["sh", "-c", script]));
        assert_eq!(ended.text(), "alive", "{user:?}");
    }
}

/// CVE-2020-15257, and the caller's keys.
#[test]
fn the_session_keyring_is_new() {
    let ask = "import ctypes; print(ctypes.CDLL(None).syscall(250,0,-3,0))";
    let ground = Ground::new();
    for user in [User::Root, User::OneId] {
        let outside = run(ground.command("/usr/bin/python3", user).args(["-c", ask]));
        let first = python(&ground, user, &[], ask);
        let second = python(&ground, user, &[], ask);
        let ids = [outside.text(), first.text(), second.text()];
        assert!(ids.iter().all(|id| id.parse::<i64>().is_ok()), "{ids:?}");
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
        assert!(ids[1].parse::<i64>().unwrap() > 0, "a keyring of its own: {ids:?}");
    }
}

/// An abstract socket would be open to everybody in the network namespace.
#[test]
fn no_socket_of_ours_has_a_name() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    let mut child = ground
        .izba(User::Root)
        .args(["run", "--keep-env", "--share", "net"])
        .arg(&root)
        .args(["sleep", "1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    ground.wait_for("the program runs", || ground.processes().iter().any(|pid| comm(*pid) == "sleep"));
    let named: Vec<String> = fs::read_to_string("/proc/net/unix")
        .unwrap()
        .lines()
        .skip(1)
        .filter(|line| line.split_whitespace().count() > 7)
        .map(String::from)
        .collect();
    let mut looked_at = 0;
    for pid in ground.processes() {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            looked_at += 1;
            let target = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
            if let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
                assert!(!named.iter().any(|line| line.split_whitespace().nth(6) == Some(inode)), "{pid}: {target}");
            }
        }
    }
    assert!(looked_at > 5, "izba, its init and the program have descriptors");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// CVE-2020-5291.
#[test]
fn a_set_user_id_copy_refuses_to_work() {
    let ground = Ground::new();
    let copy = ground.path("set-id");
    for (mode, uid, gid) in [(0o4755, 0, 0), (0o2755, 0, 0)] {
        support::install(ground.path("izba"), &copy);
        std::os::unix::fs::chown(&copy, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        let victim = ground.directory("victim", User::Root);
        let hidden = ["internal-remove", victim.to_str().unwrap()];
        for arguments in [&["run", "host", "id"][..], &["gc"], &["cache", "list"], &["doctor"], &hidden] {
            let ended = run(ground.command(&copy, User::OneId).args(arguments));
            assert_eq!((ended.status, ended.stdout.as_str()), (125, ""), "{mode:o} {arguments:?}: {ended:?}");
            assert!(ended.stderr.contains("set-user-ID"), "{ended:?}");
        }
        assert!(victim.is_dir());
        fs::remove_file(&copy).unwrap();
    }
}

#[test]
fn masks_stay_on() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "cd /; [ -e /proc/keys ] || exit 9; cat /proc/keys | wc -c; umount /proc/keys 2>/dev/null && echo uncovered; \
            umount -l /proc 2>/dev/null && echo uncovered; \
            unshare -Urm sh -c 'umount /proc/keys || umount -l /proc/keys || umount -l /proc/sys' 2>/dev/null && echo uncovered in a nested one; \
            unshare -Urm sh -c 'mount -o remount,bind,rw /proc/sys' 2>/dev/null && echo writable; \
            unshare -Urpfm sh -c 'mount -t proc proc /mnt && cat /mnt/keys | wc -c' 2>/dev/null; echo tried";
        let ended = run(ground.izba(user).args(["run", "host", "sh", "-c", script]));
        assert_eq!(ended.text(), "0\ntried", "{user:?}: {ended:?}");
    }
}

#[test]
fn device_files_of_a_root_are_dead() {
    let ground = Ground::new();
    for (user, options) in
        [(User::Root, &[][..]), (User::Root, &["--userns"]), (User::Root, &["--ephemeral"]), (User::OneId, &[])]
    {
        let name = format!("root-{user:?}-{}", options.len() + options.concat().len());
        let root = ground.busybox_root(&name, user);
        mknodat(CWD, root.join("node"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 5)).unwrap();
        fs::set_permissions(root.join("node"), fs::Permissions::from_mode(0o666)).unwrap();
        let script = "[ -c /node ] || exit 9; head -c 1 /node >/dev/null 2>&1 && echo open; mknod /tmp/own c 1 5 2>/dev/null && head -c 1 /tmp/own && echo made; \
            head -c 1 /dev/zero | wc -c";
        let ended = run(ground.izba(user).arg("run").args(options).arg(&root).args(["sh", "-c", script]));
        assert_eq!(ended.text(), "1", "{user:?} {options:?}: {ended:?}");
    }
}

/// With the rights of root inside, which reads whatever is there: what the host keeps from its users must not be there.
#[test]
fn the_hosts_root_shows_no_secret() {
    let ground = Ground::new();
    let script = "find / -xdev -type f -readable -print0 2>/dev/null; \
        find /usr /etc /bin /sbin /lib /lib64 /opt /var /home /root /srv /tmp /run /boot -type f -readable -print0 2>/dev/null; true";
    for user in [User::Root, User::OneId] {
        let ended = run(ground.izba(user).args(["run", "host", "sh", "-c", script]));
        let shown: Vec<&Path> = ended.text().split('\0').filter(|path| !path.is_empty()).map(Path::new).collect();
        assert!(shown.len() > 1000, "{}", shown.len());
        let secret: Vec<&&Path> = shown.iter().filter(|path| is_secret(path)).collect();
        assert!(secret.is_empty(), "{user:?}: {secret:?}");
        for path in ["/etc/shadow", "/etc/gshadow", "/etc/ssh", "/root/.bashrc", "/var/lib/dpkg/status"] {
            assert!(!shown.iter().any(|shown| shown.starts_with(path)), "{path}");
        }
    }
}

/// Does the host keep it from its users? Programs aren't secret, whoever may start them.
fn is_secret(path: &Path) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return false };
    meta.is_file() && meta.mode() & 0o004 == 0 && meta.mode() & 0o111 == 0
}

/// A nested izba is as good a program as any other: it gets no farther than its own walls.
#[test]
fn nothing_of_the_old_root_is_left() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        let script = "cat /proc/self/mountinfo; ls -a /";
        let ended = run(ground.izba(user).arg("run").arg(&root).args(["sh", "-c", script]));
        let host_only = ["/var/lib", "/boot", "izba-ground"];
        let points: Vec<&str> = ended.text().lines().filter_map(|line| line.split(' ').nth(4)).collect();
        assert!(points.contains(&"/proc"), "{ended:?}");
        assert!(!points.iter().any(|point| host_only.iter().any(|host| point.contains(host))), "{user:?}: {points:?}");
        let escape = "mkdir /tmp/j; cd /; chroot /tmp/j 2>/dev/null; cd ../../../../..; ls -a .";
        let ended = run(ground.izba(user).arg("run").arg(&root).args(["sh", "-c", escape]));
        assert!(!ended.text().contains("vmlinuz") && ended.text().lines().any(|line| line == "bin"), "{ended:?}");
    }
}

/// The set of sets: what /proc/self/status says must be what was asked for.
#[test]
fn rights_are_what_the_model_says() {
    let ground = Ground::new();
    let ask = "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Uid|Gid|Groups):' /proc/self/status";
    const SMALL: u64 = 0x8004_05fb;
    const NOTHING: u64 = 0;
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        for (options, eff, bnd, nnp) in [
            (&[][..], SMALL, SMALL, 1),
            (&["--cap-drop", "ALL"], NOTHING, NOTHING, 1),
            (&["--cap-add", "NET_RAW"], SMALL | 1 << 13, SMALL | 1 << 13, 1),
            (&["--cap-drop", "CHOWN"], SMALL & !1, SMALL & !1, 1),
            (&["--new-privs"], SMALL, SMALL, 0),
        ] {
            let mut command: Command = ground.izba(user);
            let ended = run(command.arg("run").args(options).arg(&root).args(["sh", "-c", ask]));
            let value = |key: &str| {
                let line = ended.text().lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
                u64::from_str_radix(line.split_whitespace().next().unwrap_or("0"), 16).unwrap()
            };
            let found = (
                value("CapInh:"),
                value("CapPrm:"),
                value("CapEff:"),
                value("CapBnd:"),
                value("CapAmb:"),
                value("NoNewPrivs:"),
            );
            assert_eq!(found, (0, eff, eff, bnd, 0, nnp), "{user:?} {options:?}");
        }
    }
}
