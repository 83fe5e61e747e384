//! What ps(1) shows of a process.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::thread::set_name;

static ARGUMENTS: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// glibc calls what stands in .init_array with main's arguments; Rust's own runtime relies on that too.
#[cfg(target_env = "gnu")]
#[used]
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn(c_int, *const *mut c_char, *const *const c_char) = remember;

extern "C" fn remember(count: c_int, arguments: *const *mut c_char, _environment: *const *const c_char) {
    let last = usize::try_from(count).unwrap_or(0).saturating_sub(1);
    if count < 1 || arguments.is_null() {
        return;
    }
    // SAFETY: the C runtime passes main's argument vector, which has `count` entries, so the first can be read,
    let first = unsafe { arguments.read() };
    // SAFETY: and so does the last lie in it,
    let last = unsafe { arguments.add(last) };
    // SAFETY: and can be read.
    let last = unsafe { last.read() };
    // SAFETY: every entry is a NUL-terminated string that lives as long as the process.
    let length = unsafe { CStr::from_ptr(last) }.count_bytes();
    // The kernel lays the strings out one after the other.
    LENGTH.store((last.addr() + length).saturating_sub(first.addr()), Ordering::Relaxed);
    ARGUMENTS.store(first, Ordering::Relaxed);
}

/// Gives the calling process this name in /proc/PID/comm, and in place of its arguments in /proc/PID/cmdline, which every
/// process that sees it may read. Only for a forked child: in the process that was started with them, other threads may read them.
/// Allocates nothing.
///
/// # Errors
/// EINVAL in the process that was started with the arguments.
pub fn replace_arguments(name: &CStr) -> Result<(), Errno> {
    if !crate::process::is_forked() {
        return Err(Errno::INVAL);
    }
    let (start, length) = (ARGUMENTS.load(Ordering::Relaxed), LENGTH.load(Ordering::Relaxed));
    if !start.is_null() {
        let bytes = name.to_bytes();
        let kept = bytes.len().min(length);
        // SAFETY: `length` bytes from `start` on are this process's argument strings, writable and with no reader beside us.
        unsafe { std::ptr::write_bytes(start, 0, length) };
        // SAFETY: `kept` is at most `length`, and the name lies elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), start, kept) };
    }
    set_name(name)
}
