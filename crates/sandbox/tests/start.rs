//! The library in a program of its own: what a start may change there, which is nothing, whatever its threads are doing.
//! Needs root, as CI has it; a busybox is what runs inside.
//!
//! Descriptors, masks and children are a whole process's, so every test runs alone: in a process that it starts for itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::ffi::CString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use izba_sandbox::facts::Facts;
use izba_sandbox::idmap::{IdMap, IdMaps, IdRange, MapWriter};
use izba_sandbox::namespace::{ClockOffsets, Kind, Namespace};
use izba_sandbox::parent::{Outcome, spawn};
use izba_sandbox::plan::Plan;
use izba_sandbox::report::StartError;
use izba_sandbox::rootfs::{Mount, MountSource, Root, Writes};
use izba_sandbox::sandbox::{Ids, Init, Sandbox, Sysctl, User, WorkingDirectory};
use izba_sys::credential::{CapabilitySet, CapabilitySets, DumpableBehavior, dumpable_behavior, set_capabilities};
use izba_sys::mount::MountAttributes;

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A root with busybox, removed at the end.
struct House(PathBuf);

impl House {
    fn new() -> Self {
        let root = std::env::temp_dir().join(format!("izba-start-{}", std::process::id()));
        for dir in ["bin", "proc", "sys", "dev", "etc"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        Self(root)
    }

    fn sandbox(&self, script: &str) -> Sandbox {
        let root = Root::Directory { path: self.0.clone(), writes: Writes::InPlace };
        let mut sandbox = Sandbox::new(root, c"/bin/busybox", &[c"busybox", c"sh", c"-c", &c(script)]);
        sandbox.hostname = Some(c("inside"));
        sandbox.process.env = vec![c("PATH=/bin")];
        sandbox
    }
}

impl Drop for House {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn plan(sandbox: &Sandbox) -> Plan {
    Plan::new(sandbox, &Facts::gather(sandbox).unwrap()).unwrap()
}

fn status(sandbox: &Sandbox) -> i32 {
    spawn(&plan(sandbox), None).unwrap().wait().unwrap().status()
}

fn error(sandbox: &Sandbox) -> StartError {
    match spawn(&plan(sandbox), None) {
        Err(error) => error,
        Ok(_) => panic!("it started"),
    }
}

/// What a start must leave as it was. The address space isn't here: it may grow.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    descriptors: Vec<String>,
    cwd: PathBuf,
    masks: Vec<String>,
    namespaces: Vec<PathBuf>,
    mounts: String,
    children: String,
    dumpable: bool,
    command_line: Vec<u8>,
}

fn this_process() -> Found {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let words = [
        "SigBlk:",
        "SigIgn:",
        "SigCgt:",
        "Umask:",
        "Uid:",
        "Gid:",
        "Groups:",
        "CapEff:",
        "CapBnd:",
        "NoNewPrivs:",
        "Threads:",
        "Name:",
    ];
    let mut descriptors: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some(format!("{} {}", path.display(), std::fs::read_link(&path).ok()?.display())))
        .filter(|shown| !shown.contains("/fd"))
        .collect();
    descriptors.sort();
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"];
    let task = format!("/proc/self/task/{}/children", std::process::id());
    Found {
        descriptors: descriptors.iter().map(|shown| shown.replace("/proc/self/fd/", "")).collect(),
        cwd: std::env::current_dir().unwrap(),
        masks: status
            .lines()
            .filter(|line| words.iter().any(|word| line.starts_with(word)))
            .map(String::from)
            .collect(),
        namespaces: kinds.iter().map(|kind| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap()).collect(),
        mounts: std::fs::read_to_string("/proc/self/mountinfo").unwrap(),
        children: std::fs::read_to_string(task).unwrap_or_default(),
        dumpable: dumpable_behavior() == Ok(DumpableBehavior::Dumpable),
        command_line: std::fs::read("/proc/self/cmdline").unwrap(),
    }
}

