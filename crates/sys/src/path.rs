//! Paths and files by descriptor: openat2(2), mkdirat(2), mknodat(2) and their family.

pub use rustix::fs::{
    Access, AtFlags, CWD, Dev, FileType, FlockOperation, Gid, Mode, OFlags, ResolveFlags, Stat, StatFs, Statx,
    StatxFlags, Uid, accessat, chmodat, fchmod, flock, fstat, fstatfs, major, makedev, minor, mkdirat, mknodat, openat,
    openat2, readlinkat, stat, statat, statfs, statx, symlinkat, unlinkat,
};
pub use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
pub use rustix::io::{read, write};

/// File-system magic of procfs: statfs(2).
pub const PROC_MAGIC: u64 = 0x9fa0;
/// File-system magic of sysfs.
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
/// File-system magic of devpts.
pub const DEVPTS_MAGIC: u64 = 0x1cd1;

pub use rustix::fs::{StatVfs, StatVfsMountFlags, fstatvfs, getxattr, statvfs};
