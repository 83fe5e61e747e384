//! Our own binary, out of reach of what runs inside: CVE-2019-5736.
//!
//! Until the program executes, its process is an izba. A hostile root can make it execute izba once more (`#!/proc/self/exe`), and
//! whoever else is in its PID namespace may then open /proc/PID/exe and change the file that it stands for. In a new PID namespace
//! there is nobody else. In one that is shared or joined izba therefore runs from a sealed copy in memory, which nobody can change: memfd_create(2).

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;

use izba_sys::path::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use izba_sys::process::{CStringArray, execve};

use crate::failure::{Failure, Result};

const SEALS: SealFlags = SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Goes on in a sealed copy of this program, from its start. Comes back where it is one already.
pub fn seal() -> Result<()> {
    let failed = |error: io::Error| {
        Failure::new("cannot run from a copy of izba that programs in the same PID namespace can't change")
            .caused_by(&error)
            .remedy("vm.memfd_noexec=1 or 0 (sysctl), or a new PID namespace: without --share pid and --join pid=...")
    };
    let original = File::open("/proc/self/exe").map_err(failed)?;
    if fcntl_get_seals(&original).is_ok_and(|seals| seals.contains(SEALS)) {
        return Ok(());
    }
    let copy = sealed_copy(original).map_err(failed)?;
    let strings = |list: Vec<Vec<u8>>| list.into_iter().filter_map(|string| CString::new(string).ok()).collect();
    let args = CStringArray::new(strings(std::env::args_os().map(OsStringExt::into_vec).collect()));
    let variables = std::env::vars_os().map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='));
    let env = CStringArray::new(strings(variables.collect()));
    let path = CString::new(format!("/proc/self/fd/{}", copy.as_raw_fd())).map_err(|error| failed(error.into()))?;
    Err(failed(execve(&path, &args, &env).into()))
}

fn sealed_copy(mut original: File) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // MFD_EXEC says that it is meant to be executed; kernels before 6.3 don't know it, and need not be told.
    let made = memfd_create(c"izba", flags | MemfdFlags::EXEC).or_else(|_| memfd_create(c"izba", flags))?;
    let mut copy = File::from(made);
    io::copy(&mut original, &mut copy)?;
    fcntl_add_seals(copy.as_fd(), SEALS)?;
    Ok(copy)
}
