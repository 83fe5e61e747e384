//! Groups for real, on whichever hierarchies this machine has. Needs root, as CI has it.
//!
//! cgroup v2 is found where it is mounted (/sys/fs/cgroup, or `unified` in it), v1 where the freezer is. A machine without one of them
//! skips the cases for it: where there is neither, every test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::thread::sleep;
use std::time::{Duration, Instant};

use izba_sandbox::cgroup::group::{GroupError, State};
use izba_sandbox::cgroup::{Controller, Group, Place, Setting, Version};

/// Nothing here takes long; a machine under load may.
const PATIENCE: Duration = Duration::from_secs(20);

fn unified() -> Option<PathBuf> {
    let candidates = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    candidates.into_iter().find(|dir| dir.join("cgroup.subtree_control").exists())
}

fn v1(controller: Controller) -> Option<PathBuf> {
    let dir = Path::new("/sys/fs/cgroup").join(controller.name(Version::V1).unwrap());
    dir.join("cgroup.sane_behavior").exists().then_some(dir)
}

/// Which hierarchies a test's group is in.
#[derive(Clone, Copy, Debug)]
enum Kind {
    V2,
    V1,
    /// v1 without the freezer.
    Unfreezable,
    Hybrid,
}

/// A group of a test's own, which is ended and removed whatever becomes of the test.
struct Made {
    place: Place,
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
    fn each(kinds: &[Kind], name: &str) -> Vec<Self> {
        let made: Vec<_> = kinds.iter().filter_map(|kind| Self::new(*kind, name)).collect();
        assert!(!made.is_empty() || unified().is_some() || v1(Controller::Freezer).is_some(), "no control groups");
        made
    }

    fn open(&self) -> Group {
        Group::open(&self.place).unwrap()
    }

    /// The same place, further down, made in every hierarchy.
    fn sub(&self, below: &str) -> Place {
        let unified = self.place.unified.as_ref().map(|dir| dir.join(below));
        let v1: BTreeMap<_, _> = self.place.v1.iter().map(|(controller, dir)| (*controller, dir.join(below))).collect();
        let place = Place { unified, v1, unit: None };
        place.dirs().for_each(|dir| fs::create_dir_all(dir).unwrap());
        place
    }

