//! A name that is ours as long as this lives.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use izba_sys::Errno;
use izba_sys::path::{FlockOperation, Mode, OFlags, flock, mkdirat, openat, renameat, write};

use super::runs::{FILE, NEW};
use super::{Name, Record, Run, Runs};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::private_dir::DIRECTORY;
use crate::runtime_dir;

/// How often a reader may look just when we take a name, or sweep what we have just made.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(1);

/// A run's directory, locked. Dropping it removes it.
#[derive(Debug)]
pub struct Reservation {
    runs: Runs,
    name: Name,
    dir: OwnedFd,
}

impl Reservation {
    /// Takes the name, if no run has it.
    pub fn of(name: &Name, caller: &Caller) -> Result<Self> {
        if Run::is_there(name, caller) {
            return Err(taken(name));
        }
        let (runs, path) = runs(caller)?;
        match take(&runs, name) {
            Ok(Some(dir)) => Ok(Self { runs, name: name.clone(), dir }),
            Ok(None) => Err(taken(name)),
            Err(errno) => Err(Failure::new(format!("cannot make a record in {path}")).caused_by(&errno)),
        }
    }

    /// Takes a name that is made up from `program`, whoever has others: process ids are unique, but not where a second PID namespace
    /// shares the directory.
    pub fn of_any(program: &std::ffi::OsStr, caller: &Caller) -> Result<Self> {
        let (runs, path) = runs(caller)?;
        let failed = |errno: Errno| Failure::new(format!("cannot make a record in {path}")).caused_by(&errno);
        let own = std::process::id();
        for number in (0..TRIES).map(|more| own.wrapping_add(more << 22)) {
            let name = Name::made_up(program, number);
            if let Some(dir) = take(&runs, &name).map_err(failed)? {
                return Ok(Self { runs, name, dir });
            }
        }
        Err(failed(Errno::EXIST))
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Lets others find the run. What has to survive no reboot is written without fsync(2).
    pub fn announce(&self, record: &Record) -> std::io::Result<()> {
        let document = serde_json::to_vec(record)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, NEW, flags, Mode::RUSR | Mode::WUSR)?;
        let mut rest = document.as_slice();
        while !rest.is_empty() {
            let written = write(file.as_fd(), rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        renameat(&self.dir, NEW, &self.dir, FILE).map_err(Into::into)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // What can't be removed has no lock any more when we are gone, and is swept.
        let _left = self.runs.remove(&self.dir, &self.name);
    }
}

fn taken(name: &Name) -> Failure {
    Failure::new(format!("the name {name} is taken: a run has it")).remedy("another name; izba ps lists what runs")
}

fn runs(caller: &Caller) -> Result<(Runs, String)> {
    let place = runtime_dir::open(caller)?;
    let path = place.path.display().to_string();
    let runs = Runs::open_or_make(&place)
        .map_err(|errno| Failure::new(format!("cannot open {path}/runs")).caused_by(&errno))?;
    Ok((runs, path))
}

/// Makes a directory and locks it. `None` where an izba holds it.
fn take(runs: &Runs, name: &Name) -> std::result::Result<Option<OwnedFd>, Errno> {
    for _ in 0..TRIES {
        match mkdirat(&runs.fd, name.as_str(), Mode::RWXU) {
            Ok(()) => {
                let dir = openat(&runs.fd, name.as_str(), DIRECTORY, Mode::empty());
                if let Some(dir) = dir.ok().filter(|dir| lock(dir) && runs.is_named(dir, name)) {
                    return Ok(Some(dir));
                }
            }
            Err(Errno::EXIST) if runs.is_taken(name) => return Ok(None),
            Err(Errno::EXIST) => std::thread::sleep(PAUSE),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}

fn lock(dir: &OwnedFd) -> bool {
    flock(dir, FlockOperation::NonBlockingLockExclusive).is_ok()
}
