//! Terminals: pty(7), termios(3).

pub use rustix::process::{ioctl_tiocsctty, setsid};
pub use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
pub use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
pub use rustix::termios::{
    OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// Standard input.
// SAFETY: descriptors 0 to 2 are open for the life of the process: Rust's runtime, or crate::entry, opens what is missing at start.
pub const STDIN: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(0) };
/// Standard output.
// SAFETY: as above.
pub const STDOUT: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(1) };

/// Sets O_NONBLOCK, for every process that shares the open file.
///
/// # Errors
/// What fcntl(2) gives.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::io::ioctl_fionbio(fd, true)
}

/// Does the terminal that `fd` is belong to another process group of the session just now, as with a shell's `command &`?
/// tcgetpgrp(3); a terminal that isn't the session's own has no such groups.
pub fn in_background(fd: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetpgrp(fd).is_ok_and(|group| group != rustix::process::getpgrp())
}
