//! Namespaces that are kept under a name, whether a process is in them or not: namespaces(7), "Namespace lifetime".
//!
//! Who may mount keeps them by bind mounts; network namespaces where ip-netns(8) has its own, so that the names are the same for both. Who
//! may not keeps them by a process that holds their descriptors, which is there until it is ended. A [`Shelf`] is a directory of names;
//! [`netns`] are the names of ip-netns(8), whoever has made them.

mod hold;
pub mod netns;
mod pin;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use izba_sys::Errno;
use izba_sys::path::{CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat};

use crate::namespace::Kind;
use crate::survey::{Id, identify, open_namespace};

/// How long a lock of another's is waited for. Who has it needs a moment only, unless he is stopped.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Namespaces that are kept under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name.
    pub name: String,
    /// Each with a path that leads to it: a bind mount, or a descriptor of the process that holds it.
    pub namespaces: Vec<(Id, PathBuf)>,
    /// How they are kept.
    pub how: Keeping,
}

/// How namespaces are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// By bind mounts: root's way.
    Mounts,
    /// By the descriptors of this process: an ordinary user's way.
    Process(i32),
}

/// Why namespaces can't be kept or let go.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The name is in use.
    #[error("the name {0:?} is taken")]
    Taken(String),
    /// It is no name of a file.
    #[error("{0:?} can't be a name")]
    Invalid(String),
    /// Another process has had the lock for too long.
    #[error("another process has {} locked, and doesn't go on", .0.display())]
    Busy(PathBuf),
    /// The name isn't in use.
    #[error("nothing is kept under the name {0:?}")]
    Unknown(String),
    /// A call failed.
    #[error("cannot {what} {}", path.display())]
    Call {
        /// What was to be done.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl KeepError {
    fn call(what: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Call { what, path: path.to_owned(), source: errno.into() }
    }
}

/// A directory of names, such as /run/izba/ns.
#[derive(Clone, Debug)]
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// The names in this directory, which needn't be there yet. Its parent has to be, and to belong to the caller.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Keeps namespaces, of which no two are of one kind. Either all of them are kept afterwards, or none.
    ///
    /// # Errors
    /// The name is taken or none. A mount namespace is only pinned in one that is older than it: EINVAL, as they would keep each other alive.
    pub fn keep(&self, name: &str, namespaces: &[(Kind, OwnedFd)], how: Way) -> Result<(), KeepError> {
        if !is_name(name) {
            return Err(KeepError::Invalid(name.to_owned()));
        }
        let _alone = self.lock()?;
        if self.find(name).is_some() || (how == Way::Mounts && netns::find(name).is_some()) {
            return Err(KeepError::Taken(name.to_owned()));
        }
        match how {
            Way::Mounts => pin::pin(&self.dir, name, namespaces),
            Way::Process => hold::hold(&self.dir, name, namespaces),
        }
    }

    /// Lets namespaces go: those that nothing else keeps end.
    ///
    /// # Errors
    /// The name isn't known, or something of it can't be removed; the rest is removed then.
    pub fn release(&self, name: &str) -> Result<(), KeepError> {
        let _alone = self.lock()?;
        let unknown = || KeepError::Unknown(name.to_owned());
        if !is_name(name) {
            return Err(unknown());
        }
        let Some(kept) = self.find(name) else {
            pin::clear(&self.dir, name);
            hold::clear(&self.dir, name);
            return Err(unknown());
        };
        match kept.how {
            Keeping::Mounts => pin::unpin(&self.dir, name),
            Keeping::Process(pid) => hold::end(&self.dir, name, pid),
        }
    }

    /// The namespaces that are kept under this name.
    pub fn find(&self, name: &str) -> Option<Kept> {
        is_name(name).then_some(())?;
        let held = hold::holder(&self.dir, name).map(|(pid, descriptors)| {
            let paths = descriptors.into_iter().map(|fd| PathBuf::from(format!("/proc/{pid}/fd/{fd}")));
            (Keeping::Process(pid), paths.collect())
        });
        let (how, paths): (_, Vec<PathBuf>) = held.unwrap_or_else(|| (Keeping::Mounts, pin::paths(&self.dir, name)));
        let namespaces: Vec<_> = paths.into_iter().filter_map(|path| Some((id_of(&path)?, path))).collect();
        (!namespaces.is_empty()).then(|| Kept { name: name.to_owned(), namespaces, how })
    }

    /// All that is kept in the directory, by name.
    pub fn all(&self) -> Vec<Kept> {
        let members = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = members.filter_map(|member| member.file_name().into_string().ok());
        let names: std::collections::BTreeSet<String> = names.collect();
        names.iter().filter_map(|name| self.find(name)).collect()
    }

    /// One at a time changes the names.
    fn lock(&self) -> Result<OwnedFd, KeepError> {
        lock(self.dir.parent().unwrap_or(Path::new("/")))
    }
}

/// In which way namespaces are to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By bind mounts, which takes CAP_SYS_ADMIN over the caller's mount namespace.
    Mounts,
    /// By a process of the caller's.
    Process,
}

/// Opens a directory and locks it for as long as the descriptor is open. Signals may be blocked, so nobody waits for ever.
fn lock(dir: &Path) -> Result<OwnedFd, KeepError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, dir, flags, Mode::empty()).map_err(KeepError::call("open", dir))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(opened),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(KeepError::Busy(dir.to_owned())),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(KeepError::call("lock", dir)(errno)),
        }
    }
}

fn make_directory(dir: &Path, mode: u32) -> Result<(), KeepError> {
    match mkdirat(CWD, dir, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(KeepError::call("make", dir)(errno)),
    }
}

/// Whatever ip-netns(8) takes, but nothing that leads out of the directory.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// Which namespace a path leads to, if any.
fn id_of(path: &Path) -> Option<Id> {
    identify(open_namespace(path).ok()?.as_fd()).ok()
}
