//! TARGET: a process, a name, a file or a number that stands for namespaces.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use izba_sandbox::keep::Kept;
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Detail, Id, SeenNamespace, Survey, identify, open_namespace};
use izba_sys::Errno;
use izba_sys::process::{Pid, PidfdFlags, pidfd_open};
use izba_sys::signal;

use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::kept;
use crate::record::{Name, Run};

/// What TARGET stands for.
#[derive(Debug)]
pub enum Target {
    /// A process, with all its namespaces.
    Process(Process),
    /// Namespaces without a process to stand for them.
    Namespaces(Vec<Held>),
}

/// A process that was there when TARGET was looked at.
#[derive(Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Stands for it, whatever becomes of the id.
    pub pidfd: OwnedFd,
}

/// A namespace that is open, and is the one that was meant: what led to it may lead elsewhere by now.
#[derive(Debug)]
pub struct Held {
    /// Which.
    pub id: Id,
    /// Leads to it through our descriptor, and that of the same number in a child.
    pub path: PathBuf,
    _namespace: OwnedFd,
}

impl Held {
    /// What was opened has to be this one, if one is wanted.
    fn new(namespace: OwnedFd, wanted: Option<Id>) -> std::io::Result<Self> {
        let id = identify(namespace.as_fd())?;
        if wanted.is_some_and(|wanted| wanted != id) {
            return Err(Errno::STALE.into());
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", namespace.as_raw_fd()));
        Ok(Self { id, path, _namespace: namespace })
    }
}

/// A namespace, and a file that leads to it.
#[derive(Debug)]
pub struct Place {
    /// Of which kind.
    pub kind: Kind,
    /// A path that can be opened. Below /proc/PID it is the process's as long as that runs: [`Target::check_running`].
    pub path: PathBuf,
}

impl Process {
    /// Finds a process.
    pub fn find(pid: i32) -> Result<Self> {
        let gone = || Failure::new(format!("there is no process {pid}")).remedy("ps ax, izba ps or izba ns list");
        let known = Pid::from_raw(pid).ok_or_else(gone)?;
        let pidfd = pidfd_open(known, PidfdFlags::empty()).map_err(|_| gone())?;
        Ok(Self { pid, pidfd })
    }

    /// Its namespace of this kind.
    pub fn namespace(&self, kind: Kind) -> PathBuf {
        self.file("ns").join(kind.proc_name())
    }

    /// One of its files in /proc.
    pub fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }
}

impl Target {
    /// Its namespaces of the kinds that are named, or all that aren't the caller's own.
    pub fn places(&self, named: &[Kind]) -> Result<Vec<Place>> {
        match self {
            Self::Process(process) => {
                let asked = Kind::ALL.into_iter().filter(|kind| named.is_empty() || named.contains(kind));
                let found = asked.map(|kind| process.place(kind, named.contains(&kind)));
                found.filter_map(Result::transpose).collect()
            }
            Self::Namespaces(all) => {
                if let Some(missing) = named.iter().find(|kind| all.iter().all(|held| held.id.kind != **kind)) {
                    let there: Vec<&str> = all.iter().map(|held| held.id.kind.proc_name()).collect();
                    return Err(Failure::new(format!("there is no {missing} namespace, only {}", there.join(", "))));
                }
                let wanted = all.iter().filter(|held| named.is_empty() || named.contains(&held.id.kind));
                Ok(wanted.map(|held| Place { kind: held.id.kind, path: held.path.clone() }).collect())
            }
        }
    }

    /// Was what has been opened of a process its own? Its number may be another's since.
    pub fn check_running(&self) -> Result<()> {
        let Self::Process(process) = self else { return Ok(()) };
        signal::check_running(process.pidfd.as_raw_fd())
            .map_err(|_| Failure::new(format!("process {} has ended meanwhile", process.pid)))
    }
}

