//! A real system: Debian as debootstrap makes it, as a directory and as an archive, with an interactive shell, a build, a
//! Python program and packages. The tree is made once and stays below target/; nothing ever writes to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use support::{Ended, Ground, User, run};

#[test]
fn a_directory_as_root() {
    let debian = Debian::directory(&["--ephemeral"]);
    debian.shell();
    debian.build();
    debian.packages();
}

#[test]
fn a_directory_as_root_with_a_user_namespace() {
    let debian = Debian::directory(&["--ephemeral", "--userns"]);
    debian.shell();
    debian.build();
    debian.packages();
}

#[test]
fn an_archive_as_root() {
    let debian = Debian::archive(User::Root);
    debian.shell();
    debian.build();
    debian.packages();
}

#[test]
fn an_archive_as_a_user_with_subordinate_ids() {
    let debian = Debian::archive(User::Ranges);
    debian.shell();
    debian.build();
    debian.packages();
}

/// apt wants to become the user _apt, which isn't there: one id is mapped.
#[test]
fn an_archive_as_a_user_with_one_id() {
    let debian = Debian::archive(User::OneId);
    debian.shell();
    debian.build();
}

struct Debian {
    ground: Ground,
    user: User,
    options: Vec<String>,
    root: PathBuf,
}

impl Debian {
    fn directory(options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { ground: Ground::new(), user: User::Root, options, root: made().directory.clone() }
    }

    /// The build directory may be closed to other users, so the archive comes to the test's own ground.
    fn archive(user: User) -> Self {
        let ground = Ground::new();
        let root = ground.path("debian.tar.gz");
        fs::copy(&made().archive, &root).unwrap();
        Self { ground, user, options: Vec::new(), root }
    }

    /// With the files of the test's ground at /work.
    fn izba(&self, words: &[&str]) -> Command {
        let mut command = self.ground.izba(self.user);
        command.arg("run").args(&self.options).args(["-v", ".:/work:ro"]).arg(&self.root).args(words);
        command
    }

    fn sh(&self, script: &str) -> Ended {
        run(&mut self.izba(&["sh", "-euc", script]))
    }

    /// A person at a terminal: prompt, Ctrl-C, job control, another size, the end.
    fn shell(&self) {
        let script = self.ground.path("person.py");
        fs::write(&script, PERSON).unwrap();
        let izba = self.izba(&[]);
        let mut person = self.ground.command("/usr/bin/python3", self.user);
        person.arg(&script).arg(izba.get_program()).args(izba.get_args()).env("TERM", "dumb");
        let cache = izba.get_envs().find(|(name, _)| *name == "IZBA_CACHE");
        person.env("IZBA_CACHE", cache.unwrap().1.unwrap());
        let ended = run(&mut person);
        assert_eq!((ended.status, ended.stdout.as_str()), (0, "content\n"), "{}", ended.stderr);
    }

    fn build(&self) {
        fs::write(self.ground.path("hello.c"), "#include <stdio.h>\nint main(void) { puts(\"hello from C\"); }\n")
            .unwrap();
        fs::write(self.ground.path("hello.py"), "import os; print('hello from Python', os.getpid() > 1)\n").unwrap();
        let ended = self.sh("cd; gcc -O2 -Wall -o hello /work/hello.c; ./hello; python3 /work/hello.py");
        assert_eq!(ended.text(), "hello from C\nhello from Python True", "{}", ended.stderr);
    }

    /// With a package that has a user's own file and a script of its own to run.
    fn packages(&self) {
        self.make_package();
        let ended = self.sh("dpkg -i /work/greeting.deb; greeting; stat -c %U:%G /var/games/score; dpkg -r greeting");
        assert!(ended.text().contains("\nset up as root\nhello from a package\ngames:games\n"), "{ended:?}");
        // apt gives dpkg a terminal, hence the carriage return.
        let ended = self.sh("apt-get install --yes /work/greeting.deb; greeting; dpkg --verify greeting");
        assert!(ended.text().ends_with("\nset up as root\r\nhello from a package"), "{ended:?}");
    }