    fn is_gone(&self) -> bool {
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
struct Member(Child);

impl Member {
    /// Joins the group and then runs a script, whose first line of output says that it has begun.
    fn start(place: &Place, script: &str) -> Self {
        Self::run(place, Command::new("sh"), script)
    }

    /// In a PID namespace of its own, in which everything ends with this process.
    fn contained(place: &Place, script: &str) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
        Self::run(place, command, script)
    }

    fn run(place: &Place, mut command: Command, script: &str) -> Self {
        let join = place.dirs().map(|dir| format!("echo 0 >{}/cgroup.procs\n", dir.display())).collect::<String>();
        command.args(["-c", &format!("set -e\n{join}echo in\n{script}")]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut member = Self(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(member.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "in\n");
        member
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// Its signal, once the kernel has ended it.
    fn ended_by(&mut self) -> Option<i32> {
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

const IDLE: &str = "exec sleep 1000";
const BUSY: &str = "while :; do :; done";

const EVERYWHERE: [Kind; 4] = [Kind::V2, Kind::V1, Kind::Unfreezable, Kind::Hybrid];
const FREEZABLE: [Kind; 3] = [Kind::V2, Kind::V1, Kind::Hybrid];

#[test]
fn processes_of_sub_groups_belong_to_the_group() {
    for made in Made::each(&EVERYWHERE, "processes") {
        let group = made.open();
        assert_eq!(group.processes(), Ok(vec![]));
        let members = [
            Member::start(&made.place, IDLE),
            Member::start(&made.sub("a"), IDLE),
            Member::start(&made.sub("b/c"), IDLE),
        ];
        let mut expected: Vec<_> = members.iter().map(Member::pid).collect();
        expected.sort_unstable();
        assert_eq!(group.processes(), Ok(expected), "{made:?}", made = made.place);
    }
}

#[test]
fn whatever_is_in_it_a_group_is_ended_and_removed() {
    for made in Made::each(&EVERYWHERE, "remove") {
        let group = made.open();
        let mut members =
            [Member::start(&made.place, IDLE), Member::start(&made.sub("a/b"), "trap '' TERM; sleep 1000")];
        made.sub("a/empty");
        group.remove(PATIENCE).unwrap();
        assert!(made.is_gone());
        for member in &mut members {
            assert_eq!(member.ended_by(), Some(9));
        }
        group.remove(PATIENCE).unwrap();
        assert_eq!(group.processes(), Ok(vec![]));
        assert!(Group::open(&made.place).is_err());
        Group::open_rest(&made.place).unwrap().remove(PATIENCE).unwrap();
    }
}

#[test]
fn a_frozen_group_uses_no_cpu_time_and_goes_on_when_it_is_thawed() {
    for made in Made::each(&FREEZABLE, "freeze") {
        let group = made.open();
        let members = [Member::start(&made.place, BUSY), Member::start(&made.sub("a"), BUSY)];
        assert_eq!(group.state(), Ok(State::Running));
        group.freeze(PATIENCE).unwrap();
        assert_eq!(group.state(), Ok(State::Frozen));
        let frozen = members.each_ref().map(cpu_time);
        sleep(Duration::from_millis(50));
        // A process is frozen a moment before it leaves its CPU.
        let used = members.iter().zip(frozen).map(|(member, then)| cpu_time(member) - then).max();
        assert!(used < Some(1_000_000), "{used:?} ns");
        group.thaw().unwrap();
        assert_eq!(group.state(), Ok(State::Running));
        let until = Instant::now() + PATIENCE;
        while members.each_ref().map(cpu_time).iter().zip(frozen).any(|(now, then)| *now == then) {
            assert!(Instant::now() < until, "{:?} doesn't run again", made.place);
        }
    }
}

/// Nanoseconds on a CPU: /proc/PID/schedstat.
fn cpu_time(member: &Member) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/schedstat", member.pid())).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn frozen_and_nested_frozen_groups_can_be_killed() {
    for made in Made::each(&FREEZABLE, "nested") {
        let (group, sub) = (made.open(), made.sub("a"));
        let mut members = [Member::start(&made.place, IDLE), Member::start(&sub, IDLE)];
        Group::open(&sub).unwrap().freeze(PATIENCE).unwrap();
        group.freeze(PATIENCE).unwrap();
        group.kill(PATIENCE).unwrap();
        assert_eq!(group.processes(), Ok(vec![]));
        for member in &mut members {
            assert_eq!(member.ended_by(), Some(9));
        }
    }
}

#[test]
fn a_group_that_was_frozen_by_the_v1_freezer_is_killed_by_cgroup_v2_too() {
    for made in Made::each(&[Kind::Hybrid], "both") {
        let mut member = Member::start(&made.place, IDLE);
        let v1 = Place { unified: None, ..made.place.clone() };
        Group::open(&v1).unwrap().freeze(PATIENCE).unwrap();
        let group = made.open();
        assert_eq!(group.state(), Ok(State::Frozen));
        group.kill(PATIENCE).unwrap();
        assert_eq!(member.ended_by(), Some(9));
    }
}

#[test]
fn a_fork_bomb_is_ended() {
    for made in Made::each(&[Kind::V1, Kind::Unfreezable, Kind::Hybrid, Kind::V2], "bomb") {
        if !limit_processes(&made.place) {
            continue;
        }
        let mut member = Member::contained(&made.place, BOMB);
        let group = made.open();
        let until = Instant::now() + PATIENCE;
        while group.processes().unwrap().len() < 20 {
            assert!(Instant::now() < until, "no bomb");
        }
        group.kill(PATIENCE).unwrap();
        assert_eq!(group.processes(), Ok(vec![]));
        member.0.wait().unwrap();
        group.remove(PATIENCE).unwrap();
    }
}

/// Each of its shells forks until it can't, and ends then. The first process ignores SIGCHLD, so that the kernel reaps them.
const BOMB: &str = "bomb() { while :; do bomb & done 2>/dev/null; }; trap '' CHLD; bomb & exec sleep 1000";

/// No more than 40 processes can be in the group then. False where they can't be limited.
fn limit_processes(place: &Place) -> bool {
    let limited = place.v1.get(&Controller::Pids).or(place.unified.as_ref()).unwrap();
    if place.v1.is_empty() {
        let _ = fs::write(limited.parent().unwrap().join("cgroup.subtree_control"), "+pids");
    }
    fs::write(limited.join("pids.max"), "40").is_ok()
}

#[test]
fn another_group_with_the_name_of_a_removed_one_stays() {
    for made in Made::each(&EVERYWHERE, "again") {
        let group = made.open();
        for dir in made.place.dirs() {
            fs::remove_dir(dir).unwrap();
            fs::create_dir(dir).unwrap();
        }
        let member = Member::start(&made.place, IDLE);
        assert_eq!(group.processes(), Ok(vec![]));
        group.remove(PATIENCE).unwrap();
        assert_eq!(made.open().processes(), Ok(vec![member.pid()]));
    }
}

#[test]
fn deep_nesting_is_removed_with_few_descriptors() {
    for made in Made::each(&FREEZABLE, "deep") {
        made.sub(&["d"; 300].join("/"));
        made.open().remove(PATIENCE).unwrap();
        assert!(made.is_gone());
    }
}

#[test]
fn settings_are_written_and_refusals_say_what_and_where() {
    for made in Made::each(&[Kind::V1, Kind::Hybrid], "change") {
        let group = made.open();
        let setting = |value: &str| Setting {
            controller: Controller::Pids,
            version: Version::V1,
            file: "pids.max".into(),
            value: value.into(),
        };
        group.change(&[setting("7")]).unwrap();
        let file = made.place.v1[&Controller::Pids].join("pids.max");
        assert_eq!(fs::read_to_string(&file).unwrap(), "7\n");
        let error = group.change(&[setting("lots")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("writing \"lots\" to {}: Invalid argument (os error 22)", file.display())
        );
        assert!(error.hint().is_some());
        let elsewhere = Setting { controller: Controller::Hugetlb, ..setting("7") };
        assert!(matches!(group.change(&[elsewhere]), Err(GroupError::NoDirectory { .. })));
    }
}

#[test]
fn only_directories_of_control_groups_are_opened() {
    let place = Place { unified: Some("/tmp".into()), ..Place::default() };
    assert!(matches!(Group::open(&place), Err(GroupError::NotAGroup(_))));
}
