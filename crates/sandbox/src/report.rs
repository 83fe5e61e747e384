//! Failures, in words: what failed, on what, why, and what to do.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use izba_sys::Errno;
use izba_sys::namespace::CloneFlags;

use crate::call::{At, Call, Slot};
use crate::cgroup::device;
use crate::cgroup::systemd::SystemdError;
use crate::diagnose::{self, ExecFailure, Failed, Hint};
use crate::idmap::MapWriter;
use crate::message::Report;
use crate::namespace::Kind;
use crate::plan::{Plan, Step};

/// Why a sandbox didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A call of the caller's own process failed before there was a child.
    #[error("{call} failed: {errno}")]
    Call {
        /// Its name.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The first process couldn't be made.
    #[error("can't make the new namespaces: clone3({}) failed: {errno}", namespaces.names())]
    Clone {
        /// In these new namespaces.
        namespaces: CloneFlags,
        /// Why.
        errno: Errno,
    },
    /// The first process couldn't be made in its control group.
    #[error("can't make the first process in the group {}: clone3(CLONE_INTO_CGROUP) failed: {errno}", group.display())]
    CloneIntoGroup {
        /// This one.
        group: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// The child ended before the program could be executed, and without a word.
    #[error("the sandbox was killed while it was set up")]
    Died,
    /// The same, and the kernel has ended it: its group may have no more memory.
    #[error("the sandbox ran out of memory while it was set up: its group may have {limit} bytes")]
    OutOfMemory {
        /// Bytes.
        limit: u64,
    },
    /// The caller has given it up: [`Start::give_up`](crate::parent::Start::give_up).
    #[error("the start was given up{}", step.as_ref().map(|step| format!(" at the step: {step}")).unwrap_or_default())]
    GivenUp {
        /// The step that it waited for, where that is known: one of the parent's, or any where somebody observes.
        step: Option<String>,
        /// The first process was in this group, which is frozen.
        frozen: Option<PathBuf>,
        /// The first process, where it hasn't ended though it was killed: one that cgroup v1 has frozen does so when it is thawed. It isn't reaped,
        /// and a group that was made for it stays, too.
        left: Option<i32>,
    },
    /// A step of the plan failed.
    #[error("{0}")]
    Step(Box<StepError>),
    /// It failed otherwise, and was given up when the first process didn't end.
    #[error("{error}; process {left} of it was killed, and ends as soon as it can")]
    Left {
        /// The failure.
        error: Box<Self>,
        /// The first process, as in [`GivenUp`](Self::GivenUp).
        left: i32,
    },
}

impl StartError {
    /// The exit status that says so: 127 where the program, or what it needs to run, isn't found; 126 where it can't be executed;
    /// else 125.
    pub fn status(&self) -> i32 {
        match self {
            Self::Step(step) => step.exec.as_ref().map_or(crate::STATUS_FAILED, |exec| i32::from(exec.status)),
            Self::Left { error, .. } => error.status(),
            _ => crate::STATUS_FAILED,
        }
    }

    /// The likely cause and what to do about it, found by looking.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Call { .. } => None,
            Self::Died => Some(Hint {
                cause: "somebody has killed it, or the kernel has for want of memory".to_owned(),
                remedy: "look at dmesg and at the memory limit of your cgroup, and try again".to_owned(),
            }),
            Self::OutOfMemory { .. } => Some(Hint {
                cause: "the program's start, and our own process that attends to it, need some hundred KiB".to_owned(),
                remedy: "a higher memory limit: 1M at least, and what the program itself needs".to_owned(),
            }),
            Self::GivenUp { frozen, left, .. } => given_up(frozen.as_deref(), *left),
            Self::CloneIntoGroup { group, errno } => diagnose::cause(Failed::IntoGroup(group), *errno),
            Self::Clone { namespaces, errno } => diagnose::cause(Failed::Namespaces(&kinds_of(*namespaces)), *errno),
            Self::Step(step) => step.hint.clone(),
            Self::Left { error, .. } => error.hint(),
        }
    }
}

/// What a start that was given up has waited for, and what is left of it.
fn given_up(frozen: Option<&Path>, left: Option<i32>) -> Option<Hint> {
    let stays = left.map(|pid| format!("process {pid} of it was killed, and ends as soon as it can")).into_iter();
    let (cause, remedy) = match (frozen, left) {
        (None, None) => return None,
        (Some(group), _) => {
            let group = group.display();
            let thaw = format!(
                "let the group go on: izba resume, or echo 0 > {group}/cgroup.freeze (v1: THAWED > {group}/freezer.state)"
            );
            (Some(format!("its group {group} is frozen")), thaw)
        }
        (None, Some(pid)) => (None, format!("look at what it waits for in the kernel: cat /proc/{pid}/stack")),
    };
    Some(Hint { cause: cause.into_iter().chain(stays).collect::<Vec<_>>().join("; "), remedy })
}

