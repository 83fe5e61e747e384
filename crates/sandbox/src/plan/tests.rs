//! Plans of hand-made intents and facts: nothing here asks the kernel.

mod caller;
mod generated;
mod group;
mod namespaces;
mod program;
mod root;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::path::PathBuf;

use izba_sys::mount::{MountAttributes, Propagation};
use izba_sys::namespace::CloneFlags;

use super::{Plan, PlanError};
use crate::call::{At, Call};
use crate::capability::Capabilities;
use crate::cgroup::{
    Bound, ControlGroup, Driver, Enforcement, Layout, Limits, Membership, MemoryLimits, NewGroup, Parent,
};
use crate::facts::{Facts, Guarded, RootFacts};
use crate::idmap::{IdMap, IdMaps, IdRange, MapWriter};
use crate::namespace::{ClockOffsets, Kind, Namespace, Namespaces};
use crate::rootfs::{CallerRoot, Entry, Mount, MountSource, Root, SystemMounts, Writes};
use crate::sandbox::{Ids, Init, Process, ProvidedFile, Sandbox, Sysctl, Terminal, User, WorkingDirectory};

/// What root gets without an option.
fn sandbox() -> Sandbox {
    let root = Root::Directory { path: "/srv/root".into(), writes: Writes::InPlace };
    let mut sandbox = Sandbox::new(root, c"/bin/sh", &[c"sh"]);
    sandbox.hostname = Some(c"box".to_owned());
    sandbox
}

fn existing(targets: &[(&str, usize)]) -> BTreeMap<PathBuf, usize> {
    targets.iter().map(|(path, count)| (PathBuf::from(path), *count)).collect()
}

/// The host's root, in a directory that has all mount points.
fn privileged() -> Facts {
    let guarded = |path: &str, directory, hidden| Guarded { path: path.to_owned(), directory, hidden };
    Facts {
        uid: 0,
        gid: 0,
        effective: Capabilities::all(),
        bounding: Capabilities::all(),
        unknown_capabilities: vec![41],
        initial_user_namespace: true,
        proc_fully_visible: true,
        sysfs_fully_visible: true,
        guarded: vec![
            guarded("/proc/acpi", true, true),
            guarded("/proc/kcore", false, true),
            guarded("/proc/sys", true, false),
            guarded("/sys/firmware", true, true),
        ],
        host_mqueue: true,
        denies_setgroups: false,
        joined_denies_setgroups: false,
        joined_has_root: true,
        has_terminals: true,
        cgroups: Layout::default(),
        frozen_group: None,
        root: RootFacts {
            existing: existing(&[("/proc", 1), ("/dev", 1), ("/sys", 1)]),
            writable: true,
            ..RootFacts::default()
        },
    }
}

fn joined_groups() -> ControlGroup {
    ControlGroup::Joined(Membership {
        unified: Some("/sys/fs/cgroup/unified/a".into()),
        v1: vec!["/sys/fs/cgroup/cpu/a".into()],
    })
}

/// With limits for two controllers.
fn new_group() -> ControlGroup {
    let limits = Limits {
        memory: MemoryLimits { limit: Some(Bound::At(64 << 20)), ..MemoryLimits::default() },
        pids: Some(Bound::At(100)),
        ..Limits::default()
    };
    ControlGroup::New(Box::new(NewGroup {
        name: "izba-7".to_owned(),
        driver: Driver::Files(Parent::Nearest),
        limits,
        controllers: BTreeSet::new(),
        enforcement: Enforcement::Required,
    }))
}

/// An ordinary user.
fn ordinary() -> Facts {
    Facts { uid: 1000, gid: 1000, effective: Capabilities::NONE, ..privileged() }
}

fn own_ids() -> Namespace<IdMaps> {
    Namespace::New(IdMaps::own_ids((0, 0), (1000, 1000)))
}

fn range(outside: u32, writer: MapWriter) -> Namespace<IdMaps> {
    let map = || IdMap::new(vec![IdRange { inside: 0, outside, count: 65_536 }]).unwrap();
    Namespace::New(IdMaps { uids: map(), gids: map(), writer, deny_setgroups: false })
}

fn with_user(user: Namespace<IdMaps>) -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.namespaces.user = user;
    sandbox
}

fn plan(sandbox: &Sandbox, facts: &Facts) -> Plan {
    Plan::new(sandbox, facts).unwrap()
}

