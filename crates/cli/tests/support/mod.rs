//! The ground that a test stands on: a directory of its own with the binary and what the test makes, a marker by which
//! its processes are known, and at the end a look whether anything is left.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Longer than any test needs, so that a hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(120);

const MARKER: &str = "IZBA_TEST_GROUND";

/// Options of `izba run` that mark the program inside too, whose environment is a clean one.
pub const MARK: [&str; 2] = ["-e", MARKER];

/// Who runs izba.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    Root,
    /// izba-test: an ordinary user with subordinate ids.
    Ranges,
    /// izba-plain: an ordinary user with one id only, and no home.
    OneId,
}

impl User {
    pub const ALL: [Self; 3] = [Self::Root, Self::Ranges, Self::OneId];

    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ranges => "izba-test",
            Self::OneId => "izba-plain",
        }
    }

    /// (uid, gid, home) as /etc/passwd has them. `cargo xtask setup` makes the users.
    pub fn account(self) -> (u32, u32, String) {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with(&format!("{}:", self.name())));
        let line = line.unwrap_or_else(|| panic!("there is no user {}: run `cargo xtask setup`", self.name()));
        let fields: Vec<&str> = line.split(':').collect();
        (fields[2].parse().unwrap(), fields[3].parse().unwrap(), fields[5].to_owned())
    }
}

/// A test's own directory below /tmp, readable by all. Dropping it removes it and checks that no process is left.
pub struct Ground {
    dir: PathBuf,
    marker: String,
}

