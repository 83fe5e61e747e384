//! Groups for real, on whichever hierarchies this machine has. Needs root, as CI has it.
//!
//! cgroup v2 is found where it is mounted (/sys/fs/cgroup, or `unified` in it), v1 where the freezer is. A machine without one of them
//! skips the cases for it: where there is neither, every test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::thread::sleep;
use std::time::{Duration, Instant};

use izba_sandbox::cgroup::group::{GroupError, State};
use izba_sandbox::cgroup::{Bound, Controller, Group, Place, Presence, Setting, Version};
use izba_sys::process::{PollFd, PollFlags, Timespec, poll};

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

/// On a machine with cgroup v2 alone as systemd leaves it, but in a virtual machine without systemd too.
fn turn_controllers_on() {
    for controller in ["+cpu", "+memory", "+pids", "+io"] {
        let _ = fs::write(unified().unwrap_or_default().join("cgroup.subtree_control"), controller);
    }
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
        let join = place.dirs().map(|dir| format!("echo 0 >{}/cgroup.procs\n", dir.display())).collect::<String>();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("set -e\n{join}echo in\n{script}")]);
        Self::begin(command)
    }

    /// A fork bomb in the group: whoever can forks. The first process of its PID namespace, outside of the group, reaps whoever ends, so that
    /// each one that is killed makes room for the next; when it ends, so do all.
    fn bomb(place: &Place) -> Self {
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
    fn heavy(place: &Place) -> Self {
        let script = format!("exec perl -e '$x = \"x\" x {HEAVY}; $| = 1; print \"up\\n\"; sleep 1000'");
        let mut member = Self::start(place, &script);
        member.wait_for_line("up\n");
        member
    }

    /// Reads no byte more: the next line may be waited for too.
    fn wait_for_line(&mut self, expected: &str) {
        let mut line = vec![0; expected.len()];
        self.0.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), expected);
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

const HEAVY: u64 = 64 << 20;
const IDLE: &str = "exec sleep 1000";
const BOMB: &str = r#"$SIG{CHLD} = "IGNORE"; $| = 1; sleep 1000 if fork;
    for (@ARGV) { open my $procs, ">", $_ or die; syswrite $procs, "0" or die; }
    print "in\n"; fork while 1"#;
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
        let frozen = cpu_time(&group);
        sleep(Duration::from_millis(400));
        // A process is frozen a moment before it leaves its CPU, and some kernels count whole ticks.
        assert!(cpu_time(&group) - frozen <= Duration::from_millis(10), "{:?}", made.place);
        group.thaw().unwrap();
        assert_eq!(group.state(), Ok(State::Running));
        let until = Instant::now() + PATIENCE;
        while cpu_time(&group) - frozen < Duration::from_millis(30) {
            assert!(Instant::now() < until, "{:?} doesn't run again", made.place);
        }
        drop(members);
    }
}

fn cpu_time(group: &Group) -> Duration {
    group.usage().unwrap().cpu.total.unwrap()
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
        let _bomb = Member::bomb(&made.place);
        let group = made.open();
        let until = Instant::now() + PATIENCE;
        while group.processes().unwrap().len() < 20 {
            assert!(Instant::now() < until, "no bomb");
        }
        group.kill(PATIENCE).unwrap();
        assert_eq!(group.processes(), Ok(vec![]));
        group.remove(PATIENCE).unwrap();
    }
}

/// No more than 40 processes can be in the group then. False where they can't be limited.
fn limit_processes(place: &Place) -> bool {
    let limited = place.v1.get(&Controller::Pids).or(place.unified.as_ref()).unwrap();
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
            controller: Some(Controller::Pids),
            presence: Presence::Required,
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
        let elsewhere = Setting { controller: Some(Controller::Hugetlb), ..setting("7") };
        assert!(matches!(group.change(&[elsewhere]), Err(GroupError::NoDirectory { .. })));
    }
}

#[test]
fn only_directories_of_control_groups_are_opened() {
    let place = Place { unified: Some("/tmp".into()), ..Place::default() };
    assert!(matches!(Group::open(&place), Err(GroupError::NotAGroup(_))));
}