/// A step of the plan that failed.
#[derive(Debug)]
pub struct StepError {
    /// What it was for.
    pub title: String,
    /// The call, as strace(1) shows it.
    pub call: String,
    /// Why: the errno's words, or what a helper program said.
    pub reason: String,
    hint: Option<Hint>,
    exec: Option<ExecFailure>,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exec {
            Some(exec) => f.write_str(&exec.message),
            None => write!(f, "{} failed: {}: {}", self.title, self.call, self.reason),
        }
    }
}

impl std::error::Error for StepError {}

impl StepError {
    /// Of a step of the parent.
    pub(crate) fn outside(plan: &Plan, step: &Step, call: &Call, problem: Problem) -> Self {
        match problem {
            Problem::Errno(errno) => Self::new(plan, step, call, errno),
            Problem::Helper(said) => Self { reason: said, ..Self::new(plan, step, call, Errno::PERM) },
            Problem::Systemd(error) => {
                let cause = match call {
                    Call::AttachToUnit { .. } => "systemd puts the program into the unit's group",
                    _ => "systemd makes the run's group",
                };
                let hint = Hint { cause: cause.to_owned(), remedy: error.remedy() };
                Self { reason: error.to_string(), hint: Some(hint), ..Self::new(plan, step, call, Errno::IO) }
            }
            // It is no failure of the step's, and the parent makes none of it.
            Problem::GivenUp => Self::new(plan, step, call, Errno::CANCELED),
            Problem::HelperStart(error) => {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                Self { hint: diagnose::cause(Failed::Other, errno), ..Self::new(plan, step, call, errno) }
            }
        }
    }

    /// Of a step of the child, which waits meanwhile, so that `root` is as it was.
    pub(crate) fn inside(plan: &Plan, report: &Report, root: Option<&OwnedFd>) -> Self {
        let nothing = Step { title: "start".to_owned(), shell: None, calls: Vec::new() };
        let step = plan.inside.get(report.step).unwrap_or(&nothing);
        let call = step.calls.get(report.call).unwrap_or(&Call::Exec);
        let errno = Errno::from_raw_os_error(report.errno);
        let mut error = Self::new(plan, step, call, errno);
        if let (Call::Exec, Some(root)) = (call, root) {
            let exec = diagnose::exec_cause(root.as_fd(), &plan.program.directory(), &plan.program.candidates, errno);
            error.hint = None;
            error.exec = Some(exec);
        }
        error
    }

    fn new(plan: &Plan, step: &Step, call: &Call, errno: Errno) -> Self {
        let hint = cause(plan, call, errno);
        let mut text = plan.text_of(call);
        if let (Call::MakeGroup { .. } | Call::MakeGroupAbove { .. }, Some(making)) = (call, text.find("; ")) {
            // What it does then with the directory says nothing to a reader.
            text.truncate(making);
        }
        Self { title: step.title.clone(), call: text, reason: errno.to_string(), hint, exec: None }
    }

    /// What to do about a program that couldn't be executed.
    pub fn exec_remedy(&self) -> Option<&str> {
        self.exec.as_ref().and_then(|exec| exec.remedy.as_deref())
    }
}