    fn make_package(&self) {
        let tree = self.ground.path("greeting");
        for (path, text, mode) in PACKAGE {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        let mut build = self.ground.command("/usr/bin/dpkg-deb", User::Root);
        run(build.args(["--root-owner-group", "--build"]).arg(&tree).arg(self.ground.path("greeting.deb"))).text();
    }
}

const PACKAGE: &[(&str, &str, u32)] = &[
    (
        "DEBIAN/control",
        "Package: greeting\nVersion: 1.0\nArchitecture: all\nMaintainer: izba <izba@localhost>\nDescription: says hello\n",
        0o644,
    ),
    (
        "DEBIAN/postinst",
        "#!/bin/sh\nset -e\nmkdir -p /var/games\ntouch /var/games/score\nchown games:games /var/games/score\necho set up as $(id -un)\n",
        0o755,
    ),
    ("usr/bin/greeting", "#!/bin/sh\necho hello from a package\n", 0o755),
];

/// Types at a terminal of its own, and waits for what it should see; nothing depends on how long that takes.
const PERSON: &str = r#"
import fcntl, os, pty, select, struct, sys, termios

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
before = termios.tcgetattr(terminal)
seen = b""

def more():
    if not select.select([terminal], [], [], 100)[0]:
        sys.exit("nothing comes after %r" % seen)
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""

def wait_for(text):
    global seen
    while text not in seen:
        got = more()
        if not got:
            sys.exit("no %r in %r" % (text, seen))
        seen += got
    seen = seen.split(text, 1)[1]

def enter(text):
    os.write(terminal, text + b"\n")

# What is typed is echoed, so the answers are written in another way than what is asked.
PROMPT = b"root@izba:/# "
wait_for(PROMPT)
enter(b"echo answer $((6 * 7)) on $(tty)")
wait_for(b"answer 42 on /dev/pts/")
wait_for(PROMPT)

enter(b"sh -c 'echo star''ted; exec cat'")
wait_for(b"started\r\n")
os.write(terminal, b"\x03")
wait_for(PROMPT)
enter(b"echo status $?")
wait_for(b"status 130\r\n")
wait_for(PROMPT)

enter(b"sh -c 'echo star''ted; exec cat'")
wait_for(b"started\r\n")
os.write(terminal, b"\x1a")
wait_for(b"Stopped")
wait_for(PROMPT)
enter(b"kill %1; wait; jobs; echo jo''bless")
wait_for(b"\njobless\r\n")
wait_for(PROMPT)

fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
enter(b"until [ \"$(stty size)\" = '33 101' ]; do :; done; echo resi''zed")
wait_for(b"resized\r\n")
wait_for(PROMPT)

enter(b"exit 3")
while more():
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if status != 3:
    sys.exit("status %r" % status)
if termios.tcgetattr(terminal) != before:
    sys.exit("the terminal isn't as it was")
print("content")
"#;

/// The system that all tests use.
struct Made {
    directory: PathBuf,
    archive: PathBuf,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let suite = suite();
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("debian-{suite}"));
        if !place.exists() {
            make(&place, &suite);
        }
        Made { directory: place.join("root"), archive: place.join("root.tar.gz") }
    })
}

/// Aside first, so that one that was interrupted is never taken for a whole one.
fn make(place: &Path, suite: &str) {
    let aside = place.with_extension(format!("making-{}", std::process::id()));
    fs::create_dir_all(&aside).unwrap();
    let root = aside.join("root");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap
        .args(["--variant=minbase", "--include=gcc,libc6-dev,python3-minimal", suite])
        .arg(&root)
        .arg(mirror(suite));
    finish(&mut debootstrap);
    // Only what dpkg has downloaded goes.
    finish(Command::new("chroot").arg(&root).args(["apt-get", "clean"]));
    let mut tar = Command::new("tar");
    finish(
        tar.arg("-C")
            .arg(&root)
            .args(["--use-compress-program=gzip -1", "-cf"])
            .arg(aside.join("root.tar.gz"))
            .arg("."),
    );
    if fs::rename(&aside, place).is_err() {
        // Another test has been faster.
        fs::remove_dir_all(&aside).unwrap();
    }
}

/// The release that this machine runs: it has the sources and the keys for it.
fn suite() -> String {
    let about = fs::read_to_string("/etc/os-release").unwrap();
    let name = about.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.expect("/etc/os-release has no VERSION_CODENAME: these tests need Debian").to_owned()
}

/// Where this machine gets its own packages from.
fn mirror(suite: &str) -> String {
    let targets = Command::new("apt-get")
        .args(["indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages"])
        .output()
        .unwrap();
    let targets = String::from_utf8(targets.stdout).unwrap();
    let site = targets.lines().find_map(|line| line.strip_prefix(&format!("{suite} ")));
    site.unwrap_or_else(|| panic!("apt has no source for {suite}; run `apt-get update`: {targets}")).to_owned()
}

fn finish(command: &mut Command) {
    let ended = Ended::from(command.stdin(std::process::Stdio::null()).output().unwrap());
    assert_eq!(ended.status, 0, "{command:?}\n{}\n{}", ended.stdout, ended.stderr);
}
