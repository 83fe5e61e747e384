//! Directories for the writes of `--ephemeral=disk`. Each is locked by the izba that uses it, and the kernel drops the lock
//! with its holder, however that ends: what isn't locked is left over, and swept.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use izba_image::remove_tree;
use izba_sandbox::idmap::IdMaps;
use izba_sys::Errno;
use izba_sys::path::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, statat};

use crate::failure::{Failure, Result};
use crate::inside;

/// The maps of a user namespace that has the ids whose files may be left, if there is one. Asked for only when needed.
pub type Maps<'a> = &'a dyn Fn() -> Result<Option<IdMaps>>;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often a sweeper may take an empty directory from under our hands.
const TRIES: u32 = 100;

/// An empty directory that is ours as long as this lives.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    parent: OwnedFd,
    name: OsString,
    _lock: OwnedFd,
}

/// Where they are, in the cache's directory.
pub fn parent(cache: &Path) -> PathBuf {
    cache.join("scratch")
}

impl Scratch {
    /// Makes one.
    pub fn make(cache: &Path) -> Result<Self> {
        let parent_path = parent(cache);
        let failed = |errno: Errno| {
            Failure::new(format!("cannot make a directory in {}", parent_path.display())).caused_by(&errno)
        };
        match mkdirat(CWD, &parent_path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let parent = openat(CWD, &parent_path, DIRECTORY, Mode::empty()).map_err(failed)?;
        for number in 0..TRIES {
            let name = OsString::from(format!("{}-{number}", std::process::id()));
            match mkdirat(&parent, &name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(failed(errno)),
            }
            if let Some(lock) = claim(&parent, &name) {
                return Ok(Self { path: parent_path.join(&name), parent, name, _lock: lock });
            }
        }
        Err(failed(Errno::EXIST))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with everything in it; files of subordinate ids inside a user namespace that has them.
    pub fn remove(self, maps: Maps<'_>) -> Result<()> {
        remove(&self.parent, &self.name, &self.path, maps)
    }
}

/// Locks a directory that nobody else has, and that is still where it was.
fn claim(parent: &OwnedFd, name: &OsString) -> Option<OwnedFd> {
    let fd = openat(parent, name, DIRECTORY, Mode::empty()).ok()?;
    flock(&fd, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (opened, named) = (fstat(&fd).ok()?, statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?);
    ((opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)).then_some(fd)
}

fn remove(parent: &OwnedFd, name: &OsString, path: &Path, maps: Maps<'_>) -> Result<()> {
    let Err(left) = remove_tree(parent.as_fd(), name) else { return Ok(()) };
    match maps()? {
        Some(maps) => inside::remove(maps, vec![path.as_os_str().to_owned()]),
        None => Err(Failure::from_error(&left)),
    }
}

/// Removes those that killed runs have left; says how many. What can't be removed is in the failures.
pub fn sweep(cache: &Path, maps: Maps<'_>) -> (u64, Vec<Failure>) {
    let path = parent(cache);
    let (mut removed, mut failures) = (0, Vec::new());
    let (Ok(parent), Ok(members)) = (openat(CWD, &path, DIRECTORY, Mode::empty()), std::fs::read_dir(&path)) else {
        return (removed, failures);
    };
    for name in members.filter_map(|member| member.ok().map(|member| member.file_name())) {
        let Some(_lock) = claim(&parent, &name) else { continue };
        match remove(&parent, &name, &path.join(&name), maps) {
            Ok(()) => removed += 1,
            Err(failure) => failures.push(failure),
        }
    }
    (removed, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_left_goes() {
        let cache = std::env::temp_dir().join(format!("izba-scratch-{}", std::process::id()));
        std::fs::create_dir(&cache).unwrap();
        let maps: Maps<'_> = &|| Ok(None);
        let used = Scratch::make(&cache).unwrap();
        let left = Scratch::make(&cache).unwrap();
        std::fs::create_dir_all(left.path().join("upper/a")).unwrap();
        let (used_path, left_path) = (used.path().to_owned(), left.path().to_owned());
        assert_ne!(used_path, left_path);
        drop(left);
        assert_eq!(sweep(&cache, maps).0, 1);
        assert!(used_path.is_dir() && !left_path.exists());
        used.remove(maps).unwrap();
        assert!(!used_path.exists());
        std::fs::remove_dir_all(&cache).unwrap();
    }
}
