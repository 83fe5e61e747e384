//! The directory of all runs: one member for each, which its izba holds locked for as long as it lives. The kernel drops the lock
//! with its holder, however that ends, so what has no lock is left over.
//!
//! Who looks takes the lock shared for a moment, and gets it only where no izba has it. Who removes what is left does so under the
//! lock of the whole directory, as between his look and his removal nobody else may have made another of the same name.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use izba_sandbox::cgroup::{SHORT_PATIENCE, remove_abandoned};
use izba_sys::Errno;
use izba_sys::path::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat};

use super::{Cgroup, Name, Record};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::private_dir::{self, DIRECTORY};
use crate::runtime_dir::{self, RuntimeDir};

/// What a record's file is called in its run's directory.
pub(super) const FILE: &str = "record.json";
/// Before it is whole.
pub(super) const NEW: &str = "new";

/// Longer than any record: arguments and environment together are limited to 6 MiB, execve(2), and bytes may become numbers.
const LONGEST: u64 = 64 << 20;

/// How long a reader waits for a run that is just starting.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);

/// The directory of all runs.
#[derive(Debug)]
pub struct Runs {
    path: PathBuf,
    pub(super) fd: OwnedFd,
}

/// A run that is there.
#[derive(Debug)]
pub struct Run {
    pub name: Name,
    /// Its directory.
    pub path: PathBuf,
    pub state: State,
}

/// How far it is. There is one transition, by its izba; at the end the directory goes.
#[derive(Debug)]
pub enum State {
    /// The name is taken, and the program is about to be executed.
    Starting,
    Running(Box<Record>),
}

impl Runs {
    /// The one in a runtime directory, made if it is missing.
    pub fn open_or_make(place: &RuntimeDir) -> std::result::Result<Self, Errno> {
        match Self::open(place) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        private_dir::make(&place.fd, Path::new("runs"))?;
        Self::open(place)
    }

    fn open(place: &RuntimeDir) -> std::result::Result<Self, Errno> {
        let fd = openat(&place.fd, "runs", DIRECTORY, Mode::empty())?;
        Ok(Self { path: place.path.join("runs"), fd })
    }

    /// Those in every place where the caller's may be.
    pub fn existing(caller: &Caller) -> Vec<Self> {
        runtime_dir::existing(caller).iter().filter_map(|place| Self::open(place).ok()).collect()
    }

    /// Where a run is.
    pub fn path_of(&self, name: &Name) -> PathBuf {
        self.path.join(name.as_str())
    }

