//! A group that this process has made, and removes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use izba_sys::Errno;
use izba_sys::path::{CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, rmdir, stat};

use super::group::RemoveError;
use super::{Controller, Group, Place, Unit};

/// How long the kernel may take to let go of processes that have been killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often another izba may sweep what we have just made, before we have it locked.
const TRIES: u32 = 10;

/// A group that was made for a sandbox. Every directory of it is locked (flock(2)) as long as this lives: the kernel drops the lock with its
/// holder, so a group that has none was left behind ([`remove_abandoned`]).
///
/// Dropping it removes the group if nobody is in it any more.
#[derive(Debug, Default)]
pub struct OwnGroup {
    place: Place,
    /// Groups above it that were made with it, from the top down.
    above: Vec<PathBuf>,
    locks: Vec<OwnedFd>,
}

impl OwnGroup {
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Makes a group above the new one, if it isn't there.
    pub(crate) fn make_above(&mut self, path: &Path) -> Result<(), Errno> {
        match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
            Ok(()) => {
                self.above.push(path.to_owned());
                Ok(())
            }
        }
    }

    /// Makes the directory for these v1 controllers, or, without any, the one in the cgroup v2 hierarchy. What a killed process has left there
    /// is removed first.
    pub(crate) fn make(&mut self, path: &Path, controllers: &[Controller]) -> Result<OwnedFd, Errno> {
        let made = match make_locked(path) {
            Err(Errno::EXIST) if remove_abandoned(path) => make_locked(path),
            made => made,
        };
        let (dir, lock) = made?;
        self.locks.push(lock);
        match controllers {
            [] => self.place.unified = Some(path.to_owned()),
            controllers => self.place.v1.extend(controllers.iter().map(|&controller| (controller, path.to_owned()))),
        }
        Ok(dir)
    }

    /// A group that systemd has made, and forgets when nobody is in it any more.
    pub(crate) fn adopt(&mut self, path: &Path, unit: Unit) -> Result<OwnedFd, Errno> {
        let dir = open(path)?;
        self.place = Place { unified: Some(path.to_owned()), unit: Some(unit), ..Place::default() };
        Ok(dir)
    }

    /// Ends what is left in it, and removes it with its sub-groups, and what was made above it. Goes on after a failure.
    ///
    /// # Errors
    /// What couldn't be removed, and why: a process doesn't end.
    pub fn remove(mut self) -> Result<(), RemoveError> {
        if self.remove_empty() {
            self.place = Place::default();
            self.above.clear();
            return Ok(());
        }
        let group = Group::open_rest(&self.place).map_err(|error| RemoveError { errors: vec![error] })?;
        group.remove(PATIENCE)
    }

    /// The usual end: nobody is in it any more, and nothing was made below it. Was that all?
    fn remove_empty(&self) -> bool {
        let removed = self.place.dirs().filter(|dir| rmdir(*dir).is_ok()).count() == self.place.dirs().count();
        for above in self.above.iter().rev() {
            // Others may have groups there by now.
            let _in_use = rmdir(above);
        }
        removed
    }
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        self.remove_empty();
    }
}

/// The directory, and a descriptor of it that holds the lock.
fn make_locked(path: &Path) -> Result<(OwnedFd, OwnedFd), Errno> {
    for _ in 0..TRIES {
        mkdirat(CWD, path, Mode::from_raw_mode(0o755))?;
        let dir = open(path).and_then(|dir| Ok((dir, open(path)?)));
        if let Ok((dir, lock)) = dir
            && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
            && is_at(&lock, path)
        {
            return Ok((dir, lock));
        }
    }
    Err(Errno::EXIST)
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Is it still what the path leads to?
fn is_at(dir: &OwnedFd, path: &Path) -> bool {
    matches!((fstat(dir.as_fd()), stat(path)), (Ok(opened), Ok(found)) if opened.st_ino == found.st_ino)
}

/// Ends what is left in a directory of a group whose maker has ended without doing it, and removes it. `false` where somebody holds its lock, or it
/// can't be removed.
pub fn remove_abandoned(path: &Path) -> bool {
    let Ok(dir) = open(path) else { return false };
    let abandoned = flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&dir, path);
    abandoned && (rmdir(path).is_ok() || remove_occupied(path))
}

fn remove_occupied(path: &Path) -> bool {
    let place = Place { unified: Some(path.to_owned()), ..Place::default() };
    Group::open(&place).is_ok_and(|group| group.remove(PATIENCE).is_ok())
}
