//! Owners, times and extended attributes of what was made.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::Owners;
use crate::error::{UnpackError, printable};
use crate::name::Name;
use crate::tar::{Attribute, Member, Mtime};

/// A numeric owner and group that chown takes as they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// Checks a member's ids: 32 bits, and not the value that chown takes for "leave it".
    pub(super) fn new(member: &Member, name: &Name) -> Result<Owner, UnpackError> {
        let id = |kind: &str, id: u64| {
            let fits = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
            fits.ok_or_else(|| UnpackError::refused(name.as_bytes(), format!("its {kind} {id} is no 32-bit id")))
        };
        Ok(Owner { uid: id("owner", member.uid)?, gid: id("group", member.gid)? })
    }
}

/// Gives `last` in `dir` (or `dir` itself, if that is empty) to its owner; a link is not followed.
pub(super) fn set_owner(
    dir: BorrowedFd<'_>,
    last: &[u8],
    owner: Option<Owner>,
    name: &[u8],
) -> Result<(), UnpackError> {
    let Some(Owner { uid, gid }) = owner else { return Ok(()) };
    let chown = |uid: Option<u32>, gid: Option<u32>| {
        let flags = if last.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
        rustix::fs::chownat(dir, last, uid.map(Uid::from_raw), gid.map(Gid::from_raw), flags)
    };
    match chown(Some(uid), Some(gid)) {
        Ok(()) => Ok(()),
        // One of the two has no place in the user namespace; asking again for one tells which.
        Err(Errno::INVAL) => {
            let entry = printable(name);
            Err(match chown(Some(uid), None) {
                Err(_) => UnpackError::UnmappedId { entry, kind: "user", short: "uid", id: uid },
                Ok(()) => UnpackError::UnmappedId { entry, kind: "group", short: "gid", id: gid },
            })
        }
        Err(errno) => Err(UnpackError::make(name, "fchownat", errno)),
    }
}

/// The archived time of change; the time of access is left as it is.
pub(super) fn times(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
    }
}

/// Sets the attributes that may be, and returns how many were not: a file system without them, or a value that the
/// kernel does not accept, is no reason to have no tree at all.
pub(super) fn set_all(file: BorrowedFd<'_>, attributes: &[Attribute], owners: Owners) -> u64 {
    let set = |(name, value): &&Attribute| {
        wanted(name, owners) && rustix::fs::fsetxattr(file, &name[..], value, XattrFlags::empty()).is_ok()
    };
    attributes.len() as u64 - attributes.iter().filter(set).count() as u64
}

/// Whether an archive may set an attribute. Those of overlayfs steer the overlay that the tree becomes a layer of,
/// security labels belong to the host's policy.
fn wanted(name: &[u8], owners: Owners) -> bool {
    let is = |prefix: &[u8]| name.starts_with(prefix);
    if is(b"user.overlay.") || is(b"trusted.overlay.") {
        return false;
    }
    let privileged = || name == b"security.capability" || is(b"trusted.") || is(b"system.posix_acl_");
    is(b"user.") || owners == Owners::AsArchived && privileged()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_overlay_attributes_are_never_taken() {
        for name in ["user.overlay.redirect", "trusted.overlay.opaque", "security.selinux", "security.ima", "x"] {
            assert!(!wanted(name.as_bytes(), Owners::AsArchived), "{name}");
        }
        for (name, squashed) in [("user.x", true), ("security.capability", false), ("trusted.x", false)] {
            assert!(wanted(name.as_bytes(), Owners::AsArchived), "{name}");
            assert_eq!(wanted(name.as_bytes(), Owners::Squashed), squashed, "{name}");
        }
    }
}