impl Ground {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("izba-ground-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new("/tmp").join(&name);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let binary = dir.join("izba");
        // The build directory may be closed to other users, and what a test does to its binary is to hurt no other's.
        install(env!("CARGO_BIN_EXE_izba"), &binary);
        Self { dir, marker: format!("{MARKER}={name}") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A directory that this user may write to.
    pub fn directory(&self, name: &str, user: User) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        own(&path, user);
        path
    }

    /// A file that belongs to this user.
    pub fn file(&self, path: impl AsRef<Path>, user: User, content: &str) {
        fs::write(&path, content).unwrap();
        own(path.as_ref(), user);
    }

    /// A small root file system of busybox, which belongs to this user.
    pub fn busybox_root(&self, name: &str, user: User) -> PathBuf {
        let root = self.directory(name, user);
        for dir in ["bin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "home"] {
            self.directory(&format!("{name}/{dir}"), user);
        }
        install("/bin/busybox", root.join("bin/busybox"));
        own(&root.join("bin/busybox"), user);
        let applets = Command::new("/bin/busybox").arg("--list").output().unwrap();
        for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        self.file(root.join("etc/passwd"), user, "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home:/bin/sh\n");
        self.file(root.join("etc/group"), user, "root:x:0:\nann:x:1000:\ngames:x:60:ann\n");
        root
    }

    /// Where the records of this user's runs are, apart from those of other tests.
    pub fn runtime(&self, user: User) -> PathBuf {
        let dir = self.directory(&format!("run-{}", user.name()), user);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    /// izba as this user, in a small environment, with /dev/null as standard input.
    pub fn izba(&self, user: User) -> Command {
        let mut command = self.command(self.dir.join("izba"), user);
        command.env("IZBA_CACHE", self.directory(&format!("cache-{}", user.name()), user));
        command
    }

    /// Any program as this user.
    pub fn command(&self, program: impl AsRef<Path>, user: User) -> Command {
        let mut command = Command::new(program.as_ref());
        let (uid, gid, home) = user.account();
        let (key, value) = self.marker.split_once('=').unwrap();
        command
            .env_clear()
            .env(key, value)
            .env("IZBA_RUNTIME_DIR", self.runtime(user))
            .env("HOME", home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        if let Ok(run) = std::env::var("IZBA_TEST_RUN") {
            command.env("IZBA_TEST_RUN", run);
        }
        command.stdin(Stdio::null()).current_dir(&self.dir);
        if user != User::Root {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// `izba run OPTIONS ROOT sh -c SCRIPT` as this user, to its end.
    pub fn sh(&self, user: User, options: &[&str], root: impl AsRef<OsStr>, script: &str) -> Ended {
        run(self.izba(user).arg("run").args(MARK).args(options).arg(root).args(["sh", "-c", script]))
    }

    /// `izba run --name NAME OPTIONS ROOT sh -c SCRIPT` as this user, in the background, when it has printed its first line: "up".
    pub fn named(&self, user: User, name: &str, options: &[&str], root: impl AsRef<OsStr>, script: &str) -> Background {
        let mut izba = self.izba(user);
        izba.args(["run", "--no-tty", "--name", name]).args(MARK).args(options).arg(root).args(["sh", "-c", script]);
        let (run, line) = Background::start(&mut izba);
        assert_eq!(line, "up", "{user:?} {options:?}");
        run
    }

    /// The ids of this ground's processes, wherever they are.
    pub fn processes(&self) -> Vec<i32> {
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let own = i32::try_from(std::process::id()).unwrap();
        pids.filter(|&pid: &i32| pid != own && self.is_ours(pid)).collect()
    }

    /// What a killed izba has left, its groups too, is removed by who looks; of one that was killed before it had a record, by gc.
    fn sweep(&self) {
        for user in User::ALL.into_iter().filter(|user| self.path(&format!("run-{}/runs", user.name())).exists()) {
            let runs = self.path(&format!("run-{}/runs", user.name()));
            // The kernel may need a moment to let go of what was in a group.
            for _ in 0..50 {
                run(self.izba(user).args(["ps", "-q"]));
                if fs::read_dir(&runs).map_or(true, |mut left| left.next().is_none()) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let tops =
            ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(|top| fs::read_dir(top).into_iter().flatten().flatten());
        let is_group = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("izba-");
        if tops.into_iter().flatten().any(is_group) {
            run(self.izba(User::Root).arg("gc"));
        }
    }

    fn is_ours(&self, pid: i32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == self.marker.as_bytes())
    }

    /// Waits until a condition holds; says what it waited for where it never does.
    pub fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing is left; says what is, where it stays.
    #[track_caller]
    pub fn wait_until_none<T: std::fmt::Debug>(&self, what: &str, left: impl Fn() -> Vec<T>) {
        let start = Instant::now();
        loop {
            let left = left();
            if left.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{what}, {left:?} stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Copies a program, by a process of its own: a descriptor for writing that another thread's fork keeps open would make it busy,
/// ETXTBSY.
pub fn install(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let installed = Command::new("install").arg("-m755").arg(from.as_ref()).arg(to.as_ref()).status().unwrap();
    assert!(installed.success(), "{}", to.as_ref().display());
}

fn own(path: &Path, user: User) {
    let (uid, gid, _) = user.account();
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.sweep();
        let _removed = fs::remove_dir_all(&self.dir);
        if std::thread::panicking() {
            return;
        }
        self.wait_for("no process is left", || self.processes().is_empty());
        assert!(!self.dir.exists(), "{} can't be removed", self.dir.display());
    }
}

/// A process in the background, with pipes as standard streams. Dropping this kills it.
pub struct Background {
    pub child: Child,
    lines: Receiver<String>,
}

impl Background {
    /// Starts it and waits for the first line that it prints.
    pub fn start(command: &mut Command) -> (Self, String) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut background = Self { child, lines };
        let line = background.line();
        (background, line)
    }

    /// The next line that it prints; what it has printed to standard error where there is none.
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("waited in vain for a line of process {}", self.child.id()),
            Err(RecvTimeoutError::Disconnected) => {
                let mut said = String::new();
                self.child.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
                said
            }
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// The exit status, or 128+N where signal N ended it. Its output is in its pipes still.
    pub fn status(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for the end of process {}", self.child.id());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status, or 128+N where signal N ended the command itself.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end; one that hangs is killed, and the test fails.
pub fn run(command: &mut Command) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let (done, ended) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE).is_err() {
            let _gone = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    let _watching = done.send(());
    watch.join().unwrap();
    Ended::from(output)
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    /// Standard output without the last line end, of a command that has succeeded.
    #[track_caller]
    pub fn text(&self) -> &str {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout.trim_end()
    }

    /// What izba itself said about its failure, with status 125: one error.
    #[track_caller]
    pub fn refusal(&self) -> &str {
        self.failure(125)
    }

    /// The same with another status.
    #[track_caller]
    pub fn failure(&self, status: i32) -> &str {
        assert_eq!((self.status, self.stdout.as_str()), (status, ""), "{self:?}");
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(errors == 1 && !self.stderr.contains("panicked"), "{self:?}");
        &self.stderr
    }
}
