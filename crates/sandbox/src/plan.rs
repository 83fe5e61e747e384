//! The plan: everything that is done from clone3(2) to execve(2), in order, as data.
//!
//! Planning is a pure function of the intent and the [`Facts`], so plans are printed, compared and tested without root.
//! Nothing is done that isn't in the plan.

mod caller;
mod cgroupfs;
mod enter;
mod group;
mod mounts;
mod outside;
mod program;
mod root;
mod system;
#[cfg(test)]
mod tests;
mod view;

pub use view::Actor;

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use izba_sys::namespace::CloneFlags;

use crate::call::{At, Call, Slot};
use crate::facts::Facts;
use crate::namespace::{Kind, Namespace};
use crate::rootfs::{Root, SystemMounts, Writes};
use crate::sandbox::{Init, Sandbox};

/// An ordered list of steps, for the parent and for the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What clone3(2) makes anew for the first child.
    pub(crate) clone_flags: CloneFlags,
    /// The cgroup v2 group that it is made in, if it isn't the caller's.
    pub(crate) group: Option<Slot>,
    /// The clone itself, as a step.
    pub(crate) clone: Step,
    /// Done by the parent before there is a child.
    pub(crate) before: Vec<Step>,
    /// Done by the parent while the child waits.
    pub(crate) outside: Vec<Step>,
    /// Done by the child, and after its fork by the program's process.
    pub(crate) inside: Vec<Step>,
    /// What each slot stands for.
    pub(crate) slots: Vec<String>,
    /// Does the start go on without the limits that the kernel refuses?
    pub(crate) best_effort: bool,
    /// What is executed in the end.
    pub(crate) program: Program,
    /// What the user should know of this plan: what can't be promised.
    pub notes: Vec<String>,
}

/// What no plan enforces yet.
pub const NOT_ENFORCED: [&str; 3] = ["a seccomp filter", "Landlock rules", "LSM labels"];

/// What execve(2) gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub candidates: Vec<CString>,
    /// To explain why a relative candidate isn't found: absolute in the root; `None` is where the caller is.
    pub cwd: Option<PathBuf>,
    pub args: Vec<CString>,
    pub env: Vec<CString>,
}

impl Program {
    /// Where it starts, as far as is known from outside.
    pub(crate) fn directory(&self) -> PathBuf {
        self.cwd.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_else(|| "/".into())
    }
}

/// A few calls with one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What for: "mount /proc".
    pub title: String,
    /// A shell command that would do about the same.
    pub shell: Option<String>,
    pub(crate) calls: Vec<Call>,
}

/// Why there can be no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct PlanError {
    /// What can't be done and why.
    pub problem: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl PlanError {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: Some(remedy.into()) }
    }
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// What is wanted can't be had together, or not on this machine.
    pub fn new(sandbox: &Sandbox, facts: &Facts) -> Result<Self, PlanError> {
        check(sandbox)?;
        check_overlay(sandbox, facts)?;
        let mut planner = Planner::new(sandbox, facts);
        planner.control_group()?;
        planner.receive_from_parent();
        planner.enter_namespaces();
        planner.fork_early();
        if let Root::Caller(kept) = &sandbox.root {
            planner.change_mounts(kept)?;
        } else {
            planner.open_sources()?;
            planner.open_root();
            planner.mount_system()?;
            // Before anything of the user's is mounted, so that no link leads there.
            planner.provide_files();
            planner.mount_wanted();
            planner.protect_root();
        }
        planner.set_up_namespaces();
        planner.change_root();
        planner.become_program()?;
        Ok(planner.finish())
    }
}

impl Plan {
    /// Is this a control group that the plan makes?
    pub(crate) fn is_group(&self, slot: Slot) -> bool {
        let mut calls = self.before.iter().flat_map(|step| &step.calls);
        calls.any(|call| matches!(call, Call::MakeGroup { to, .. } if *to == slot))
    }

    /// The cgroup v2 group in which the first process is made, if it isn't the caller's.
    pub(crate) fn first_group(&self) -> Option<&Path> {
        let mut calls = self.before.iter().flat_map(|step| &step.calls);
        calls.find_map(|call| match call {
            Call::MakeGroup { path, to, .. } | Call::Open { at: At::Host(path), to, .. } if Some(*to) == self.group => {
                Some(Path::new(OsStr::from_bytes(path.to_bytes())))
            }
            _ => None,
        })
    }

    /// Is this where the working directory is opened?
    pub(crate) fn is_working_directory(&self, slot: Slot) -> bool {
        self.slots.get(usize::from(slot.0)).is_some_and(|name| name == program::WORKING_DIRECTORY)
    }
}

