//! Waiting for what may never come, while the caller may give the start up.

use std::io::{Read, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use izba_sys::Errno;
use izba_sys::process::{Pid, PidfdFlags, PollFd, PollFlags, Timespec, pidfd_open, poll};

use crate::report::Problem;

/// How long what comes in a moment may take where the caller waits no longer: above all, the end of a process that was killed. One that cgroup v1 has frozen ends when it is thawed, one
/// in an uninterruptible sleep when that ends: perhaps never.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The caller's descriptor that is readable when the start is to be given up, where there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct GiveUp<'a>(pub Option<BorrowedFd<'a>>);

impl GiveUp<'_> {
    /// Waits for something to read; `false` where the start is given up before. What has come already is heard first, so that a start that has
    /// succeeded isn't given up any more.
    pub fn wait_for(self, awaited: BorrowedFd<'_>) -> std::result::Result<bool, Errno> {
        let Some(own) = self.0 else { return Ok(true) };
        let mut both = [readable(awaited), readable(own)];
        look(&mut both, None)?;
        Ok(!both[0].revents().is_empty())
    }

    /// Waits for the end of a process that was killed; `false` where it is still there, and the caller waits no longer.
    pub fn wait_for_killed(self, pidfd: BorrowedFd<'_>) -> bool {
        self.wait_for(pidfd) == Ok(true) || comes_within(pidfd, PATIENCE)
    }

    /// Runs a helper program to its end, which comes at once where the start is given up.
    pub fn run(self, command: &mut Command) -> std::result::Result<(), Problem> {
        let mut helper = command.stderr(Stdio::piped()).spawn().map_err(Problem::HelperStart)?;
        let heard = helper.stderr.take().map_or(Ok(Some(Vec::new())), |stderr| self.hear(stderr));
        let Some(said) = heard.map_err(Problem::HelperStart)? else {
            end(&mut helper);
            return Err(Problem::GivenUp);
        };
        match helper.wait().map_err(Problem::HelperStart)?.success() {
            true => Ok(()),
            // The terminal's signals go to the helper, too, and end it.
            false if self.is_asked() => Err(Problem::GivenUp),
            false => Err(Problem::Helper(String::from_utf8_lossy(&said).trim().to_owned())),
        }
    }

    /// All that it says; `None` where the start is given up before it has ended.
    fn hear(self, mut stderr: ChildStderr) -> Result<Option<Vec<u8>>> {
        let (mut said, mut part) = (Vec::new(), [0; 512]);
        while self.wait_for(stderr.as_fd())? {
            match stderr.read(&mut part)? {
                0 => return Ok(Some(said)),
                length => said.extend_from_slice(part.get(..length).unwrap_or_default()),
            }
        }
        Ok(None)
    }

    fn is_asked(self) -> bool {
        self.0.is_some_and(|own| look(&mut [readable(own)], Some(Duration::ZERO)) == Ok(true))
    }
}

fn end(helper: &mut Child) {
    let _ended = helper.kill();
    let pid = i32::try_from(helper.id()).ok().and_then(Pid::from_raw);
    let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    if pidfd.is_none_or(|pidfd| comes_within(pidfd.as_fd(), PATIENCE)) {
        let _reaped = helper.wait();
    }
}

/// Is there something to read within this time, or, of a pidfd, has the process ended?
pub(super) fn comes_within(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    look(&mut [readable(fd)], Some(patience)) == Ok(true)
}

fn look(at: &mut [PollFd<'_>], patience: Option<Duration>) -> std::result::Result<bool, Errno> {
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    loop {
        match poll(at, patience.as_ref()) {
            Err(Errno::INTR) => {}
            looked => return looked.map(|found| found > 0),
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}
