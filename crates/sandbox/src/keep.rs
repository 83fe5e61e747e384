//! Namespaces that are kept under a name, whether a process is in them or not: namespaces(7), "Namespace lifetime".
//!
//! Who may mount keeps them by bind mounts; network namespaces where ip-netns(8) has its own, so that the names are the same for both. Who
//! may not keeps them by a process that holds their descriptors, which is there until it is ended. A [`Shelf`] is the directory of names.

mod hold;
mod pin;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use izba_sys::path::{CWD, FlockOperation, Mode, OFlags, flock, openat};

use crate::namespace::Kind;
use crate::survey::{Id, identify, open_namespace};

/// Where ip-netns(8) keeps names of network namespaces.
const NETNS: &str = "/run/netns";

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
    fn call(what: &'static str, path: &Path) -> impl FnOnce(izba_sys::Errno) -> Self {
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
    /// The name is taken. A mount namespace is only pinned in one that is older than it: EINVAL, as they would keep each other alive.
    pub fn keep(&self, name: &str, namespaces: &[(Kind, OwnedFd)], how: Way) -> Result<(), KeepError> {
        let _alone = self.lock()?;
        if self.find(name).is_some() || !is_name(name) {
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

    /// All that is kept, by name; those of ip-netns(8) too.
    pub fn all(&self) -> Vec<Kept> {
        let listed = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let names =
            listed(&self.dir).chain(listed(Path::new(NETNS))).filter_map(|entry| entry.file_name().into_string().ok());
        let names: std::collections::BTreeSet<String> = names.collect();
        names.iter().filter_map(|name| self.find(name)).collect()
    }

    /// One at a time changes the names.
    fn lock(&self) -> Result<OwnedFd, KeepError> {
        let parent = self.dir.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, parent, flags, Mode::empty()).map_err(KeepError::call("open", parent))?;
        flock(&dir, FlockOperation::LockExclusive).map_err(KeepError::call("lock", parent))?;
        Ok(dir)
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

/// Whatever ip-netns(8) takes, but nothing that leads out of the directory.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// Which namespace a path leads to, if any.
fn id_of(path: &Path) -> Option<Id> {
    identify(open_namespace(path).ok()?.as_fd()).ok()
}