/// What can't go together, whatever the machine.
fn check(sandbox: &Sandbox) -> Result<(), PlanError> {
    let namespaces = &sandbox.namespaces;
    if !sandbox.root.is_callers() && !namespaces.is_new(Kind::Mount) {
        return Err(PlanError::new(
            "a root file system is mounted in a mount namespace of its own, but the mount namespace is not to be new",
            "leave the mount namespace new, or give / as the root: then nothing is mounted",
        ));
    }
    let mounts_nothing = sandbox.root.is_callers();
    if mounts_nothing && !(sandbox.mounts.is_empty() && sandbox.files.is_empty()) {
        return Err(PlanError::new(
            "mounts are made in a mount namespace of the sandbox's own, but the caller's root is kept as it is",
            "leave the mounts out, or let the mount namespace be new",
        ));
    }
    if (mounts_nothing || sandbox.system != SystemMounts::Private) && !sandbox.sysctls.is_empty() {
        return Err(PlanError::new(
            "kernel settings are written through a /proc of the sandbox's own, and none is mounted",
            "leave them out, or let the mount namespace be new",
        ));
    }
    if let Root::Caller(kept) = &sandbox.root
        && (kept.proc || kept.propagation.is_some())
        && !namespaces.is_new(Kind::Mount)
    {
        return Err(PlanError::new(
            "a change of mounts would be seen by everybody in the mount namespace, which is not new",
            "let the mount namespace be new, or leave out the propagation and the new /proc",
        ));
    }
    if !namespaces.is_new(Kind::Uts) && (sandbox.hostname.is_some() || sandbox.domainname.is_some()) {
        return Err(PlanError::new(
            "the host name would be changed for the whole UTS namespace, which is not new",
            "leave out the host name, or let the UTS namespace be new",
        ));
    }
    Ok(())
}

/// In a user namespace mounts can't be separated from what is mounted below them: mount_namespaces(7), "locked".
fn check_overlay(sandbox: &Sandbox, facts: &Facts) -> Result<(), PlanError> {
    let Root::Directory { writes, .. } = &sandbox.root else { return Ok(()) };
    let overlay = matches!(writes, Writes::DiscardedFromMemory { .. } | Writes::DiscardedFromDisk { .. });
    let confined = !facts.initial_user_namespace || !facts.may("SYS_ADMIN");
    if overlay && confined && !facts.root.submounts.is_empty() {
        let mounted = facts.root.submounts.join(", ");
        return Err(PlanError::new(
            format!(
                "an overlay can't be laid over a directory with other mounts below it in a user namespace: {mounted}"
            ),
            "unmount them, leave out --ephemeral, or run izba as root",
        ));
    }
    Ok(())
}

/// What is gathered while planning.
struct Planner<'a> {
    sandbox: &'a Sandbox,
    facts: &'a Facts,
    before: Vec<Step>,
    outside: Vec<Step>,
    inside: Vec<Step>,
    slots: Vec<String>,
    notes: Vec<String>,
    /// The cgroup v2 group of the first process.
    group: Option<Slot>,
    /// v1 groups that it joins.
    joined_v1: Vec<PathBuf>,
    /// What of its groups the program sees.
    shown_groups: Vec<cgroupfs::Shown>,
    /// Slots that the parent fills and sends.
    received: Vec<Slot>,
    sources: mounts::Sources,
    /// A copy of the root directory's mount.
    root_source: Slot,
    /// The child's user namespace, in the parent.
    child_user: Option<Slot>,
    root: Option<Slot>,
    /// A tmpfs that goes with the old root.
    staging: Slot,
    /// Provided files that a layer of an overlay has.
    layered: BTreeSet<PathBuf>,
    /// Is the root made read-only when everything has been mounted in it?
    protected: bool,
    /// Has something of the user's been mounted in the root?
    mounted: bool,
    proc: Option<Slot>,
    dev: Option<Slot>,
    devpts: Option<Slot>,
    /// The outer end of a terminal of the caller's, where the root that the program gets has none.
    callers_terminal: Option<Slot>,
    /// The caller's procfs, for who wants namespaces of the program's handed out.
    callers_proc: Option<Slot>,
    /// A working directory that was looked up before any namespace was joined.
    outer_directory: Option<Slot>,
}

impl<'a> Planner<'a> {
    fn new(sandbox: &'a Sandbox, facts: &'a Facts) -> Self {
        Self {
            sandbox,
            facts,
            before: Vec::new(),
            outside: Vec::new(),
            inside: Vec::new(),
            slots: vec!["staging".to_owned(), "root".to_owned()],
            notes: Vec::new(),
            group: None,
            joined_v1: Vec::new(),
            shown_groups: Vec::new(),
            received: Vec::new(),
            sources: mounts::Sources::default(),
            root_source: Slot(1),
            child_user: None,
            root: None,
            staging: Slot(0),
            layered: BTreeSet::new(),
            protected: false,
            mounted: false,
            proc: None,
            dev: None,
            devpts: None,
            callers_terminal: None,
            callers_proc: None,
            outer_directory: None,
        }
    }

