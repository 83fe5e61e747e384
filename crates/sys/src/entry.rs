//! The way into a binary that starts often: the C runtime's `main` without Rust's runtime before it.
//!
//! Rust's own start reads /proc/self/maps to guard the stack and installs handlers that tell of its overflow: a tenth of a millisecond and
//! a tenth of the memory of a process that lives for two. What of it is needed is here.

use rustix::fs::{Mode, OFlags, open};

/// Makes `fn main() -> u8`, whose result is the exit status, the program's entry. The crate has to be `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[cfg(not(target_env = "gnu"))]
        compile_error!(
            "without Rust's runtime std::env::args is empty, but for glibc, which fills it from .init_array"
        );

        /// Called by the C runtime.
        // SAFETY: the one symbol of this name in a binary without Rust's runtime, with the type that the C runtime expects.
        #[unsafe(no_mangle)]
        pub extern "C" fn main(_count: i32, _arguments: *const *const u8) -> i32 {
            $crate::entry::start($main)
        }
    };
}

/// Runs a program's main function between what has to come before and after it.
pub fn start(main: fn() -> u8) -> ! {
    open_standard_descriptors();
    // As Rust's runtime does it: a reader that is gone is an error of write(2).
    crate::signal::ignore(crate::signal::SIGPIPE);
    // A caller that ignores SIGCHLD would have the kernel reap our children, and nobody learn how they ended: wait(2).
    crate::signal::default_action(crate::signal::SIGCHLD);
    let status = main();
    // What is buffered is written; there is nobody left to tell where it can't be.
    let _unwritten = std::io::Write::flush(&mut std::io::stdout());
    crate::process::exit(i32::from(status))
}

/// A descriptor from 0 to 2 that the caller has closed would be given to the next file that is opened, and that file to the program as
/// its standard stream: CVE-2002-0572.
fn open_standard_descriptors() {
    for fd in 0..=2 {
        if crate::process::is_open(fd) {
            continue;
        }
        // The lowest free number is the missing one. It stays open for the life of the process.
        match open(c"/dev/null", OFlags::RDWR, Mode::empty()) {
            Ok(null) => std::mem::forget(null),
            Err(_) => crate::process::exit(125),
        }
    }
}