    /// The names that are there, whether what they name still runs or not.
    pub fn names(&self) -> Vec<Name> {
        let members = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names: Vec<Name> = members.filter_map(|member| member.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        names
    }

    /// Opens a run's directory if an izba holds it. What is left of one that is gone is removed.
    pub(super) fn held(&self, name: &Name) -> Option<OwnedFd> {
        let dir = openat(&self.fd, name.as_str(), DIRECTORY, Mode::empty()).ok()?;
        match flock(&dir, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Some(dir),
            _ => {
                drop(dir);
                self.sweep(name);
                None
            }
        }
    }

    /// Has an izba this name? One that was just killed has it no more, though its init may hold the lock until it notices; whether one without a
    /// record is starting, or was killed then, is seen in a moment.
    pub(super) fn is_taken(&self, name: &Name) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while let Some(dir) = self.held(name) {
            let has_izba = match read(&dir, &self.path_of(name)) {
                Ok(None) => false,
                Ok(Some(record)) => record.has_izba(),
                Err(_) => true,
            };
            if has_izba || Instant::now() >= deadline {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        false
    }

    /// Removes what is left of a run, if nobody holds it: has something been removed? One who finds another sweeping leaves it to him.
    pub fn sweep(&self, name: &Name) -> bool {
        let swept = || {
            let gate = openat(&self.fd, ".", DIRECTORY, Mode::empty())?;
            flock(&gate, FlockOperation::NonBlockingLockExclusive)?;
            let dir = openat(&self.fd, name.as_str(), DIRECTORY, Mode::empty())?;
            flock(&dir, FlockOperation::NonBlockingLockShared)?;
            if !self.is_named(&dir, name) {
                return Err(Errno::NOENT);
            }
            self.remove_group(&dir, name)?;
            self.remove(&dir, name)
        };
        swept().is_ok()
    }

    /// The group of a run whose izba was killed, with what is still in it: a paused init doesn't notice that izba has ended. While the kernel
    /// has not let go of it, the record stays, by which it is found.
    fn remove_group(&self, dir: &OwnedFd, name: &Name) -> std::result::Result<(), Errno> {
        let Ok(Some(Record { cgroup: Some(Cgroup(place)), .. })) = read(dir, &self.path_of(name)) else {
            return Ok(());
        };
        for group in place.dirs() {
            // A dying init lets go of one lock after the other, so the group's may be held for another moment.
            if remove_abandoned(group, SHORT_PATIENCE).is_err() || group.exists() {
                return Err(Errno::BUSY);
            }
        }
        Ok(())
    }

    /// Is this the directory of that name still?
    pub(super) fn is_named(&self, dir: &OwnedFd, name: &Name) -> bool {
        let (Ok(opened), Ok(named)) = (fstat(dir), statat(&self.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)) else {
            return false;
        };
        (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)
    }

    /// For who holds it.
    pub(super) fn remove(&self, dir: &OwnedFd, name: &Name) -> std::result::Result<(), Errno> {
        for file in [FILE, NEW] {
            match unlinkat(dir, file, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        unlinkat(&self.fd, name.as_str(), AtFlags::REMOVEDIR)
    }

    /// Looks at one run, and waits until the deadline for one that is starting. `None` where there is none.
    pub fn look(&self, name: &Name, deadline: Instant) -> Result<Option<Run>> {
        loop {
            let Some(dir) = self.held(name) else { return Ok(None) };
            let path = self.path_of(name);
            let state = match read(&dir, &path)? {
                Some(record) => State::Running(Box::new(record)),
                None if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                None => State::Starting,
            };
            return Ok(Some(Run { name: name.clone(), path, state }));
        }
    }
}

/// `None` where it isn't written yet, or not any more.
fn read(dir: &OwnedFd, path: &Path) -> Result<Option<Record>> {
    let failed = || Failure::new(format!("cannot read the record {}", path.join(FILE).display()));
    // Nor does a FIFO keep us waiting.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(dir, FILE, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed().caused_by(&errno)),
    };
    let mut document = Vec::new();
    file.take(LONGEST).read_to_end(&mut document).map_err(|error| failed().caused_by(&error))?;
    let record = Record::parse(&document);
    record.map(Some).map_err(|why| failed().because(why).remedy("end that izba, and its record goes with it"))
}

impl Run {
    /// All that are there, by name. What can't be read is in the failures, and hides no other.
    pub fn all(caller: &Caller) -> (Vec<Self>, Vec<Failure>) {
        let deadline = Instant::now() + PATIENCE;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for runs in Runs::existing(caller) {
            for name in runs.names() {
                match runs.look(&name, deadline) {
                    Ok(run) => found.extend(run),
                    Err(failure) => failures.push(failure),
                }
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        (found, failures)
    }

    /// Is there one of this name, be it just starting?
    pub fn is_there(name: &Name, caller: &Caller) -> bool {
        Runs::existing(caller).iter().any(|runs| runs.is_taken(name))
    }

    /// The one of this name, which has to run.
    pub fn find(name: &Name, caller: &Caller) -> Result<Found> {
        Self::find_if_any(name, caller)?.ok_or_else(|| {
            Failure::new(format!("nothing runs under the name {name}")).remedy("izba ps, which lists what does")
        })
    }

    /// The one of this name, if there is any: one that doesn't come out of its start, or whose record can't be read, is a failure.
    pub fn find_if_any(name: &Name, caller: &Caller) -> Result<Option<Found>> {
        let deadline = Instant::now() + PATIENCE;
        for runs in Runs::existing(caller) {
            match runs.look(name, deadline)? {
                Some(Self { path, state: State::Running(record), .. }) => {
                    return Ok(Some(Found { path, record: *record }));
                }
                Some(Self { state: State::Starting, .. }) => {
                    return Err(Failure::new(format!("the run {name} is still starting")).remedy("a little later"));
                }
                None => {}
            }
        }
        Ok(None)
    }
}

/// A run with its record.
#[derive(Debug)]
pub struct Found {
    /// Its directory.
    pub path: PathBuf,
    pub record: Record,
}
