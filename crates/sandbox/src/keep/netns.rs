//! The names of ip-netns(8): network namespaces that anybody may have pinned.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use izba_sys::Errno;
use izba_sys::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};

use super::{KeepError, Keeping, Kept, id_of, is_name, lock, make_directory, pin};

/// Where ip-netns(8) keeps them.
const DIR: &str = "/run/netns";

/// The file that a network namespace is pinned on.
pub(super) fn place(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// What has this name.
pub fn find(name: &str) -> Option<Kept> {
    is_name(name).then_some(())?;
    let path = place(name);
    let id = id_of(&path)?;
    Some(Kept { name: name.to_owned(), namespaces: vec![(id, path)], how: Keeping::Mounts })
}

/// All names, those that a [`Shelf`](super::Shelf) has pinned a network under among them.
pub fn all() -> Vec<Kept> {
    let members = std::fs::read_dir(DIR).into_iter().flatten().flatten();
    members.filter_map(|member| find(member.file_name().to_str()?)).collect()
}

/// Lets one go, as `ip netns delete` does.
///
/// # Errors
/// The name isn't known; EPERM without CAP_SYS_ADMIN over the mount namespace.
pub fn release(name: &str) -> Result<(), KeepError> {
    find(name).ok_or_else(|| KeepError::Unknown(name.to_owned()))?;
    pin::unpin_one(&place(name))
}

/// The directory, as ip-netns(8) makes it: shared, so that names come and go in all mount namespaces. Locked as long as the
/// descriptor is open.
pub(super) fn make() -> Result<OwnedFd, KeepError> {
    let dir = Path::new(DIR);
    make_directory(dir, 0o755)?;
    let locked = lock(dir)?;
    let share = || mount_change(dir, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    if share() == Err(Errno::INVAL) {
        mount_bind_recursive(dir, dir).map_err(KeepError::call("mount", dir))?;
        share().map_err(KeepError::call("share", dir))?;
    }
    Ok(locked)
}