fn refusal(sandbox: &Sandbox, facts: &Facts) -> PlanError {
    Plan::new(sandbox, facts).unwrap_err()
}

fn inside(plan: &Plan) -> Vec<&Call> {
    plan.inside.iter().flat_map(|step| &step.calls).collect()
}

/// With the clone.
fn before(plan: &Plan) -> Vec<&Call> {
    plan.before.iter().chain([&plan.clone]).flat_map(|step| &step.calls).collect()
}

fn outside(plan: &Plan) -> Vec<&Call> {
    plan.outside.iter().flat_map(|step| &step.calls).collect()
}

fn titles(plan: &Plan) -> Vec<&str> {
    plan.inside.iter().map(|step| step.title.as_str()).collect()
}

/// The texts of all calls after the clone, the parent's first.
fn texts(plan: &Plan) -> Vec<String> {
    plan.steps().skip(plan.before.len() + 1).flat_map(|(_, step)| plan.calls(step)).collect()
}

#[track_caller]
fn position(plan: &Plan, text: &str) -> usize {
    let texts = texts(plan);
    texts.iter().position(|call| call.contains(text)).unwrap_or_else(|| panic!("no {text} in {texts:#?}"))
}

fn has(plan: &Plan, text: &str) -> bool {
    texts(plan).iter().any(|call| call.contains(text))
}

/// The host paths that the child copies, and those that the parent copies for it.
fn copied(calls: &[&Call]) -> Vec<String> {
    let path = |call: &&Call| match call {
        Call::OpenTree { from: At::Host(path), .. } => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    calls.iter().filter_map(path).collect()
}

fn bind(target: &str, path: &str, directory: bool) -> Mount {
    Mount {
        target: target.into(),
        source: MountSource::Bind { path: path.into(), directory, recursive: true, idmap: false },
        attributes: MountAttributes::empty(),
    }
}

fn forks(plan: &Plan) -> Vec<&Call> {
    inside(plan).into_iter().filter(|call| matches!(call, Call::Fork { .. } | Call::Vfork)).collect()
}

#[test]
fn the_default_plan_of_root_is_this_one() {
    let plan = plan(&sandbox(), &privileged());
    assert_eq!(plan.clone_flags.names(), "CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWPID|CLONE_NEWNET");
    assert!(plan.outside.is_empty(), "{:?}", plan.outside);
    assert_eq!(
        titles(&plan),
        [
            "leave the caller's session",
            "hear of children that end",
            "show no arguments of the caller's",
            "clear the umask",
            "make the cgroup namespace",
            "hide from ptrace(2)",
            "make every mount private",
            "open the root /srv/root",
            "make a staging area that goes with the old root",
            "attach the root",
            "mount /dev",
            "make devices",
            "make links in /dev",
            "mount /dev/pts",
            "mount /dev/shm",
            "mount /dev/mqueue",
            "mount /proc",
            "mount /sys",
            "hide /proc/acpi",
            "hide /proc/kcore",
            "write-protect /proc/sys",
            "hide /sys/firmware",
            "set the host name",
            "set the loopback up",
            "make it the root, and let the old one go",
            "make the program's process; this one stays as its init",
            "start a new session",
            "join a new session keyring",
            "keep no descriptors but the standard streams",
            "enter the working directory",
            "shrink the bounding set",
            "become user 0 and group 0",
            "set the capabilities",
            "forbid new privileges",
            "restore the caller's umask and signal mask",
            "execute the program",
        ]
    );
    assert!(has(&plan, "mknodat({dev}, \"null\", S_IFCHR|0666, makedev(0x1, 0x3))"));
    assert!(has(&plan, "setgroups(0, [])"));
    assert!(!has(&plan, "mkdirat({parent}"), "nothing is made where everything is there");
}

#[test]
fn a_shell_command_stands_beside_what_has_one() {
    let plan = plan(&sandbox(), &privileged());
    let shell = |title: &str| plan.inside.iter().find(|step| step.title == title).unwrap().shell.as_deref();
    assert_eq!(shell("make every mount private"), Some("mount --make-rprivate /"));
    assert_eq!(shell("set the host name"), Some("hostname box"));
    assert_eq!(shell("hide /proc/kcore"), Some("mount --bind /dev/null /newroot/proc/kcore"));
}
