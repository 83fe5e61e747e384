//! cgroup.events of cgroup v2, which tells when it changes: Documentation/admin-guide/cgroup-v2.rst, "\[Un\]populated Notification".

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use izba_sys::Errno;
use izba_sys::path::{OFlags, pread};
use izba_sys::process::{PollFd, PollFlags, Timespec, poll};

use super::directory::Directory;
use super::{GroupError, Operation};

/// The open file.
pub(super) struct Events {
    file: OwnedFd,
    path: PathBuf,
}

/// How long the kernel's word is waited for before the file is read again: nothing wakes who polls a file of a group that is being removed.
const TURN: Duration = Duration::from_millis(100);

impl Events {
    pub(super) const NAME: &str = "cgroup.events";

    pub(super) fn open(directory: &Directory) -> Result<Self, GroupError> {
        Ok(Self { file: directory.file(Self::NAME, OFlags::RDONLY)?, path: directory.path.join(Self::NAME) })
    }

    /// Does it say `frozen 1`, `populated 1`?
    pub(super) fn says(&self, key: &str) -> Result<bool, GroupError> {
        let mut buffer = [0; 256];
        let length =
            pread(&self.file, &mut buffer, 0).map_err(|errno| GroupError::call(Operation::Read, &self.path, errno))?;
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        Ok(text.lines().any(|line| line.strip_prefix(key).is_some_and(|value| value.trim() == "1")))
    }

    /// Waits for a change since the last reading, for so long at most and never very long.
    pub(super) fn wait(&self, time: Duration) -> Result<(), GroupError> {
        let time = time.min(TURN);
        let timeout = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.file, PollFlags::PRI)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(GroupError::call(Operation::Wait, &self.path, errno)),
        }
    }
}