#[test]
fn what_a_group_uses_is_counted_and_what_it_doesn_t_count_is_absent() {
    for made in Made::each(&EVERYWHERE, "usage") {
        let group = made.open();
        let idle = group.usage().unwrap();
        let members = [Member::start(&made.place, BUSY), Member::heavy(&made.sub("a"))];
        let memory = counts(&made.place, Controller::Memory, "memory.stat");
        let until = Instant::now() + PATIENCE;
        let mut usage = idle.clone();
        // The kernel adds up what CPUs have counted every two seconds.
        while usage.cpu.total < Some(Duration::from_millis(20)) || memory && usage.memory.anonymous < Some(HEAVY) {
            assert!(Instant::now() < until, "{usage:?}");
            sleep(Duration::from_millis(1));
            usage = group.usage().unwrap();
        }
        assert!(usage.cpu.total > idle.cpu.total && usage.cpu.user.is_some() && usage.cpu.system.is_some());
        assert_eq!(usage.pids.current.is_some(), counts(&made.place, Controller::Pids, "pids.current"));
        assert!(usage.pids.current.is_none_or(|current| current == 2 && usage.pids.limit == Some(Bound::Max)));
        for field in [usage.memory.current, usage.memory.anonymous, usage.memory.file, usage.memory.events.max] {
            assert_eq!(field.is_some(), memory, "{usage:?}");
        }
        assert!(!memory || usage.memory.current > Some(HEAVY) && idle.memory.current < Some(HEAVY));
        assert_eq!(usage.memory.limit, memory.then_some(Bound::Max));
        assert_eq!(usage.pressure.cpu.is_some(), made.place.unified.is_some());
        drop(members);
    }
}

fn counts(place: &Place, controller: Controller, file: &str) -> bool {
    place.of(controller).is_some_and(|(_, dir)| dir.join(file).exists())
}

#[test]
fn a_process_that_is_killed_for_lack_of_memory_is_counted_and_known_when_the_group_is_gone() {
    const LIMIT: u64 = 32 << 20;
    for made in Made::each(&[Kind::V1, Kind::V2], "oom") {
        let Some((version, dir)) = made.place.of(Controller::Memory) else { continue };
        let limit = ["memory.limit_in_bytes", "memory.max"][usize::from(version == Version::V2)];
        if !dir.join(limit).exists() {
            continue;
        }
        fs::write(dir.join(limit), LIMIT.to_string()).unwrap();
        for no_swap in ["memory.memsw.limit_in_bytes", "memory.swap.max"] {
            let value = if version == Version::V1 { LIMIT } else { 0 };
            let _ = fs::OpenOptions::new()
                .write(true)
                .open(dir.join(no_swap))
                .map(|_| fs::write(dir.join(no_swap), value.to_string()));
        }
        let group = made.open();
        let mut watch = group.watch().unwrap().unwrap();
        assert_eq!(watch.update().kills, Some(0));
        let mut member = Member::start(&made.place, "exec perl -e '$x = \"x\" x (256 << 20); sleep 1000'");
        assert_eq!(member.ended_by(), Some(9));
        if version == Version::V2 {
            let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(poll(&mut [PollFd::new(&watch, PollFlags::PRI)], Some(&patience)), Ok(1));
        }
        let oom = watch.update();
        assert_eq!((oom.kills, oom.limit), (Some(1), Some(Bound::At(LIMIT))));
        assert!(oom.peak.is_none_or(|peak| peak > LIMIT / 2 && peak <= LIMIT));
        assert_eq!(group.oom(), Ok(oom));
        assert_eq!(group.usage().unwrap().memory.events.killed, Some(1));
        group.remove(PATIENCE).unwrap();
        assert_eq!(watch.update(), oom);
        assert!(matches!(group.oom(), Err(GroupError::Gone(_))));
    }
}

#[test]
fn a_group_that_is_removed_is_gone_and_not_empty_handed() {
    for made in Made::each(&EVERYWHERE, "gone") {
        let group = made.open();
        made.place.dirs().for_each(|dir| fs::remove_dir(dir).unwrap());
        assert!(matches!(group.usage(), Err(GroupError::Gone(_))), "{:?}", group.usage());
        assert_eq!(group.processes(), Ok(vec![]));
        assert_eq!(group.signal(15), Ok(0));
        assert_eq!(group.kill(PATIENCE), Ok(()));
    }
}

