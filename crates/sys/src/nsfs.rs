//! Descriptors that stand for namespaces: ioctl_nsfs(2), listns(2), and handles of nsfs.
//!
//! A kernel that lacks one of the newer calls says ENOTTY (an ioctl) or ENOSYS (a system call).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::namespace::CloneFlags;

/// File-system magic of nsfs: statfs(2).
pub const NSFS_MAGIC: u64 = 0x6e73_6673;

/// NSIO of linux/nsfs.h.
const NSIO: libc::Ioctl = 0xb7;

/// _IO() of linux/ioctl.h.
const fn io(number: libc::Ioctl) -> libc::Ioctl {
    NSIO << 8 | number
}

/// _IOR() of linux/ioctl.h.
const fn ior(number: libc::Ioctl, size: libc::Ioctl) -> libc::Ioctl {
    2 << 30 | size << 16 | io(number)
}

const NS_GET_USERNS: libc::Ioctl = io(1);
const NS_GET_PARENT: libc::Ioctl = io(2);
const NS_GET_NSTYPE: libc::Ioctl = io(3);
const NS_GET_OWNER_UID: libc::Ioctl = io(4);
const NS_GET_MNTNS_ID: libc::Ioctl = ior(5, 8);
const NS_GET_PID_FROM_PIDNS: libc::Ioctl = ior(6, 4);
const NS_GET_TGID_FROM_PIDNS: libc::Ioctl = ior(7, 4);
const NS_GET_PID_IN_PIDNS: libc::Ioctl = ior(8, 4);
const NS_GET_TGID_IN_PIDNS: libc::Ioctl = ior(9, 4);
const NS_MNT_GET_NEXT: libc::Ioctl = ior(11, 16);
const NS_MNT_GET_PREV: libc::Ioctl = ior(12, 16);
const NS_GET_ID: libc::Ioctl = ior(13, 8);

/// The user namespace that owns this one; of a user namespace its parent: NS_GET_USERNS.
///
/// # Errors
/// EPERM where that lies outside the caller's own user namespace, or where there is none.
pub fn owner(namespace: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    related(namespace, NS_GET_USERNS)
}

/// The parent of a user or PID namespace: NS_GET_PARENT.
///
/// # Errors
/// EPERM where that lies outside the caller's own, or where there is none; EINVAL for the other kinds.
pub fn parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    related(namespace, NS_GET_PARENT)
}

/// The mount namespace made after this one, among those that the caller has CAP_SYS_ADMIN over: NS_MNT_GET_NEXT, Linux 6.12.
///
/// # Errors
/// ENOENT after the last one, EINVAL for the other kinds.
pub fn next_mount(namespace: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    related(namespace, NS_MNT_GET_NEXT)
}

/// The one made before it: NS_MNT_GET_PREV.
///
/// # Errors
/// As [`next_mount`].
pub fn previous_mount(namespace: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    related(namespace, NS_MNT_GET_PREV)
}

/// For the calls whose argument is an integer, or a pointer that may be null, and whose answer is a new descriptor.
fn related(namespace: BorrowedFd<'_>, request: libc::Ioctl) -> Result<OwnedFd, Errno> {
    // SAFETY: with a null argument these four touch no memory of ours.
    let fd = crate::check_int(unsafe { libc::ioctl(namespace.as_raw_fd(), request, 0) })?;
    // SAFETY: the kernel has just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Of which kind it is: NS_GET_NSTYPE.
///
/// # Errors
/// ENOTTY where the descriptor stands for no namespace, or for no open file (O_PATH): EBADF.
pub fn kind(namespace: BorrowedFd<'_>) -> Result<CloneFlags, Errno> {
    // SAFETY: takes no argument.
    let flag = crate::check_int(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) })?;
    Ok(CloneFlags::from_bits_retain(flag.unsigned_abs().into()))
}

