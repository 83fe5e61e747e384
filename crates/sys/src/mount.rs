//! Mounts by descriptor: fsopen(2), open_tree(2), move_mount(2), mount_setattr(2), pivot_root(2).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
pub use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags as MountAttributes, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind,
    mount_bind_recursive, mount_change, move_mount, open_tree, unmount,
};
pub use rustix::process::{chroot, fchdir, pivot_root};

/// How mounts and unmounts travel between peers: mount_namespaces(7), "Shared subtrees".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Neither way.
    Private,
    /// From the peers to here.
    Slave,
    /// Both ways.
    Shared,
    /// Neither way, and it can't be bind mounted.
    Unbindable,
}

impl Propagation {
    /// The word of mount(8): `--make-private`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Slave => "slave",
            Self::Shared => "shared",
            Self::Unbindable => "unbindable",
        }
    }

    /// The kernel's name of the flag.
    pub fn flag_name(self) -> &'static str {
        match self {
            Self::Private => "MS_PRIVATE",
            Self::Slave => "MS_SLAVE",
            Self::Shared => "MS_SHARED",
            Self::Unbindable => "MS_UNBINDABLE",
        }
    }

    fn bits(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// What mount_setattr(2) changes.
#[derive(Clone, Copy, Debug)]
pub struct MountChange<'fd> {
    /// Attributes to set.
    pub set: MountAttributes,
    /// Propagation to set.
    pub propagation: Option<Propagation>,
    /// The user namespace whose maps shift the ids that the mount shows.
    pub idmap: Option<BorrowedFd<'fd>>,
}

/// struct mount_attr of linux/mount.h, MOUNT_ATTR_SIZE_VER0.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// mount_setattr(2) on the mount that `path` names relative to `dir`; an empty path names `dir` itself.
/// `recursive` changes every mount below as well, or none of them.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN or where an idmap is refused, EINVAL where `dir` is no mount or its file system
/// can't be id-mapped.
pub fn mount_setattr(dir: BorrowedFd<'_>, path: &CStr, recursive: bool, change: MountChange<'_>) -> Result<(), Errno> {
    let idmap = if change.idmap.is_some() { MountAttributes::MOUNT_ATTR_IDMAP } else { MountAttributes::empty() };
    let attr = MountAttr {
        attr_set: u64::from((change.set | idmap).bits()),
        attr_clr: 0,
        propagation: change.propagation.map_or(0, Propagation::bits),
        userns_fd: change.idmap.map_or(0, |fd| fd.as_raw_fd().unsigned_abs().into()),
    };
    let empty = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let flags = empty | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `path` is NUL-terminated and `attr` is a whole mount_attr that outlives the call, which only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    crate::check(result).map(drop)
}

/// open_tree(2) with OPEN_TREE_CLONE: a detached copy of the mount that `path` names relative to `dir`, and of all below it where
/// `recursive`; an empty path names `dir` itself.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN over the mount namespace, EINVAL for a mount of another namespace, ENOENT, EACCES.
pub fn copy_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    flags.set(OpenTreeFlags::AT_EMPTY_PATH, path.is_empty());
    open_tree(dir, path, flags)
}