#[test]
fn groups_that_come_and_go_meanwhile_are_no_errors() {
    for made in Made::each(&EVERYWHERE, "vanish") {
        let group = made.open();
        let member = Member::start(&made.place, IDLE);
        let place = made.place.clone();
        let busy = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            let busy = &busy;
            scope.spawn(move || {
                while busy.load(std::sync::atomic::Ordering::Relaxed) {
                    for dir in place.dirs() {
                        fs::create_dir_all(dir.join("a/b")).unwrap();
                        fs::remove_dir(dir.join("a/b")).unwrap();
                        fs::remove_dir(dir.join("a")).unwrap();
                    }
                }
            });
            let outcomes: Vec<_> = (0..300).map(|_| group.processes()).collect();
            busy.store(false, std::sync::atomic::Ordering::Relaxed);
            assert!(outcomes.iter().all(|found| *found == Ok(vec![member.pid()])), "{outcomes:?}");
        });
    }
}

#[test]
fn processes_of_threaded_sub_groups_are_found_and_ended() {
    for made in Made::each(&[Kind::V2], "threaded") {
        // A group with domain controllers on can't be the root of a threaded subtree: it has none, as nothing turns them on.
        let sub = made.sub("threads");
        fs::write(sub.unified.as_ref().unwrap().join("cgroup.type"), "threaded").unwrap();
        let mut member = Member::start(&made.place, IDLE);
        fs::write(sub.unified.as_ref().unwrap().join("cgroup.threads"), member.pid().to_string()).unwrap();
        let group = made.open();
        assert_eq!(group.processes(), Ok(vec![member.pid()]));
        assert_eq!(group.signal(0), Ok(1));
        let threaded = Group::open(&sub).unwrap().processes().unwrap_err();
        assert!(threaded.hint().unwrap().cause.contains("threaded"), "{threaded}");
        group.remove(PATIENCE).unwrap();
        assert_eq!(member.ended_by(), Some(9));
    }
}

#[test]
fn a_signal_reaches_each_process_once() {
    for made in Made::each(&EVERYWHERE, "signal") {
        let script = "trap 'n=x$n; [ $n != xx ] || exit 7' USR1; trap 'exit 5' TERM; echo up; while :; do :; done";
        let mut members = [Member::start(&made.place, script), Member::start(&made.sub("a"), script)];
        for member in &mut members {
            member.wait_for_line("up\n");
        }
        let group = made.open();
        // They start no others, which would end by it.
        assert_eq!((group.signal(10).unwrap(), group.signal(15).unwrap()), (2, 2));
        for member in &mut members {
            assert_eq!(member.0.wait().unwrap().code(), Some(5));
        }
    }
}

#[test]
fn a_process_that_ends_late_delays_removal_and_doesn_t_prevent_it() {
    for made in Made::each(&EVERYWHERE, "late") {
        let group = made.open();
        // Much memory to give back: the kernel is a while at it.
        let _heavy = Member::heavy(&made.place);
        for pid in group.processes().unwrap() {
            izba_sys::signal::kill(pid, 9).unwrap();
        }
        group.remove(PATIENCE).unwrap();
        assert!(made.is_gone());
    }
}

#[test]
fn sub_groups_that_appear_while_it_is_removed_delay_that_only() {
    for made in Made::each(&EVERYWHERE, "race") {
        let group = made.open();
        let dirs: Vec<_> = made.place.dirs().map(|dir| dir.join("late")).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2000).for_each(|_| dirs.iter().for_each(|dir| drop(fs::create_dir(dir)))));
            group.remove(PATIENCE).unwrap();
        });
        assert!(made.is_gone());
    }
}

#[test]
fn nobody_stops_its_own_group() {
    // The root of a hierarchy: if it weren't refused, there would be no file to do it with.
    for unified in [unified(), v1(Controller::Freezer)].into_iter().flatten() {
        let v1 = unified.ends_with("freezer").then(|| (Controller::Freezer, unified.clone()));
        let place = Place { unified: v1.is_none().then_some(unified), v1: v1.into_iter().collect(), unit: None };
        let error = Group::open(&place).unwrap().freeze(PATIENCE).unwrap_err();
        assert!(matches!(error, GroupError::CallerInside(_)), "{error}");
    }
}
