//! A group that this process has made, and removes.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use izba_sys::Errno;
use izba_sys::path::{CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, rmdir, stat};

use super::group::RemoveError;
use super::{Controller, Group, Place, Unit};

/// How long the kernel may take to let go of processes that have been killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sticky bit, which mkdir(2) sets at once, says that a group is one of ours: nothing else gives it to a group, so that neither a scope of systemd's
/// nor what somebody else has called alike is taken for abandoned.
const MODE: u32 = 0o1755;

/// How often a name is tried that another izba is just sweeping, or sweeps before we have locked what we have just made.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

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
        let (dir, lock) = make_locked(path)?;
        self.locks.push(lock);
        match controllers {
            [] => self.place.unified = Some(path.to_owned()),
            controllers => self.place.v1.extend(controllers.iter().map(|&controller| (controller, path.to_owned()))),
        }
        Ok(dir)
    }

    /// A group that systemd has made, and forgets when nobody is in it any more. One that doesn't list `process` isn't ours: ESRCH.
    pub(crate) fn adopt(&mut self, path: &Path, unit: Unit, process: i32) -> Result<OwnedFd, Errno> {
        let dir = open(path)?;
        if !members(&dir)?.lines().any(|line| line.parse() == Ok(process)) {
            return Err(Errno::SRCH);
        }
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
    ///
    /// The cgroup v2 directory, which is the first to be made, is the last to go: who looks for what was left looks there.
    fn remove_empty(&self) -> bool {
        let mut dirs: Vec<&Path> = self.place.dirs().collect();
        dirs.reverse();
        let removed = dirs.iter().filter(|dir| rmdir(**dir).is_ok()).count() == dirs.len();
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
        match mkdirat(CWD, path, Mode::from_raw_mode(MODE)) {
            Ok(()) => match lock(path) {
                Ok(None) => {}
                Ok(Some(locked)) => return Ok(locked),
                Err(errno) => {
                    let _empty = rmdir(path);
                    return Err(errno);
                }
            },
            Err(Errno::EXIST) if open(path).is_ok_and(|dir| !is_ours(&dir)) => return Err(Errno::EXIST),
            Err(Errno::EXIST) if matches!(remove_abandoned(path), Ok(true)) => {}
            Err(Errno::EXIST) => std::thread::sleep(PAUSE),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

/// `None` where somebody sweeps it.
fn lock(path: &Path) -> Result<Option<(OwnedFd, OwnedFd)>, Errno> {
    let (dir, lock) = match open(path).and_then(|dir| Ok((dir, open(path)?))) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&lock, path);
    Ok(locked.then_some((dir, lock)))
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn members(dir: &OwnedFd) -> Result<String, Errno> {
    let procs = openat(dir, "cgroup.procs", OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    std::io::read_to_string(File::from(procs)).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Is it still what the path leads to?
fn is_at(dir: &OwnedFd, path: &Path) -> bool {
    matches!((fstat(dir.as_fd()), stat(path)), (Ok(opened), Ok(found)) if opened.st_ino == found.st_ino)
}

/// Ends what is left in a directory of a group whose maker has ended without doing it, and removes it. `false` where the maker holds its lock,
/// somebody else removes it, or it is none that an [`OwnGroup`] has made.
///
/// # Errors
/// What is left can't be removed, and why.
pub fn remove_abandoned(path: &Path) -> Result<bool, RemoveError> {
    let Ok(dir) = open(path) else { return Ok(false) };
    let abandoned = is_ours(&dir) && flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&dir, path);
    if !abandoned || rmdir(path).is_ok() {
        return Ok(abandoned);
    }
    // Its version is seen from the file system that it is in.
    let place = Place { unified: Some(path.to_owned()), ..Place::default() };
    let group = Group::open(&place).map_err(|error| RemoveError { errors: vec![error] })?;
    group.remove(PATIENCE).map(|()| true)
}

fn is_ours(dir: &OwnedFd) -> bool {
    fstat(dir.as_fd()).is_ok_and(|found| Mode::from_raw_mode(found.st_mode).contains(Mode::SVTX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn top() -> &'static Path {
        let tops = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        tops.into_iter().find(|top| top.join("cgroup.procs").exists()).unwrap()
    }

    #[test]
    fn what_is_just_being_made_survives_sweeping() {
        let path = top().join(format!("izba-test-own-{}", std::process::id()));
        let done = AtomicBool::new(false);
        let swept = std::thread::scope(|scope| {
            let sweepers = [0, 1].map(|_| {
                scope.spawn(|| {
                    let mut swept = 0;
                    while !done.load(Ordering::Relaxed) {
                        swept += u32::from(remove_abandoned(&path).unwrap());
                    }
                    swept
                })
            });
            for _ in 0..300 {
                let mut group = OwnGroup::default();
                let dir = group.make(&path, &[]).unwrap();
                assert!(is_at(&dir, &path));
                // As if it were killed: the locks go, and the directory stays.
                group.place = Place::default();
            }
            done.store(true, Ordering::Relaxed);
            sweepers.map(|sweeper| sweeper.join().unwrap()).iter().sum::<u32>()
        });
        assert!(swept > 0, "the sweepers have never met a group");
        remove_abandoned(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_group_without_the_process_is_not_adopted() {
        let path = top().join(format!("izba-test-adopt-{}", std::process::id()));
        let (mut made, mut adopted) = (OwnGroup::default(), OwnGroup::default());
        made.make(&path, &[]).unwrap();
        let unit = || Unit { name: "a.scope".to_owned(), manager: crate::cgroup::Manager::System };
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let process = child.id().cast_signed();
        let without = adopted.adopt(&path, unit(), process).unwrap_err();
        let place = std::mem::take(&mut adopted.place);
        std::fs::write(path.join("cgroup.procs"), child.id().to_string()).unwrap();
        let with = adopted.adopt(&path, unit(), process);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((without, place), (Errno::SRCH, Place::default()));
        assert!(with.is_ok());
        made.remove().unwrap();
    }

    #[test]
    fn a_name_that_is_held_is_not_had() {
        let path = top().join(format!("izba-test-held-{}", std::process::id()));
        let (mut first, mut second) = (OwnGroup::default(), OwnGroup::default());
        first.make(&path, &[]).unwrap();
        assert_eq!(second.make(&path, &[]).unwrap_err(), Errno::EXIST);
        assert!(!remove_abandoned(&path).unwrap());
        first.remove().unwrap();
        second.make(&path, &[]).unwrap();
        drop(second);
        assert!(!path.exists());
    }
}
