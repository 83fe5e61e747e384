//! A group that this process has made, and removes.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use izba_sys::Errno;
use izba_sys::path::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, chmodat, fchmod, fcntl_dupfd_cloexec, flock, fstat, mkdirat, openat,
    read, rmdir, stat, write,
};

use super::group::RemoveError;
use super::{Controller, Group, Place, Unit};

/// How long the kernel may take to let go of processes that have been killed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// For who sweeps beside other work: nearly all have gone by then, and the next sweep finds the rest.
pub const SHORT_PATIENCE: Duration = Duration::from_millis(100);

/// The sticky bit, which mkdir(2) sets at once, says that a group is one of ours: nothing else gives it to a group, so that neither a scope of systemd's
/// nor what somebody else has called alike is taken for abandoned.
const MODE: u32 = 0o1755;

/// With the set-group-ID bit too it is a group above that was made for one of ours: it goes when it is empty, and what is in it is never ended.
const MODE_ABOVE: u32 = 0o3755;

/// mkdir(2) gives no set-group-ID bit, but that of the directory above. Until it has its own, such a group can be told from one of ours by what its owner, who needs it least, may not: list it.
const MODE_NEW_ABOVE: u32 = 0o1355;

/// How often a name is tried that another izba is just sweeping, or sweeps before we have locked what we have just made.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// A group that was made for a sandbox. Every directory of it is locked (flock(2)) as long as this lives: the kernel drops the lock with its
/// holder, so a group that has none was left behind ([`remove_abandoned`]).
///
/// Dropping it removes the group if nobody is in it any more. One that systemd has made is removed by systemd.
#[derive(Debug, Default)]
pub struct OwnGroup {
    place: Place,
    /// Groups above it that were made with it, or by another run, from the top down.
    above: Vec<PathBuf>,
    locks: Vec<OwnedFd>,
}

impl OwnGroup {
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Makes a group above the new one, if it isn't there. Who is the last to need it removes it.
    pub(crate) fn make_above(&mut self, path: &Path) -> Result<(), Errno> {
        match mkdirat(CWD, path, Mode::from_raw_mode(MODE_NEW_ABOVE)) {
            Err(Errno::EXIST) => {}
            // Not by a descriptor: it can't be opened yet.
            made => made.and_then(|()| chmodat(CWD, path, Mode::from_raw_mode(MODE_ABOVE), AtFlags::empty()))?,
        }
        if !self.above.iter().any(|above| above == path) {
            self.above.push(path.to_owned());
        }
        Ok(())
    }

    /// Makes the directory for these v1 controllers, or, without any, the one in the cgroup v2 hierarchy. What a killed process has left there
    /// is removed first.
    pub(crate) fn make(&mut self, path: &Path, controllers: &[Controller]) -> Result<OwnedFd, Errno> {
        let lock = make_locked(path)?;
        // The caller's copy is closed with its slots, while the child starts. The lock is the open file's (flock(2)), so it stays with the other one, in `locks`.
        let dir = fcntl_dupfd_cloexec(&lock, 0);
        self.locks.push(lock);
        match controllers {
            [] => self.place.unified = Some(path.to_owned()),
            controllers => self.place.v1.extend(controllers.iter().map(|&controller| (controller, path.to_owned()))),
        }
        dir
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

    /// Ends what is left in it, and removes it with its sub-groups, and what was made above it. Goes on after a failure. A group that systemd has made
    /// is removed by systemd, soon after.
    ///
    /// # Errors
    /// What couldn't be removed, and why: a process doesn't end.
    pub fn remove(self) -> Result<(), RemoveError> {
        self.remove_within(PATIENCE)
    }

    /// The same for who has less patience.
    pub(crate) fn remove_within(mut self, patience: Duration) -> Result<(), RemoveError> {
        if self.place.unit.is_none() && self.remove_empty() {
            self.place = Place::default();
            self.above.clear();
            return Ok(());
        }
        let failed = |error| RemoveError { errors: vec![error] };
        let group = Group::open_rest(&self.place).map_err(failed)?;
        match self.place.unit {
            // systemd hears from cgroup.events that nobody is in its group any more. The kernel may be late with that, and nobody hears of it where
            // the directory has been removed meanwhile: the unit would stay for ever.
            Some(_) => group.kill(patience).map_err(failed),
            None => group.remove(patience),
        }
    }

    /// The usual end: nobody is in it any more, and nothing was made below it. Was that all?
    fn remove_empty(&self) -> bool {
        let mut dirs: Vec<&Path> = self.place.dirs().collect();
        dirs.reverse();
        let removed = dirs.iter().filter(|dir| rmdir(**dir).is_ok()).count() == dirs.len();
        for above in self.above.iter().rev() {
            // Others may have groups there.
            let _in_use = remove_above(above);
        }
        removed
    }
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        if self.place.unit.is_none() {
            self.remove_empty();
        }
    }
}

