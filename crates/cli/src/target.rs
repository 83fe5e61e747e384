//! TARGET: a process, a name, a file or a number that stands for namespaces.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use izba_sandbox::namespace::Kind;
use izba_sys::nsfs;
use izba_sys::path::OFlags;
use izba_sys::process::{Pid, PidfdFlags, pidfd_open};

use crate::caller::Caller;
use crate::failure::{Failure, Result};

/// Where `ip netns` keeps network namespaces.
const NETNS: &str = "/run/netns";

/// What TARGET stands for.
#[derive(Debug)]
pub enum Target {
    /// A process, with all its namespaces.
    Process(Process),
    /// Namespaces without a process to stand for them.
    Namespaces(Vec<Place>),
}

/// A process that was there when TARGET was looked at.
#[derive(Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Stands for it, whatever becomes of the id.
    pub pidfd: OwnedFd,
}

/// A namespace, and a file that leads to it.
#[derive(Debug)]
pub struct Place {
    /// Of which kind.
    pub kind: Kind,
    /// A path that can be opened.
    pub path: PathBuf,
    /// What the path leads through, where it is a descriptor of ours.
    pub held: Option<OwnedFd>,
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

/// Finds out what is meant.
pub fn resolve(text: &OsStr, caller: &Caller) -> Result<Target> {
    let shown = text.to_string_lossy();
    if shown.contains('/') {
        return place(&caller.absolute(text)).map(|place| Target::Namespaces(vec![place]));
    }
    if let Ok(pid) = shown.parse::<i32>() {
        return Process::find(pid).map(Target::Process);
    }
    let netns = Path::new(NETNS).join(text);
    if !shown.is_empty() && netns.exists() {
        return place(&netns).map(|place| Target::Namespaces(vec![place]));
    }
    Err(Failure::new(format!("there is no process, name or namespace {shown:?}"))
        .remedy("izba ps shows runs, izba ns list namespaces and kept names, ip netns its own"))
}

/// A file that stands for a namespace.
fn place(path: &Path) -> Result<Place> {
    let shown = path.display();
    let failed = |error: io::Error| Failure::new(format!("cannot open {shown}")).caused_by(&error);
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    let kind = kind_of(&file).ok_or_else(|| {
        Failure::new(format!("{shown} stands for no namespace"))
            .remedy("a file such as /proc/PID/ns/net, or one that such a file is bind-mounted on")
    })?;
    Ok(Place { kind, path: path.to_owned(), held: None })
}

fn kind_of(file: &File) -> Option<Kind> {
    let flag = nsfs::kind(file.as_fd()).ok()?;
    Kind::ALL.into_iter().find(|kind| kind.clone_flag() == flag)
}
