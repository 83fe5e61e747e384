//! Programs on groups of cgroup v2.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::{Errno, bpf};

use super::Program;
use crate::probe::Hint;

/// By this the programs that izba has attached are told from those of systemd or of whoever made the group.
const NAME: &CStr = c"izba_devices";
/// No helper function is called that wants the GPL.
const LICENSE: &CStr = c"Apache-2.0";

/// Makes the processes of a v2 group, whose directory `group` is, follow the program.
///
/// # Errors
/// EPERM: see [`program_refusal`]. ENOSYS or EINVAL where the kernel lacks CONFIG_CGROUP_BPF, EBADF where `group` is no v2 group.
pub fn attach(group: BorrowedFd<'_>, program: &Program) -> io::Result<()> {
    Ok(bpf::attach(group, load(program)?.as_fd(), None)?)
}

/// Attaches the program in place of the one that izba has attached before, with no moment between them; attaches it where there is none.
///
/// Programs of others stay: they can only refuse more.
///
/// # Errors
/// As [`attach`]. The old program stays then.
pub fn replace(group: BorrowedFd<'_>, program: &Program) -> io::Result<()> {
    let new = load(program)?;
    let before = attached_by_izba(group)?;
    bpf::attach(group, new.as_fd(), before.first().map(AsFd::as_fd))?;
    for more in before.iter().skip(1) {
        bpf::detach(group, more.as_fd())?;
    }
    Ok(())
}

/// The verifier gives up with EAGAIN when a signal comes. libbpf tries as often.
fn load(program: &Program) -> Result<OwnedFd, Errno> {
    let mut attempts = (0..5).map(|_| bpf::load(NAME, LICENSE, program.instructions()));
    attempts.find(|result| !matches!(result, Err(Errno::AGAIN))).unwrap_or(Err(Errno::AGAIN))
}

/// A program that is gone since it was listed, or that a security module hides, isn't izba's to replace.
fn attached_by_izba(group: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let programs = bpf::attached(group)?.into_iter().filter_map(|id| bpf::by_id(id).ok());
    Ok(programs.filter(|program| bpf::is_named(program.as_fd(), NAME) == Ok(true)).collect())
}

/// Why a program can't be attached, and what to do. `None` where nothing that is known explains it.
pub fn program_refusal(errno: Errno) -> Option<Hint> {
    match errno {
        Errno::PERM => Some(Hint::new(
            "device rules on cgroup v2 are a BPF program, which takes CAP_SYS_ADMIN, or CAP_BPF with CAP_NET_ADMIN, in the initial user namespace; \
             no ordinary user has them, and systemd's user manager doesn't lend them",
            "run izba as root, or leave the device rules out: in a user namespace of its own \
             a program can make no devices, and opens those that it is given by their file modes",
        )),
        Errno::NOSYS | Errno::INVAL => Some(Hint::new(
            "the kernel can't run BPF programs for devices (CONFIG_CGROUP_BPF)",
            "use another kernel, or leave the device rules out",
        )),
        Errno::TOOBIG => Some(Hint::new(
            "there are too many device rules, or already 64 programs on the group",
            "write fewer rules, with * for numbers",
        )),
        _ => None,
    }
}
