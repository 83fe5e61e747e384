//! Processes: clone3(2), execve(2), pidfd_open(2), waitid(2), close_range(2).

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

pub use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
pub use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, WaitStatus, getpid, pidfd_open,
    set_parent_process_death_signal, umask, wait, waitid,
};

use crate::namespace::CloneFlags;

/// struct clone_args of linux/sched.h, CLONE_ARGS_SIZE_VER2.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// clone3(2): every handled signal gets its default action. Linux 5.5.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// clone3(2): the child is made in the group that `cgroup` is a descriptor of. Linux 5.7.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Is this memory a copy that [`clone3`] has made?
static FORKED: AtomicBool = AtomicBool::new(false);

/// Is the calling process a child of [`clone3`]'s, with memory that no other thread has?
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// A child that [`clone3`] made.
#[derive(Debug)]
pub struct Cloned {
    /// Its id in the caller's PID namespace.
    pub pid: i32,
    /// Stands for it, whatever becomes of the id.
    pub pidfd: OwnedFd,
}

/// clone3(2) as fork(2), into new namespaces, and where one is given into a cgroup v2 group instead of the caller's own. `Ok(None)` is the child.
///
/// The child has one thread, a copy of the memory, and of the locks as they were: whatever another thread held stays
/// held for ever. So until it execs or exits it must not allocate, lock, print or panic. Breaking that rule can hang the
/// child; it can't corrupt memory, which is why the function is not `unsafe`.
///
/// # Errors
/// EPERM, ENOSPC (a limit of /proc/sys/user is reached), EAGAIN (RLIMIT_NPROC, pids cgroup), EINVAL (a kind that the kernel
/// was built without, or an impossible combination); of a group EACCES (no right to write the `cgroup.procs` of the nearest group above both), EBUSY
/// (it hands controllers on), ENODEV (it has been removed), EOPNOTSUPP (it is in a threaded subtree): cgroups(7).
pub fn clone3(namespaces: CloneFlags, group: Option<BorrowedFd<'_>>) -> Result<Option<Cloned>, Errno> {
    let mut pidfd: RawFd = -1;
    let into_group = if group.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let args = CloneArgs {
        // No handler of the caller's is to run in the child, on whatever stack.
        flags: namespaces.bits() | u64::from(libc::CLONE_PIDFD.unsigned_abs()) | CLONE_CLEAR_SIGHAND | into_group,
        cgroup: group.map_or(0, |group| u64::from(group.as_raw_fd().unsigned_abs())),
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..CloneArgs::default()
    };
    // SAFETY: `args` is a whole clone_args whose pidfd field points to an int that outlives the call. Without
    // CLONE_VM and with a zero stack the child runs on its own copy of this stack, as after fork(2).
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    let pid = i32::try_from(crate::check(result)?).unwrap_or(0);
    if pid == 0 {
        FORKED.store(true, Ordering::Relaxed);
        return Ok(None);
    }
    // SAFETY: the kernel has stored a new descriptor there, and nobody else has it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Some(Cloned { pid, pidfd }))
}

/// Room for the stack of a child that shares its parent's memory: [`vfork`].
#[derive(Debug)]
pub struct Stack {
    start: *mut libc::c_void,
}

/// What the child calls is shallow, and only pages that it touches take memory.
const STACK_SIZE: usize = 256 << 10;

/// The lowest page can't be touched: a stack that grows into it ends the process instead of changing other memory.
const GUARD_SIZE: usize = 4 << 10;

impl Stack {
    /// # Errors
    /// ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK);
        // SAFETY: asks for new memory at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), STACK_SIZE, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(crate::last_errno());
        }
        let stack = Self { start };
        // SAFETY: the page is the first of the memory that was just made, which nobody uses yet.
        crate::check_int(unsafe { libc::mprotect(start, GUARD_SIZE, libc::PROT_NONE) })?;
        Ok(stack)
    }

    fn top(&mut self) -> *mut libc::c_void {
        self.start.wrapping_byte_add(STACK_SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the memory is ours alone, and no child runs on it: vfork has borrowed it until the child was gone.
        unsafe { libc::munmap(self.start, STACK_SIZE) };
    }
}