    fn slot(&mut self, name: impl Into<String>) -> Slot {
        self.slots.push(name.into());
        // A plan has some hundred slots at most: one or two for each mount.
        Slot(u16::try_from(self.slots.len() - 1).unwrap_or(u16::MAX))
    }

    fn step(&mut self, title: impl Into<String>, shell: impl Into<Option<String>>, calls: Vec<Call>) {
        if !calls.is_empty() {
            self.inside.push(Step { title: title.into(), shell: shell.into(), calls });
        }
    }

    fn is_new(&self, kind: Kind) -> bool {
        self.sandbox.namespaces.is_new(kind)
    }

    /// Has the child the rights over its namespace of this kind that a fresh mount of it needs? In a new user namespace
    /// only over what is new or joined with it.
    fn owns(&self, kind: Kind) -> bool {
        match self.sandbox.namespaces.user {
            Namespace::Share => true,
            Namespace::New(_) => self.is_new(kind),
            Namespace::Join(_) => !self.sandbox.namespaces.is_shared(kind),
        }
    }

    /// Does the caller hold rights over mounts that the child, in a new user namespace, won't have?
    fn privileged_outside(&self) -> bool {
        self.is_new(Kind::User) && self.facts.may("SYS_ADMIN")
    }

    /// Has a second process to be made before anything is mounted? Joined namespaces of two kinds are only entered by
    /// children, a program that is PID 1 needs a supervisor outside, and what a joined user namespace is to own has to be made
    /// after it was entered.
    fn forks_early(&self) -> bool {
        let joined = |kind| self.sandbox.namespaces.joined(kind).is_some();
        joined(Kind::User) || joined(Kind::Pid) || joined(Kind::Time) || self.program_is_pid_1()
    }

    fn program_is_pid_1(&self) -> bool {
        self.is_new(Kind::Pid) && self.sandbox.process.init == Init::Program
    }

    /// Does the process that has set everything up make the program's process and stay?
    fn forks_late(&self) -> bool {
        !self.forks_early() || (self.is_new(Kind::Pid) && !self.program_is_pid_1())
    }

    /// What is made anew by the first clone, or, where it can only come later, by the early fork.
    fn flags_of_early_fork(&self) -> CloneFlags {
        if self.sandbox.namespaces.joined(Kind::User).is_some() {
            self.new_flags()
        } else if self.program_is_pid_1() {
            CloneFlags::NEWPID
        } else {
            CloneFlags::empty()
        }
    }

    /// A time namespace comes by unshare(2), as its clocks have to be set before the first process enters; a cgroup namespace too, as it begins
    /// at the groups of who makes it.
    fn new_flags(&self) -> CloneFlags {
        let new = self.sandbox.namespaces.new_kinds().filter(|&kind| !matches!(kind, Kind::Time | Kind::Cgroup));
        new.fold(CloneFlags::empty(), |flags, kind| flags | kind.clone_flag())
    }

    fn finish(mut self) -> Plan {
        self.release_child();
        let process = &self.sandbox.process;
        let later = if self.forks_early() { self.flags_of_early_fork() } else { CloneFlags::empty() };
        let clone_flags = self.new_flags() - later;
        let best_effort = self.is_best_effort();
        Plan {
            clone_flags,
            group: self.group,
            clone: clone_step(clone_flags, self.group),
            before: self.before,
            outside: self.outside,
            inside: self.inside,
            slots: self.slots,
            best_effort,
            program: Program {
                candidates: process.candidates.clone(),
                cwd: program::shown_directory(&process.cwd),
                args: process.args.clone(),
                env: process.env.clone(),
            },
            notes: self.notes,
        }
    }
}

fn clone_step(namespaces: CloneFlags, group: Option<Slot>) -> Step {
    let kinds = Kind::ALL.into_iter().filter(|kind| namespaces.contains(kind.clone_flag()));
    let options: Vec<&str> = kinds.map(Kind::unshare_option).collect();
    let shell = format!("unshare {} --fork", options.join(" "));
    Step {
        title: "make the first process, in new namespaces".to_owned(),
        shell: Some(shell),
        calls: vec![Call::Fork { namespaces, group }],
    }
}

/// A path as the kernel takes it. The command line can't hold a NUL, and other callers' are cut there.
fn c_path(path: impl AsRef<OsStr>) -> CString {
    let bytes = path.as_ref().as_bytes();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}

/// An absolute path of the new root, relative to it; the root itself is ".".
fn in_root(path: impl AsRef<OsStr>) -> CString {
    let bytes = path.as_ref().as_bytes();
    let start = bytes.iter().position(|&byte| byte != b'/').unwrap_or(bytes.len());
    let relative = &bytes[start..];
    c_path(OsStr::from_bytes(if relative.is_empty() { b"." } else { relative }))
}
