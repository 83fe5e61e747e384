//! The Linux calls that izba is built on: the only crate of the project with `unsafe` in it.
//!
//! One module per family. Where rustix has the call it is re-exported under the same name, so that the crates
//! above see one place for all of them; what rustix lacks is here. No call that the child makes between
//! clone3(2) and execve(2) allocates, locks or formats anything.

#![allow(unsafe_code)]

pub mod bpf;
pub mod credential;
pub mod entry;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod network;
pub mod nsfs;
pub mod path;
pub mod process;
pub mod rlimit;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod title;

pub use rustix::io::Errno;

/// What a raw system call returned, or the errno that it set.
fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result >= 0 { Ok(result) } else { Err(last_errno()) }
}

/// The same for calls that return an int.
fn check_int(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result >= 0 { Ok(result) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL))
}
