//! Namespaces: clone flags, setns(2), unshare(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
pub use rustix::system::{setdomainname, sethostname};

bitflags::bitflags! {
    /// The CLONE_NEW* flags of clone3(2), unshare(2) and setns(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CloneFlags: u64 {
        /// A time namespace; only clone3 and unshare take it (it lies in clone's signal bits).
        const NEWTIME = 0x80;
        /// A mount namespace.
        const NEWNS = 0x2_0000;
        /// A cgroup namespace.
        const NEWCGROUP = 0x200_0000;
        /// A UTS namespace.
        const NEWUTS = 0x400_0000;
        /// An IPC namespace.
        const NEWIPC = 0x800_0000;
        /// A user namespace.
        const NEWUSER = 0x1000_0000;
        /// A PID namespace.
        const NEWPID = 0x2000_0000;
        /// A network namespace.
        const NEWNET = 0x4000_0000;
    }
}

impl CloneFlags {
    /// The kernel's names, joined by `|`.
    pub fn names(self) -> String {
        let names: Vec<String> = self.iter_names().map(|(name, _)| format!("CLONE_{name}")).collect();
        names.join("|")
    }

    fn int(self) -> libc::c_int {
        // The highest flag is bit 30, so nothing is lost.
        libc::c_int::try_from(self.bits()).unwrap_or(0)
    }
}

/// setns(2): enters the namespace of the kind `kind` that `fd` stands for.
///
/// # Errors
/// EPERM without the rights over it, EINVAL where `fd` is of another kind or the rules of its kind forbid it.
pub fn setns(fd: BorrowedFd<'_>, kind: CloneFlags) -> Result<(), Errno> {
    // SAFETY: takes two integers and touches no memory of ours.
    crate::check_int(unsafe { libc::setns(fd.as_raw_fd(), kind.int()) }).map(drop)
}

/// unshare(2) with namespace flags only, so that the descriptor table stays shared and the call is safe.
///
/// # Errors
/// EPERM, ENOSPC (a limit of /proc/sys/user is reached), EINVAL.
pub fn unshare(flags: CloneFlags) -> Result<(), Errno> {
    // SAFETY: CloneFlags holds no CLONE_FILES or CLONE_VM, so no memory or descriptor table is affected.
    crate::check_int(unsafe { libc::unshare(flags.int()) }).map(drop)
}
