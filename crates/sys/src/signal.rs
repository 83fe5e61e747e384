//! Signals: masks, signalfd(2), sending.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// A set of signals: sigsetops(3).
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl std::fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalSet")
    }
}

impl SignalSet {
    /// Every signal.
    pub fn full() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the whole set and can't fail on a valid pointer.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: initialised by the call above.
        Self(unsafe { set.assume_init() })
    }

    /// No signal.
    pub fn empty() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the whole set and can't fail on a valid pointer.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the call above.
        Self(unsafe { set.assume_init() })
    }

    /// Adds a signal; a number that is none adds nothing.
    pub fn add(&mut self, signal: i32) {
        // SAFETY: the set is a whole one, and a bad number is EINVAL.
        unsafe { libc::sigaddset(&raw mut self.0, signal) };
    }

    /// Is a signal in it?
    pub fn contains(&self, signal: i32) -> bool {
        // SAFETY: only reads the set, which is a whole one; a bad number is EINVAL, -1.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }
}

/// Makes `set` the calling thread's signal mask and returns the one before: sigprocmask(2).
pub fn set_mask(set: &SignalSet) -> SignalSet {
    let mut old = SignalSet::empty();
    // SAFETY: both pointers are to whole sigset_t values; the call can't fail with a valid `how`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set.0, &raw mut old.0) };
    old
}

/// Gives a signal its default action again. Rust's runtime ignores SIGPIPE, which would be inherited over execve(2).
pub fn default_action(signal: i32) {
    // SAFETY: SIG_DFL installs no handler, so no code of ours can be called by it.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores a signal.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN installs no handler, so no code of ours can be called by it.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Does the calling process ignore it? sigaction(2).
pub fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null pointer for the new action asks only; the old one is written to memory that is large enough for it.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: initialised where the call has succeeded.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// A descriptor that tells of every signal in `set`, which has to be blocked: signalfd(2). Close-on-exec, non-blocking.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
pub fn signalfd(set: &SignalSet) -> Result<OwnedFd, Errno> {
    // SAFETY: -1 asks for a new descriptor; the set is only read.
    let fd = unsafe { libc::signalfd(-1, &raw const set.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    let fd = crate::check_int(fd)?;
    // SAFETY: the call has just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The number of the next signal that a [`signalfd`] holds, `None` where it holds none.
///
/// # Errors
/// What read(2) gives.
pub fn read_signal(signalfd: BorrowedFd<'_>) -> Result<Option<i32>, Errno> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut buffer = [0_u8; SIZE];
    match rustix::io::read(signalfd, &mut buffer) {
        Ok(SIZE) => {}
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    // ssi_signo is the first field, an u32.
    let [a, b, c, d, ..] = buffer;
    Ok(i32::try_from(u32::from_ne_bytes([a, b, c, d])).ok())
}

/// kill(2) for one process, by number. 0 and negative ids, which mean groups, are refused with EINVAL.
///
/// # Errors
/// ESRCH, EPERM, EINVAL.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    if pid <= 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: takes two integers.
    crate::check_int(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// pidfd_send_signal(2), by number, so that real-time signals can be sent too.
///
/// # Errors
/// ESRCH, EPERM, EINVAL.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: a null siginfo asks for the default one; no memory of ours is read.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    crate::check(result).map(drop)
}

/// Is the process that descriptor `pidfd` stands for still there? A zombie is; who may not be signalled is.
///
/// # Errors
/// ESRCH where it isn't, EBADF where the descriptor isn't open or no pidfd.
pub fn check_running(pidfd: RawFd) -> Result<(), Errno> {
    // SAFETY: takes integers and a null pointer, and only looks.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, 0, std::ptr::null::<libc::siginfo_t>(), 0) };
    match crate::check(result) {
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Stops the calling process until somebody continues it, as a shell's job control expects.
pub fn stop_self() {
    // SAFETY: stops the whole process; no memory is involved.
    unsafe { libc::raise(SIGSTOP) };
}

/// The classic signals by name, without `SIG`: signal(7). Their numbers are the architecture's.
const NAMES: [(&str, i32); 34] = [
    ("HUP", SIGHUP),
    ("INT", SIGINT),
    ("QUIT", SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", SIGKILL),
    ("USR1", SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", SIGUSR2),
    ("PIPE", SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", SIGCHLD),
    ("CLD", SIGCHLD),
    ("CONT", SIGCONT),
    ("STOP", SIGSTOP),
    ("TSTP", SIGTSTP),
    ("TTIN", SIGTTIN),
    ("TTOU", SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGPOLL),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// The number of the signal with this name, without `SIG` and in capitals. Real-time signals have no names.
pub fn number(name: &str) -> Option<i32> {
    NAMES.iter().find(|(known, _)| *known == name).map(|&(_, number)| number)
}

/// The name, without `SIG`, of a signal that has one.
pub fn name(number: i32) -> Option<&'static str> {
    NAMES.iter().find(|(_, known)| *known == number).map(|&(name, _)| name)
}

/// SIGRTMIN as the C library has it: it keeps the lowest real-time signals for itself.
pub fn first_real_time() -> i32 {
    libc::SIGRTMIN()
}

/// SIGRTMAX, the highest number of a signal.
pub fn last() -> i32 {
    libc::SIGRTMAX()
}

pub use libc::{
    SIGABRT, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU,
    SIGUSR1, SIGUSR2, SIGWINCH,
};
