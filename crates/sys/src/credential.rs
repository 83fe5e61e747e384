//! Ids, capabilities and what guards them: credentials(7), capabilities(7), prctl(2).

use rustix::io::Errno;
pub use rustix::process::{
    DumpableBehavior, Gid, Uid, dumpable_behavior, getegid, geteuid, getgid, getgroups, getuid, set_dumpable_behavior,
};
pub use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// prctl(PR_CAPBSET_DROP): takes a capability out of the bounding set.
///
/// # Errors
/// EPERM without CAP_SETPCAP, EINVAL for a number that the kernel doesn't know.
pub fn drop_from_bounding_set(number: u8) -> Result<(), Errno> {
    // SAFETY: takes integers and touches no memory of ours.
    crate::check_int(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) }).map(drop)
}

/// prctl(PR_CAPBSET_READ): is it in the bounding set? EINVAL says that the kernel doesn't know the number.
pub fn in_bounding_set(number: u8) -> Result<bool, Errno> {
    // SAFETY: takes integers and touches no memory of ours.
    crate::check_int(unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) })
        .map(|answer| answer == 1)
}

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING): a new, anonymous session keyring, so that the caller's keys stay behind.
///
/// # Errors
/// ENOSYS where the kernel has no keyrings, EDQUOT.
pub fn join_new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory of ours is read.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) };
    crate::check(result).map(drop)
}

/// Has execve(2) given this process more rights than its caller had? AT_SECURE of getauxval(3): a set-user-ID or set-group-ID bit,
/// file capabilities, or a security module's doing.
pub fn raised_by_exec() -> bool {
    // SAFETY: takes an integer and reads the auxiliary vector, which lives as long as the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// setgroups(2) for the calling thread, which is the only one of a forked child.
///
/// # Errors
/// EPERM without CAP_SETGID or where user_namespaces(7) denies it, EINVAL for an unmapped group.
pub fn setgroups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `groups.len()` ids from the slice, which outlives the call.
    crate::check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}