/// Who made a user namespace, as the caller sees that id: NS_GET_OWNER_UID.
///
/// # Errors
/// EINVAL for the other kinds.
pub fn owner_uid(namespace: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut uid: u32 = 0;
    // SAFETY: the kernel stores a uid_t there, which outlives the call.
    crate::check_int(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) })?;
    Ok(uid)
}

/// The 64-bit number that no other namespace ever gets: NS_GET_ID, Linux 6.18; of a mount namespace since Linux 6.11, NS_GET_MNTNS_ID.
///
/// # Errors
/// ENOTTY or EINVAL where the kernel has none.
pub fn unique_id(namespace: BorrowedFd<'_>) -> Result<u64, Errno> {
    number(namespace, NS_GET_ID).or_else(|_| number(namespace, NS_GET_MNTNS_ID))
}

fn number(namespace: BorrowedFd<'_>, request: libc::Ioctl) -> Result<u64, Errno> {
    let mut id: u64 = 0;
    // SAFETY: the kernel stores a 64-bit number there, which outlives the call.
    crate::check_int(unsafe { libc::ioctl(namespace.as_raw_fd(), request, &raw mut id) })?;
    Ok(id)
}

/// The caller's id of thread `id` of a PID namespace: NS_GET_PID_FROM_PIDNS, Linux 6.11.
///
/// # Errors
/// ESRCH where there is none, or the caller can't see it.
pub fn pid_from(namespace: BorrowedFd<'_>, id: i32) -> Result<i32, Errno> {
    translate(namespace, NS_GET_PID_FROM_PIDNS, id)
}

/// The caller's id of the process that thread `id` of a PID namespace belongs to: NS_GET_TGID_FROM_PIDNS.
///
/// # Errors
/// As [`pid_from`].
pub fn tgid_from(namespace: BorrowedFd<'_>, id: i32) -> Result<i32, Errno> {
    translate(namespace, NS_GET_TGID_FROM_PIDNS, id)
}

/// What a thread, which the caller knows as `id`, is called in a PID namespace: NS_GET_PID_IN_PIDNS.
///
/// # Errors
/// As [`pid_from`].
pub fn pid_in(namespace: BorrowedFd<'_>, id: i32) -> Result<i32, Errno> {
    translate(namespace, NS_GET_PID_IN_PIDNS, id)
}

/// What the process of a thread, which the caller knows as `id`, is called in a PID namespace: NS_GET_TGID_IN_PIDNS.
///
/// # Errors
/// As [`pid_from`].
pub fn tgid_in(namespace: BorrowedFd<'_>, id: i32) -> Result<i32, Errno> {
    translate(namespace, NS_GET_TGID_IN_PIDNS, id)
}

fn translate(namespace: BorrowedFd<'_>, request: libc::Ioctl, id: i32) -> Result<i32, Errno> {
    // SAFETY: these four take an id as an integer and touch no memory of ours.
    crate::check_int(unsafe { libc::ioctl(namespace.as_raw_fd(), request, id) })
}

/// The number of listns(2), the same on every architecture (on alpha there is none).
const SYS_LISTNS: libc::c_long = 470;

/// struct ns_id_req of linux/nsfs.h, NS_ID_REQ_SIZE_VER0.
#[repr(C)]
#[derive(Default)]
struct NsIdReq {
    size: u32,
    spare: u32,
    ns_id: u64,
    ns_type: u32,
    spare2: u32,
    user_ns_id: u64,
}

/// Fills `ids` with the 64-bit ids of namespaces made after `after`, ascending, and says how many: listns(2), Linux 6.19. Only of
/// those that a descriptor, a mount or a process uses, and that the caller may see.
///
/// # Errors
/// ENOSYS. ENOENT where `after` was the last.
pub fn list(after: u64, ids: &mut [u64]) -> Result<usize, Errno> {
    let size = u32::try_from(size_of::<NsIdReq>()).unwrap_or(0);
    let request = NsIdReq { size, ns_id: after, ..NsIdReq::default() };
    // SAFETY: the request is a whole ns_id_req, and the kernel stores no more than `ids.len()` numbers; both outlive the call.
    let result = unsafe { libc::syscall(SYS_LISTNS, &raw const request, ids.as_mut_ptr(), ids.len(), 0) };
    crate::check(result).map(|count| usize::try_from(count).unwrap_or(0))
}

