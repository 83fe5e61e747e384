//! The process that stays behind when the program's process has been made: PID 1 of a new PID namespace, or, where the
//! program is PID 1 itself or the namespace isn't new, a watcher outside. It reaps, forwards signals, and ends everything
//! when the caller dies. Like all of the child it allocates nothing.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::process::{self, PollFd, PollFlags, WaitOptions, WaitStatus};
use izba_sys::signal::{self, SignalSet};

/// Lives as long as `program` does and ends with its status: its own, or 128+N for signal N.
///
/// Every signal is blocked here, so that also those are seen whose default PID 1 would ignore: signal(7), pid_namespaces(7).
pub(crate) fn supervise(program: i32, caller: BorrowedFd<'_>) -> ! {
    let Ok(signals) = signal::signalfd(&SignalSet::full()) else { end(program) };
    let mut keep = [caller.as_raw_fd(), signals.as_raw_fd()];
    keep.sort_unstable();
    // Everything else is the program's business: the channel has to close when the program's process executes,
    // and a pipe that it was given when it closes it.
    if process::close_all_but(&keep).is_err() {
        end(program);
    }
    loop {
        if caller_has_died(&signals, caller) {
            end(program);
        }
        while let Ok(Some(signal)) = signal::read_signal(signals.as_fd()) {
            if signal == signal::SIGCHLD {
                reap(program);
            } else {
                forward(program, signal);
            }
        }
    }
}

/// Waits for a signal or for the caller's end: a pidfd can be read when its process has ended, pidfd_open(2).
fn caller_has_died(signals: &OwnedFd, caller: BorrowedFd<'_>) -> bool {
    let mut wanted =
        [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN), PollFd::from_borrowed_fd(caller, PollFlags::IN)];
    process::poll(&mut wanted, None).is_ok() && wanted[1].revents().contains(PollFlags::IN)
}

/// Reaps whatever has ended; when the program has, ends with its status.
fn reap(program: i32) {
    loop {
        match process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == program => process::exit(shell_status(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return,
            // Somebody else has reaped the program.
            Err(_) => process::exit(crate::STATUS_FAILED),
        }
    }
}

fn shell_status(status: WaitStatus) -> i32 {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(crate::STATUS_FAILED)
}

/// The program leads a session of its own, so its process group is orphaned and the kernel ignores the stop signals of a
/// terminal: setpgid(2). SIGSTOP does what they mean.
fn forward(program: i32, signal: i32) {
    let signal = match signal {
        signal::SIGTSTP | signal::SIGTTIN | signal::SIGTTOU => signal::SIGSTOP,
        other => other,
    };
    // It may just have ended; then SIGCHLD follows.
    let _gone = signal::kill(program, signal);
}

/// Ends the program, and with PID 1 everything in its namespace.
fn end(program: i32) -> ! {
    let _gone = signal::kill(program, signal::SIGKILL);
    if program > 1 {
        // It leads a session and a group, which has what a shell runs for it.
        let _gone = signal::kill(-program, signal::SIGKILL);
    }
    let _gone = process::wait(WaitOptions::empty());
    process::exit(128 + signal::SIGKILL)
}