/// Runs the test named so in a process of its own; true in that process.
fn alone(name: &str) -> bool {
    const VARIABLE: &str = "IZBA_TEST_ALONE";
    if std::env::var(VARIABLE).is_ok_and(|value| value == name) {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(VARIABLE, name);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.status.signal().is_none(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    false
}

#[test]
fn a_start_from_a_program_with_busy_threads() {
    if !alone("a_start_from_a_program_with_busy_threads") {
        return;
    }
    let house = House::new();
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU64::new(0));
    let shared = Arc::new(Mutex::new(Vec::<String>::new()));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (stop, rounds, shared) = (stop.clone(), rounds.clone(), shared.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let text = "x".repeat(64 + usize::try_from(rounds.fetch_add(1, Ordering::Relaxed) % 4096).unwrap());
                    let mut list = shared.lock().unwrap();
                    list.push(text);
                    if list.len() > 50 {
                        list.clear();
                    }
                }
            })
        })
        .collect();
    let sandbox = house.sandbox("exit 7");
    let plan = plan(&sandbox);
    for start in 0..200 {
        let before = rounds.load(Ordering::Relaxed);
        let outcome = spawn(&plan, None).unwrap().wait().unwrap();
        assert_eq!(outcome, Outcome::Exited(7), "start {start}");
        let waiting = std::time::Instant::now();
        while rounds.load(Ordering::Relaxed) == before {
            assert!(waiting.elapsed() < std::time::Duration::from_secs(60), "start {start}: the threads stand still");
            std::thread::yield_now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn starts_from_several_threads_at_once() {
    if !alone("starts_from_several_threads_at_once") {
        return;
    }
    let house = House::new();
    let plans: Vec<Plan> = (0..8).map(|number| plan(&house.sandbox(&format!("exit {number}")))).collect();
    std::thread::scope(|scope| {
        for (number, plan) in plans.iter().enumerate() {
            scope.spawn(move || {
                for _ in 0..10 {
                    let outcome = spawn(plan, None).unwrap().wait().unwrap();
                    assert_eq!(outcome.status(), i32::try_from(number).unwrap());
                }
            });
        }
    });
}

/// Every way in which the child goes on: vfork, an early fork, a user namespace, a clock of its own, and failures of each kind.
#[test]
fn the_embedding_program_stays_as_it_was() {
    if !alone("the_embedding_program_stays_as_it_was") {
        return;
    }
    let house = House::new();
    let elsewhere = std::env::temp_dir().canonicalize().unwrap();
    std::env::set_current_dir(&elsewhere).unwrap();
    let umask = izba_sys::process::umask(izba_sys::path::Mode::from_raw_mode(0o027));
    let _ = this_process();
    let before = this_process();
    let mut variants = vec![house.sandbox("exit 3"); 6];
    variants[1].process.init = Init::Program;
    variants[2].namespaces.user = mapped();
    variants[3].namespaces.time = Namespace::New(ClockOffsets { monotonic: 5, boottime: 5 });
    variants[4].namespaces.share(Kind::Pid);
    variants[5].process.user = User::Become(Ids { uid: 1000, gid: 1000, groups: vec![1001] });
    for (number, sandbox) in variants.iter().enumerate() {
        assert_eq!(status(sandbox), 3, "variant {number}");
        assert_eq!(this_process(), before, "variant {number}");
    }
    for (name, sandbox) in failing(&house) {
        let _error = error(&sandbox);
        assert_eq!(this_process(), before, "after the failure: {name}");
    }
    izba_sys::process::umask(umask);
}

fn mapped() -> Namespace<IdMaps> {
    let map = || IdMap::new(vec![IdRange { inside: 0, outside: 100_000, count: 65_536 }]).unwrap();
    Namespace::New(IdMaps { uids: map(), gids: map(), writer: MapWriter::Direct, deny_setgroups: false })
}

fn bind(path: &str, target: &str) -> Mount {
    let source = MountSource::Bind { path: path.into(), directory: true, recursive: true, idmap: false };
    Mount { target: target.into(), source, attributes: MountAttributes::empty() }
}

/// One of each kind: in the clone, in a step of the parent, in steps of the child before and after the pivot, and in the exec.
fn failing(house: &House) -> Vec<(&'static str, Sandbox)> {
    let good = || house.sandbox("exit 3");
    let mut missing_source = good();
    missing_source.mounts = vec![bind("/no/such/source", "/mnt")];
    let mut parents = good();
    parents.namespaces.user = mapped();
    parents.mounts = vec![bind("/no/such/source", "/mnt")];
    let mut map = good();
    map.namespaces.user = Namespace::New(IdMaps {
        uids: IdMap::one(0, u32::MAX - 1),
        gids: IdMap::one(0, u32::MAX - 1),
        writer: MapWriter::Helpers,
        deny_setgroups: false,
    });
    let mut setting = good();
    setting.sysctls = vec![Sysctl { path: "no/such/setting".into(), value: "1".into() }];
    let mut fstype = good();
    let source = MountSource::Filesystem { fstype: "nosuchfs".into(), source: "x".into(), options: Vec::new() };
    fstype.mounts = vec![Mount { target: "/mnt".into(), source, attributes: MountAttributes::empty() }];
    let mut directory = good();
    directory.process.cwd = WorkingDirectory::Path("/no/such".into());
    let mut program = good();
    program.process.candidates = vec![c("/bin/nothing")];
    let mut joined = good();
    joined.namespaces.join(Kind::Net, "/proc/self/ns/uts".into());
    vec![
        ("a source that isn't there", missing_source),
        ("the same in the parent", parents),
        ("a map that the helper refuses", map),
        ("an unknown setting", setting),
        ("an unknown file system", fstype),
        ("a working directory that isn't there", directory),
        ("a program that isn't there", program),
        ("a namespace of another kind", joined),
    ]
}

#[test]
fn a_failure_says_what_failed_and_on_what() {
    if !alone("a_failure_says_what_failed_and_on_what") {
        return;
    }
    let house = House::new();
    let expected = [
        "open_tree(AT_FDCWD, \"/no/such/source\"",
        "open_tree(AT_FDCWD, \"/no/such/source\"",
        "newuidmap PID 0 4294967294 1",
        "sys/no/such/setting",
        "fsopen(\"nosuchfs\"",
        "no/such",
        "/bin/nothing",
        "setns(",
    ];
    for ((name, sandbox), expected) in failing(&house).into_iter().zip(expected) {
        let error = error(&sandbox);
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(matches!(error, StartError::Step(_)), "{name}: {error:?}");
    }
}

/// The one failure that leaves no child at all.
#[test]
fn a_refused_clone_is_told_with_its_namespaces() {
    if !alone("a_refused_clone_is_told_with_its_namespaces") {
        return;
    }
    let house = House::new();
    let sandbox = house.sandbox("true");
    let plan = plan(&sandbox);
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
    let Err(error @ StartError::Clone { .. }) = spawn(&plan, None) else { panic!("it has no right to that") };
    assert!(error.to_string().contains("CLONE_NEWNS") && error.hint().is_some(), "{error}");
}

#[test]
fn what_is_observed_is_the_plan_in_order() {
    if !alone("what_is_observed_is_the_plan_in_order") {
        return;
    }
    let house = House::new();
    let mut sandbox = house.sandbox("exit 0");
    sandbox.namespaces.user = mapped();
    let plan = plan(&sandbox);
    let mut seen = Vec::new();
    spawn(&plan, Some(&mut |done| seen.push(done.step.title.clone()))).unwrap().wait().unwrap();
    let planned: Vec<String> = plan.steps().map(|(_, step)| step.title.clone()).collect();
    let of_child =
        |titles: &[String]| titles.iter().filter(|title| plan_child(&plan, title)).cloned().collect::<Vec<_>>();
    assert_eq!(of_child(&seen), of_child(&planned));
    assert_eq!(seen.len(), planned.len());
}

fn plan_child(plan: &Plan, title: &str) -> bool {
    plan.steps().any(|(actor, step)| actor == izba_sandbox::plan::Actor::Child && step.title == title)
}

/// The caller's death ends everything: the program can't be left behind.
/// Though it is made in another PID namespace, behind one, two or three forks, the kernel tells its id outside.
#[test]
fn the_program_is_known_by_its_id_outside() {
    if !alone("the_program_is_known_by_its_id_outside") {
        return;
    }
    let house = House::new();
    let plain = house.sandbox("while :; do :; done");
    let mut without_init = plain.clone();
    without_init.process.init = Init::Program;
    let mut shared = plain.clone();
    shared.namespaces.share(Kind::Pid);
    let mut mapped_ids = plain.clone();
    mapped_ids.namespaces.user = mapped();
    let mut other_clock = plain.clone();
    other_clock.namespaces.time = Namespace::New(ClockOffsets { monotonic: 7, boottime: 7 });
    let mut joined = plain.clone();
    joined.namespaces.join(Kind::Time, "/proc/self/ns/time_for_children".into());
    for (name, sandbox, inside) in [
        ("plain", plain, Some(2)),
        ("without init", without_init, Some(1)),
        ("shared", shared, None),
        ("mapped", mapped_ids, Some(2)),
        ("clock", other_clock, Some(2)),
        // The first process, which watches, is in the new PID namespace too.
        ("joined", joined, Some(3)),
    ] {
        let mut child = spawn(&plan(&sandbox), None).unwrap();
        let program = child.program();
        assert_ne!(program, child.pid(), "{name}");
        let status = std::fs::read_to_string(format!("/proc/{program}/status")).unwrap();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        let ids: Vec<i32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids, [Some(program), inside].into_iter().flatten().collect::<Vec<_>>(), "{name}");
        let shown = std::fs::read(format!("/proc/{program}/cmdline")).unwrap();
        assert!(shown.starts_with(b"busybox\0sh\0"), "{name}");
        child.signal(izba_sys::signal::SIGKILL).unwrap();
        assert_eq!(child.wait().unwrap().status(), 137, "{name}");
    }
}

#[test]
fn a_sandbox_dies_with_the_process_that_started_it() {
    let house = House::new();
    let marker = format!("izba-orphan-{}", std::process::id());
    let root = house.0.clone();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["start_and_die", "--exact", "--ignored", "--nocapture"])
        .env("IZBA_TEST_ROOT", &root)
        .env("IZBA_TEST_MARKER", &marker)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(status.status.signal(), Some(9), "{status:?}");
    let started = std::fs::read_to_string(root.join("started")).unwrap();
    assert_eq!(started.trim(), marker, "the program had been started");
    let begin = std::time::Instant::now();
    while alive(&marker) {
        assert!(begin.elapsed().as_secs() < 60, "the program has outlived its caller");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn alive(marker: &str) -> bool {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| entry.file_name() != *own).any(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(marker)
    })
}

#[test]
#[ignore = "the other half of a_sandbox_dies_with_the_process_that_started_it"]
fn start_and_die() {
    let root = PathBuf::from(std::env::var_os("IZBA_TEST_ROOT").unwrap());
    let marker = std::env::var("IZBA_TEST_MARKER").unwrap();
    let house = std::mem::ManuallyDrop::new(House(root.clone()));
    let _child =
        spawn(&plan(&house.sandbox(&format!("echo {marker} > /started; sleep 1000; : {marker}"))), None).unwrap();
    while !is_written(&root.join("started")) {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    izba_sys::signal::kill(i32::try_from(std::process::id()).unwrap(), 9).unwrap();
}

fn is_written(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}