/// Why a step of the parent failed.
pub(crate) enum Problem {
    Errno(Errno),
    /// What the helper said.
    Helper(String),
    /// The helper couldn't be run.
    HelperStart(std::io::Error),
    /// The caller waits no longer for the helper.
    GivenUp,
    /// systemd refuses.
    Systemd(Box<SystemdError>),
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// From a call to what it means.
fn cause(plan: &Plan, call: &Call, errno: Errno) -> Option<Hint> {
    let failed = match call {
        Call::OpenTree { from: At::Host(path), .. } => Failed::Bind(host_path(path)),
        Call::Open { at: At::Host(path), .. } => return opened(plan, path, errno),
        Call::MountSetattr { idmap: Some(_), at: At::Slot(slot), .. } => Failed::IdMappedMount(source_of(plan, *slot)),
        Call::FsOpen { .. } | Call::FsConfig { .. } | Call::FsCreate { .. } | Call::FsMount { .. } => {
            Failed::Mount(fstype(plan, call))
        }
        Call::PivotRoot => Failed::PivotRoot,
        Call::Setns { kind, .. } => Failed::Join(Kind::ALL.into_iter().find(|known| known.clone_flag() == *kind)?),
        Call::Fork { .. } | Call::Vfork if errno == Errno::AGAIN => Failed::Processes,
        Call::Fork { .. } | Call::Vfork if errno == Errno::NOMEM && joins(plan, Kind::Pid) => return Some(no_init()),
        // Probing tells of the caller's own user namespace only.
        Call::Fork { namespaces, .. } | Call::Unshare(namespaces) if !joins(plan, Kind::User) => {
            return diagnose::cause(Failed::Namespaces(&kinds_of(*namespaces)), errno);
        }
        Call::SetHostname(_) | Call::SetDomainname(_) => Failed::HostName,
        Call::MakeGroupAbove { path } | Call::MakeGroup { path, .. } => Failed::Group(host_path(path)),
        Call::WriteSetting { at: At::In(slot, path), .. } if plan.is_group(*slot) => Failed::GroupFile(host_path(path)),
        Call::FillGroupAbove { file, .. } => Failed::GroupFile(host_path(file)),
        Call::WriteLimit { files, .. } => Failed::GroupFile(host_path(&files.first()?.0)),
        Call::AttachDevices { .. } => return device::program_refusal(errno),
        Call::WriteSetting { at: At::Host(path), .. } if path.as_bytes().starts_with(b"/sys/fs/cgroup/") => {
            Failed::GroupFile(host_path(path))
        }
        Call::WriteSetting { at: At::In(_, path), .. } => Failed::Sysctl(path.to_str().ok()?.strip_prefix("sys/")?),
        Call::WriteSetting { at: At::Host(path), .. } if path.as_bytes().ends_with(b"oom_score_adj") => {
            Failed::OomScore
        }
        Call::WriteSetting { at: At::Host(path), .. } if path.as_bytes().ends_with(b"timens_offsets") => Failed::Clock,
        Call::SetRlimit { .. } => Failed::Rlimit,
        Call::SetGroups(_) => Failed::Groups,
        Call::SetGid(id) | Call::SetUid(id) => Failed::Id(*id),
        Call::Mknod { .. } => Failed::Device,
        Call::WriteMap { .. } => Failed::IdMap(MapWriter::Direct),
        Call::RunMapHelper { .. } => Failed::IdMap(MapWriter::Helpers),
        Call::Open { to, .. } if plan.is_working_directory(*to) => Failed::WorkingDirectory,
        Call::Open { at: At::In(_, path), .. } | Call::Mkdir { path, .. } | Call::MakeFile { path, .. } => {
            Failed::RootPath(host_path(path))
        }
        Call::LoopbackUp => Failed::Loopback,
        Call::RefuseFilesystem { .. } => return Some(leads_into_proc()),
        _ => Failed::Other,
    };
    diagnose::cause(failed, errno)
}

/// A path of the host that is opened: a namespace to join, or anything else.
fn opened(plan: &Plan, path: &CStr, errno: Errno) -> Option<Hint> {
    let joins = plan.inside.iter().flat_map(|step| &step.calls).find_map(|call| match call {
        Call::Setns { kind, .. } => Kind::ALL.into_iter().find(|known| known.clone_flag() == *kind),
        _ => None,
    });
    match joins {
        Some(kind) if path.to_bytes().starts_with(b"/proc/") => diagnose::cause(Failed::Join(kind), errno),
        _ => diagnose::cause(Failed::HostPath(host_path(path)), errno),
    }
}

fn joins(plan: &Plan, wanted: Kind) -> bool {
    let mut calls = plan.inside.iter().flat_map(|step| &step.calls);
    calls.any(|call| matches!(call, Call::Setns { kind, .. } if *kind == wanted.clone_flag()))
}

fn kinds_of(namespaces: CloneFlags) -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| namespaces.contains(kind.clone_flag())).collect()
}

fn no_init() -> Hint {
    Hint {
        cause: "process 1 of the PID namespace has ended, and without it the kernel makes no process there: pid_namespaces(7)"
            .to_owned(),
        remedy: "leave the PID namespace out, by naming the kinds that are to be entered".to_owned(),
    }
}

fn leads_into_proc() -> Hint {
    Hint {
        cause: "the place to mount on lies in /proc: a link in the root file system leads there".to_owned(),
        remedy: "name the place in /proc itself, if it is meant, or mend the root file system".to_owned(),
    }
}

fn host_path(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

/// The host's path of the mount that a slot holds.
fn source_of(plan: &Plan, slot: Slot) -> &Path {
    let opened = plan.outside.iter().chain(&plan.inside).flat_map(|step| &step.calls).find_map(|call| match call {
        Call::OpenTree { from: At::Host(path), to, .. } if *to == slot => Some(host_path(path)),
        _ => None,
    });
    opened.unwrap_or(Path::new("?"))
}

/// The type of the file system that a call works on.
fn fstype<'a>(plan: &'a Plan, call: &'a Call) -> &'a str {
    let slot = match call {
        Call::FsOpen { fstype, .. } => return fstype.to_str().unwrap_or_default(),
        Call::FsConfig { fs, .. } | Call::FsCreate { fs } | Call::FsMount { fs, .. } => *fs,
        _ => return "",
    };
    let opened = plan.inside.iter().flat_map(|step| &step.calls).find_map(|call| match call {
        Call::FsOpen { fstype, to } if *to == slot => fstype.to_str().ok(),
        _ => None,
    });
    opened.unwrap_or_default()
}