impl Process {
    /// Its namespace of this kind, if it isn't the caller's own. An old kernel may lack the kind.
    fn place(&self, kind: Kind, named: bool) -> Result<Option<Place>> {
        let (pid, path) = (self.pid, self.namespace(kind));
        let own = Path::new("/proc/self/ns").join(kind.proc_name());
        match std::fs::read_link(&path) {
            Ok(theirs) if !named && std::fs::read_link(&own).is_ok_and(|ours| ours == theirs) => Ok(None),
            Ok(_) => Ok(Some(Place { kind, path })),
            Err(error) if error.kind() == ErrorKind::NotFound && !named && !own.exists() => Ok(None),
            Err(error) => {
                let failure =
                    Failure::new(format!("cannot look at the {kind} namespace of process {pid}")).caused_by(&error);
                Err(match error.kind() {
                    ErrorKind::PermissionDenied => failure.remedy(
                        "it takes the rights to trace the process (ptrace(2)): be its user, with no fewer capabilities, or root",
                    ),
                    _ => failure.because("the process is ending or has ended"),
                })
            }
        }
    }
}

/// Finds out what is meant.
pub fn resolve(text: &OsStr, caller: &Caller) -> Result<Target> {
    let shown = text.to_string_lossy();
    if shown.contains('/') {
        return place(&caller.absolute(text)).map(|held| Target::Namespaces(vec![held]));
    }
    if let Some(unique) = shown.strip_prefix("id:") {
        let unique: Option<u64> = unique.parse().ok();
        return seen(&shown, |survey| survey.by_unique(unique?));
    }
    if let Ok(id) = shown.parse::<Id>() {
        return seen(&shown, |survey| survey.namespaces.get(&id));
    }
    match shown.parse::<u64>() {
        Ok(number) if number <= MOST_PROCESSES => {
            Process::find(i32::try_from(number).unwrap_or(0)).map(Target::Process)
        }
        Ok(number) => seen(&shown, |survey| survey.by_inode(number)),
        Err(_) => named(&shown, caller),
    }
}

/// PID_MAX_LIMIT of the kernel. Inode numbers of namespaces are larger.
const MOST_PROCESSES: u64 = 4 << 20;

/// A namespace that the caller can see.
fn seen(shown: &str, find: impl Fn(&Survey) -> Option<&SeenNamespace>) -> Result<Target> {
    let survey = Survey::take(Detail::Leaders).map_err(|error| Failure::new("cannot read /proc").caused_by(&error))?;
    let found = find(&survey).map(|seen| seen.id).ok_or_else(|| {
        Failure::new(format!("there is no namespace {shown}, or you can't see it"))
            .remedy("izba ns list, as root for all")
    })?;
    let no_way = || Failure::new(format!("no way leads to the namespace {found} for you")).remedy("run it as root");
    // It says itself whether it is the one.
    let held = survey.open(found).and_then(|namespace| Held::new(namespace, Some(found)));
    Ok(Target::Namespaces(vec![held.map_err(|error| no_way().caused_by(&error))?]))
}

/// A run, or what is kept under a name.
fn named(shown: &str, caller: &Caller) -> Result<Target> {
    // What can't be a run's name may be one of ip netns.
    let run = shown.parse::<Name>().ok().map(|name| Run::find_if_any(&name, caller)).transpose()?;
    if let Some(run) = run.flatten() {
        let pidfd = run.record.open_program()?;
        return Ok(Target::Process(Process { pid: run.record.program.pid, pidfd }));
    }
    let Kept { namespaces, .. } = kept::find(shown, caller).ok_or_else(|| {
        Failure::new(format!("there is no process, name or namespace {shown:?}"))
            .remedy("izba ps shows runs, izba ns list namespaces and kept names")
    })?;
    let held = namespaces.into_iter().map(|(id, path)| {
        let gone = |error: std::io::Error| {
            Failure::new(format!("the {} namespace of {shown:?} has gone meanwhile", id.kind)).caused_by(&error)
        };
        open_namespace(&path).and_then(|namespace| Held::new(namespace, Some(id))).map_err(gone)
    });
    held.collect::<Result<_>>().map(Target::Namespaces)
}

/// A file that stands for a namespace.
fn place(path: &Path) -> Result<Held> {
    let failed = |error: std::io::Error| {
        let shown = path.display();
        // What open_namespace says of a file that isn't one: ENOTTY.
        if error.raw_os_error() == Some(Errno::NOTTY.raw_os_error()) {
            return Failure::new(format!("{shown} stands for no namespace")).remedy(FILES);
        }
        Failure::new(format!("cannot open {shown}")).caused_by(&error)
    };
    open_namespace(path).and_then(|namespace| Held::new(namespace, None)).map_err(failed)
}

const FILES: &str = "a file such as /proc/PID/ns/net, or one that such a file is bind-mounted on";