/// clone(2) with CLONE_VM and CLONE_VFORK: a child that shares the caller's memory, on a stack of its own, while the caller
/// stands still until the child execs or exits. It is made much faster than a copy. Returns the child's id.
///
/// The child must not allocate, lock or panic, for the reasons given at [`clone3`], and whatever it changes in memory, its
/// parent finds changed. Its dumpable flag is the parent's too: prctl(2).
///
/// # Errors
/// As [`clone3`]; EINVAL where children enter another time namespace, which memory can't be shared with.
pub fn vfork(stack: &mut Stack, child: &mut dyn FnMut()) -> Result<i32, Errno> {
    extern "C" fn enter(argument: *mut libc::c_void) -> libc::c_int {
        // SAFETY: `argument` is the pointer to `child` below, which the stopped parent keeps alive.
        let child = unsafe { &mut *argument.cast::<&mut dyn FnMut()>() };
        child();
        exit(libc::EXIT_FAILURE)
    }
    let mut child = child;
    let argument = (&raw mut child).cast();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is page-aligned, guarded, and used by nobody else; the parent stands still until the child has
    // left it, so that borrowing `child` over there is exclusive; and the child never returns from `enter`, but exits.
    let pid = unsafe { libc::clone(enter, stack.top(), flags, argument) };
    crate::check_int(pid)
}

/// NUL-terminated strings and the null-terminated array of pointers to them that execve(2) wants, made ahead.
#[derive(Debug)]
pub struct CStringArray {
    pointers: Vec<*const c_char>,
    strings: Vec<CString>,
}

impl CStringArray {
    /// Takes the strings; their heap memory, which the pointers name, never moves.
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, strings }
    }

    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// execve(2). Returns only where it failed.
pub fn execve(path: &CStr, args: &CStringArray, env: &CStringArray) -> Errno {
    // SAFETY: the path and all strings are NUL-terminated, both arrays end in a null pointer, and the strings are
    // owned by the arrays, so they outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL))
}

/// _exit(2): ends the process at once, running nothing.
pub fn exit(status: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(status) }
}

/// Do two threads, as the caller knows them, have one table of descriptors? kcmp(2), KCMP_FILES.
///
/// # Errors
/// ENOSYS in a kernel without it; EPERM, ESRCH.
pub fn have_one_table(one: i32, other: i32) -> Result<bool, Errno> {
    const KCMP_FILES: libc::c_int = 2;
    // SAFETY: takes integers.
    let result = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0, 0) };
    crate::check(result).map(|order| order == 0)
}

/// Closes every descriptor above 2 but those in `keep`, which has to be in ascending order: close_range(2).
///
/// The caller must not use, and must forget instead of drop, whatever owned one of the closed ones.
///
/// # Errors
/// ENOSYS before Linux 5.9.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut first = 3;
    for &fd in keep.iter().filter(|&&fd| fd > 2) {
        close_range(first, fd - 1, 0)?;
        first = fd + 1;
    }
    close_range(first, RawFd::MAX, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> Result<(), Errno> {
    if first > last {
        return Ok(());
    }
    // SAFETY: takes integers; what else used these descriptors is the business of close_all_but's caller.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    crate::check(result).map(drop)
}

/// Marks every descriptor above 2 close-on-exec.
///
/// # Errors
/// EINVAL before Linux 5.11.
pub fn close_all_on_exec() -> Result<(), Errno> {
    close_range(3, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Lets descriptor `fd` pass to the program at execve(2).
///
/// # Errors
/// EBADF where it isn't open.
pub fn keep_over_exec(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: takes integers and changes a flag of the descriptor only.
    crate::check_int(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop)
}

/// Is descriptor `fd` open?
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: takes integers and only reads a flag of the descriptor.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}
pub use rustix::system::{sysinfo, uname};

/// CLOCK_MONOTONIC in nanoseconds: clock_gettime(2). By the C library, which does without a vDSO where there is none, as on user-mode Linux.
pub fn monotonic_nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec that the call fills; it can't fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// How many ticks of the clock, as files of /proc and of cgroup v1 count CPU time, are a second: sysconf(3), _SC_CLK_TCK.
pub fn clock_ticks_per_second() -> u64 {
    // SAFETY: takes an integer; no memory is involved.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks.unsigned_abs()
}