/// The directory, by the descriptor that holds its lock.
fn make_locked(path: &Path) -> Result<OwnedFd, Errno> {
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
            Err(Errno::EXIST) if matches!(remove_abandoned(path, PATIENCE), Ok(true)) => {}
            Err(Errno::EXIST) => std::thread::sleep(PAUSE),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

/// `None` where somebody sweeps it.
fn lock(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let dir = match open(path) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    // The umask has taken rights from it: who runs in the group may read its files.
    fchmod(&dir, Mode::from_raw_mode(MODE))?;
    let locked = flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&dir, path);
    Ok(locked.then_some(dir))
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
/// somebody else removes it, or it is none that an [`OwnGroup`] has made. Groups above that were made for it go too where they are empty.
///
/// # Errors
/// What is left can't be removed within `patience`, and why.
pub fn remove_abandoned(path: &Path, patience: Duration) -> Result<bool, RemoveError> {
    let Ok(dir) = open(path) else { return Ok(false) };
    let abandoned = is_ours(&dir) && flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&dir, path);
    if !abandoned {
        return Ok(false);
    }
    if rmdir(path).is_err() {
        // What was judged is what is ended, whatever has its name by now; and the lock is held until then.
        let group = Group::of_directory(dir, path).map_err(|error| RemoveError { errors: vec![error] })?;
        group.remove(patience)?;
    }
    path.ancestors().skip(1).take_while(|above| remove_above(above)).for_each(drop);
    Ok(true)
}

/// Removes a group above that was made for one of ours, if it is empty. A run that has made it just now, and has no group in it yet, makes it again.
pub(super) fn remove_above(path: &Path) -> bool {
    is_made_above(path) && rmdir(path).is_ok()
}

fn is_ours(dir: &OwnedFd) -> bool {
    fstat(dir.as_fd()).is_ok_and(|found| is_of_a_sandbox(found.st_mode))
}

/// Is this the mode of a group that an [`OwnGroup`] has made?
pub(super) fn is_of_a_sandbox(mode: u32) -> bool {
    let marks = Mode::SVTX | Mode::SGID | Mode::RUSR;
    Mode::from_raw_mode(mode) & marks == Mode::from_raw_mode(MODE) & marks
}

/// A new one of ours may look like that too, for a moment: it is made again where it goes.
fn is_made_above(path: &Path) -> bool {
    stat(path)
        .is_ok_and(|found| Mode::from_raw_mode(found.st_mode).contains(Mode::SVTX) && !is_of_a_sandbox(found.st_mode))
}

/// Writes a file that is empty, as those of a new cpuset are.
pub(crate) fn fill(file: &CStr, value: &[u8]) -> Result<(), Errno> {
    let opened = openat(CWD, file, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = [0; 2];
    // An empty list is an empty line.
    match read(&opened, &mut content)? {
        0 | 1 => write(&opened, value).map(drop),
        _ => Ok(()),
    }
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

    /// Removes what is abandoned. Between fork(2) and execve(2) a child of another test's thread has the lock too.
    #[track_caller]
    fn sweep(path: &Path) {
        let started = std::time::Instant::now();
        while !remove_abandoned(path, PATIENCE).unwrap() {
            assert!(started.elapsed() < PATIENCE, "{} is held", path.display());
            std::thread::sleep(PAUSE);
        }
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
                        swept += u32::from(remove_abandoned(&path, PATIENCE).unwrap());
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
        if path.exists() {
            sweep(&path);
        }
        assert!(!path.exists());
    }

    #[test]
    fn the_umask_takes_no_rights_from_a_group() {
        let above = top().join(format!("izba-test-umask-{}", std::process::id()));
        let mut group = OwnGroup::default();
        let before = izba_sys::process::umask(Mode::from_raw_mode(0o077));
        group.make_above(&above).unwrap();
        group.make(&above.join("a"), &[]).unwrap();
        izba_sys::process::umask(before);
        let mode = |path: &Path| stat(path).unwrap().st_mode & 0o7777;
        assert_eq!((mode(&above), mode(&above.join("a"))), (MODE_ABOVE, MODE));
        group.remove().unwrap();
        assert!(!above.exists());
    }

    #[test]
    fn a_group_above_is_not_swept_with_what_is_in_it() {
        let above = top().join(format!("izba-test-above-{}", std::process::id()));
        let mut group = OwnGroup::default();
        group.make_above(&above).unwrap();
        group.make(&above.join("a"), &[]).unwrap();
        assert!(!remove_abandoned(&above, PATIENCE).unwrap());
        assert!(above.join("a").exists());
        // As if it were killed.
        (group.place, group.above) = Default::default();
        drop(group);
        sweep(&above.join("a"));
        assert!(!above.exists(), "the group above goes with the last in it");
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
        assert!(!remove_abandoned(&path, PATIENCE).unwrap());
        first.remove().unwrap();
        second.make(&path, &[]).unwrap();
        drop(second);
        assert!(!path.exists());
    }
}
