//! Paths and files by descriptor: openat2(2), mkdirat(2), mknodat(2) and their family.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::path::Arg;

pub use rustix::fs::{
    Access, AtFlags, CWD, Dev, DirEntry, FileType, FlockOperation, Gid, Mode, OFlags, ResolveFlags, Stat, StatFs,
    Statx, StatxFlags, Uid, accessat, chmodat, fchmod, flock, fstat, fstatfs, major, makedev, minor, mkdirat, mknodat,
    openat, readlinkat, readlinkat_raw, renameat, rmdir, stat, statat, statfs, symlinkat, unlink, unlinkat,
};
pub use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
pub use rustix::io::{fcntl_dupfd_cloexec, pread, read, write};
pub use rustix::process::chdir;

/// File-system magic of procfs: statfs(2).
pub const PROC_MAGIC: u64 = 0x9fa0;

/// File-system magic of cgroup v2.
pub const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// File-system magic of cgroup v1.
pub const CGROUP_MAGIC: u64 = 0x27_e0eb;

pub use rustix::fs::{StatVfs, StatVfsMountFlags, fstatvfs, getxattr, statvfs};

/// Is a file system mounted right here? Whatever links lead there. Linux 5.8.
///
/// # Errors
/// ENOENT, EACCES.
pub fn is_mount_root(path: impl Arg) -> Result<bool, Errno> {
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::empty())?;
    Ok(found.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

/// fchownat(2) of what `path` names in `dir`, itself where it is a link, or of `dir` where the path is empty. No group leaves it as it is.
///
/// # Errors
/// EPERM, EINVAL for an unmapped id.
pub fn chown_at(dir: BorrowedFd<'_>, path: &CStr, uid: u32, gid: Option<u32>) -> Result<(), Errno> {
    let flags = if path.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
    rustix::fs::chownat(dir, path, Some(Uid::from_raw(uid)), gid.map(Gid::from_raw), flags)
}

/// openat2(2), again where the kernel asks for it: a scoped ".." gives EAGAIN whenever something is mounted or renamed anywhere on the
/// machine meanwhile.
///
/// # Errors
/// What the call gives; EAGAIN only after a thousand tries.
pub fn openat2(
    dir: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    for _ in 0..1000 {
        match rustix::fs::openat2(dir.as_fd(), path, flags, mode, resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// What is in a directory: readdir(3).
///
/// # Errors
/// ENOTDIR. Each entry can be an error too.
pub fn directory_entries(dir: BorrowedFd<'_>) -> Result<impl Iterator<Item = Result<DirEntry, Errno>>, Errno> {
    rustix::fs::Dir::read_from(dir)
}
