//! What the tests of groups have in common: groups for real, on whichever hierarchies this machine has, and processes in them. Needs root,
//! as CI has it.
//!
//! cgroup v2 is found where it is mounted (/sys/fs/cgroup, or `unified` in it), v1 where the freezer is. A machine without one of them
//! skips the cases for it: where there is neither, every test fails.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::thread::sleep;
use std::time::{Duration, Instant};

use izba_sandbox::cgroup::{Controller, Group, Place, Version};

/// Nothing here takes long; a machine under load may.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn unified() -> Option<PathBuf> {
    let candidates = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    candidates.into_iter().find(|dir| dir.join("cgroup.subtree_control").exists())
}

pub fn v1(controller: Controller) -> Option<PathBuf> {
    let dir = Path::new("/sys/fs/cgroup").join(controller.name(Version::V1).unwrap());
    dir.join("cgroup.sane_behavior").exists().then_some(dir)
}

/// On a machine with cgroup v2 alone as systemd leaves it, but in a virtual machine without systemd too.
fn turn_controllers_on() {
    for controller in ["+cpu", "+memory", "+pids", "+io"] {
        let _ = fs::write(unified().unwrap_or_default().join("cgroup.subtree_control"), controller);
    }
}

/// Which hierarchies a test's group is in.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    V2,
    V1,
    /// v1 without the freezer.
    Unfreezable,
    Hybrid,
}

/// A group of a test's own, which is ended and removed whatever becomes of the test.
pub struct Made {
    pub place: Place,
}

impl Made {
    /// `None` where the machine has no such hierarchies.
    fn new(kind: Kind, name: &str) -> Option<Self> {
        let name = format!("izba-test-group-{}-{name}-{kind:?}", id());
        let controllers: &[Controller] = match kind {
            Kind::V2 => &[],
            Kind::Unfreezable => &[Controller::Cpuacct, Controller::Pids],
            Kind::V1 | Kind::Hybrid => {
                &[Controller::Cpuacct, Controller::Memory, Controller::Pids, Controller::Freezer]
            }
        };
        let mut place = Place::default();
        turn_controllers_on();
        if matches!(kind, Kind::V2 | Kind::Hybrid) {
            place.unified = Some(unified()?.join(&name));
        }
        for &controller in controllers {
            place.v1.insert(controller, v1(controller)?.join(&name));
        }
        place.dirs().for_each(|dir| fs::create_dir(dir).unwrap());
        Some(Self { place })
    }

    /// In each of these that the machine has; at least one.
    pub fn each(kinds: &[Kind], name: &str) -> Vec<Self> {
        let made: Vec<_> = kinds.iter().filter_map(|kind| Self::new(*kind, name)).collect();
        assert!(!made.is_empty() || unified().is_some() || v1(Controller::Freezer).is_some(), "no control groups");
        made
    }

    pub fn open(&self) -> Group {
        Group::open(&self.place).unwrap()
    }

    /// The same place, further down, made in every hierarchy.
    pub fn sub(&self, below: &str) -> Place {
        let unified = self.place.unified.as_ref().map(|dir| dir.join(below));
        let v1: BTreeMap<_, _> = self.place.v1.iter().map(|(controller, dir)| (*controller, dir.join(below))).collect();
        let place = Place { unified, v1, unit: None };
        place.dirs().for_each(|dir| fs::create_dir_all(dir).unwrap());
        place
    }

    pub fn is_gone(&self) -> bool {
        self.place.dirs().all(|dir| !dir.exists())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let until = Instant::now() + PATIENCE;
        while !self.is_gone() && Instant::now() < until {
            self.place.dirs().for_each(clear);
            sleep(Duration::from_millis(1));
        }
    }
}

/// Ends and removes a group with what every kernel has, and nothing of what is tested.
fn clear(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            clear(&entry.path());
        }
    }
    let _ = fs::write(dir.join("cgroup.kill"), "1");
    let _ = fs::write(dir.join("freezer.state"), "THAWED");
    for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
        let _ = izba_sys::signal::kill(pid.parse().unwrap(), izba_sys::signal::SIGKILL);
    }
    let _ = fs::remove_dir(dir);
}

/// A process in a group, our child, reaped when it is dropped.
pub struct Member(pub Child);

impl Member {
    /// Joins the group and then runs a script, whose first line of output says that it has begun.
    pub fn start(place: &Place, script: &str) -> Self {
        let join = place.dirs().map(|dir| format!("echo 0 >{}/cgroup.procs\n", dir.display())).collect::<String>();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("set -e\n{join}echo in\n{script}")]);
        Self::begin(command)
    }

    /// A fork bomb in the group: whoever can forks. The first process of its PID namespace, outside of the group, reaps whoever ends, so that
    /// each one that is killed makes room for the next; when it ends, so do all.
    pub fn bomb(place: &Place) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "perl", "-e", BOMB]);
        command.args(place.dirs().map(|dir| dir.join("cgroup.procs")));
        Self::begin(command)
    }

    fn begin(mut command: Command) -> Self {
        let mut member = Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        member.wait_for_line("in\n");
        member
    }

    /// Has much memory.
    pub fn heavy(place: &Place) -> Self {
        let script = format!("exec perl -e '$x = \"x\" x {HEAVY}; $| = 1; print \"up\\n\"; sleep 1000'");
        let mut member = Self::start(place, &script);
        member.wait_for_line("up\n");
        member
    }

    /// Reads no byte more: the next line may be waited for too.
    pub fn wait_for_line(&mut self, expected: &str) {
        let mut line = vec![0; expected.len()];
        self.0.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// Its signal, once the kernel has ended it.
    pub fn ended_by(&mut self) -> Option<i32> {
        std::os::unix::process::ExitStatusExt::signal(&self.0.wait().unwrap())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        // A frozen process ends when its group is cleared, which comes after this.
        let _ = self.0.try_wait();
    }
}

pub const HEAVY: u64 = 64 << 20;
pub const IDLE: &str = "exec sleep 1000";
const BOMB: &str = r#"$SIG{CHLD} = "IGNORE"; $| = 1; sleep 1000 if fork;
    for (@ARGV) { open my $procs, ">", $_ or die; syswrite $procs, "0" or die; }
    print "in\n"; fork while 1"#;
pub const BUSY: &str = "while :; do :; done";

pub const EVERYWHERE: [Kind; 4] = [Kind::V2, Kind::V1, Kind::Unfreezable, Kind::Hybrid];
pub const FREEZABLE: [Kind; 3] = [Kind::V2, Kind::V1, Kind::Hybrid];