/// FD_NSFS_ROOT of linux/fcntl.h.
const FD_NSFS_ROOT: RawFd = -10003;
/// FILEID_NSFS of the kernel's exportfs.h.
const FILEID_NSFS: libc::c_int = 0xf1;

/// struct file_handle with a struct nsfs_file_handle in it.
#[repr(C)]
struct NsfsHandle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    ns_id: u64,
    ns_type: u32,
    ns_inum: u32,
}

/// Opens the namespace with a 64-bit id: open_by_handle_at(2) with a handle of nsfs. Linux 6.18 wants to know its kind and its inode
/// number too, Linux 6.19 finds it without: [`CloneFlags::empty`] and 0.
///
/// # Errors
/// ESTALE where there is none, EPERM where it isn't the caller's to see, EBADF before Linux 6.18.
pub fn open(unique: u64, kind: CloneFlags, inode: u32) -> Result<OwnedFd, Errno> {
    let mut handle = NsfsHandle {
        bytes: 16,
        kind: FILEID_NSFS,
        ns_id: unique,
        ns_type: u32::try_from(kind.bits()).unwrap_or(0),
        ns_inum: inode,
    };
    // By number, as the C library's declaration of the structure ends in an array of no length.
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the handle is as long as it says, and outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_by_handle_at, FD_NSFS_ROOT, &raw mut handle, flags) };
    let fd = RawFd::try_from(crate::check(fd)?).unwrap_or(-1);
    // SAFETY: the kernel has just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    fn own(kind: &str) -> File {
        File::open(format!("/proc/self/ns/{kind}")).unwrap()
    }

    #[test]
    fn a_namespace_says_its_kind() {
        for (name, flag) in [("net", CloneFlags::NEWNET), ("user", CloneFlags::NEWUSER), ("mnt", CloneFlags::NEWNS)] {
            assert_eq!(kind(own(name).as_fd()), Ok(flag));
        }
        assert_eq!(kind(File::open("/proc/self/status").unwrap().as_fd()), Err(Errno::NOTTY));
    }

    #[test]
    fn the_callers_user_namespace_owns_what_it_is_in_or_is_out_of_sight() {
        let user = own("user").metadata().unwrap().ino();
        match owner(own("net").as_fd()) {
            Ok(owner) => assert_eq!(File::from(owner).metadata().unwrap().ino(), user),
            Err(errno) => assert_eq!(errno, Errno::PERM),
        }
        // Nobody sees beyond the own one.
        assert_eq!(parent(own("user").as_fd()).unwrap_err(), Errno::PERM);
        assert_eq!(parent(own("net").as_fd()).unwrap_err(), Errno::INVAL);
        assert_eq!(owner_uid(own("net").as_fd()), Err(Errno::INVAL));
    }

    #[test]
    fn an_id_leads_back_where_the_kernel_has_handles() {
        let namespace = own("uts");
        let inode = namespace.metadata().unwrap().ino();
        let Ok(unique) = number(namespace.as_fd(), NS_GET_ID) else { return };
        let opened = open(unique, CloneFlags::NEWUTS, u32::try_from(inode).unwrap()).unwrap();
        assert_eq!(File::from(opened).metadata().unwrap().ino(), inode);
        assert_eq!(open(u64::MAX, CloneFlags::NEWUTS, 1).unwrap_err(), Errno::STALE);
    }

    #[test]
    fn own_ids_translate_to_themselves() {
        let own_id = i32::try_from(std::process::id()).unwrap();
        match tgid_in(own("pid").as_fd(), own_id) {
            Ok(id) => assert_eq!((id, tgid_from(own("pid").as_fd(), id)), (own_id, Ok(own_id))),
            Err(errno) => assert_eq!(errno, Errno::NOTTY),
        }
    }
}
