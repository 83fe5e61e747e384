//! Waiting for what may never come, while the caller may give the start up.

use std::io::{Read, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
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
    /// Waits for something to read, or, of a pidfd, for the end of the process; `false` where the start is given up before. What has come already is
    /// heard first, so that a start that has succeeded isn't given up any more.
    pub fn wait_for(self, awaited: BorrowedFd<'_>) -> std::result::Result<bool, Errno> {
        let Some(own) = self.0 else { return look(&mut [readable(awaited)], None) };
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
        let outcome = self.attend(&mut helper);
        if !matches!(outcome, Ok(Some(_))) {
            end(&mut helper);
        }
        let (said, status) = outcome.map_err(Problem::HelperStart)?.ok_or(Problem::GivenUp)?;
        match status.success() {
            true => Ok(()),
            false => Err(Problem::Helper(String::from_utf8_lossy(&said).trim().to_owned())),
        }
    }

    /// What it has said, and its status; `None` where the start is given up before it has ended.
    fn attend(self, helper: &mut Child) -> Result<Option<(Vec<u8>, ExitStatus)>> {
        let heard = helper.stderr.take().map_or(Ok(Some(Vec::new())), |stderr| self.hear(stderr));
        let Some(said) = heard? else { return Ok(None) };
        // It may have closed its standard error long before it ends.
        if !self.wait_for(pidfd_of(helper)?.as_fd())? {
            return Ok(None);
        }
        Ok(Some((said, helper.wait()?)))
    }

    /// All that it says; `None` where the start is given up before.
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
}

fn pidfd_of(child: &Child) -> std::result::Result<OwnedFd, Errno> {
    pidfd_open(Pid::from_child(child), PidfdFlags::empty())
}

fn end(helper: &mut Child) {
    let _ended = helper.kill();
    if pidfd_of(helper).map_or(true, |pidfd| comes_within(pidfd.as_fd(), PATIENCE)) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
mod tests {
    use super::*;

    #[test]
    fn who_gives_nothing_up_waits_all_the_same() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pidfd = pidfd_of(&child).unwrap();
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| GiveUp(None).wait_for(pidfd.as_fd()));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!ended.is_finished());
            child.kill().unwrap();
            assert_eq!(ended.join().unwrap(), Ok(true));
        });
        assert!(!child.wait().unwrap().success());
    }
}
