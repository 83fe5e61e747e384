//! Directories that are the caller's own and closed to everybody else: what is in them nobody else has put there.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use izba_sys::Errno;
use izba_sys::path::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat};

/// How a directory is opened that is to be read, and that a link must not stand for.
pub const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens such a directory.
///
/// # Errors
/// EPERM where it is somebody else's or open to others, ENOTDIR or ELOOP where it is none, and what openat(2) gives.
pub fn open(dir: &Path, uid: u32) -> Result<OwnedFd, Errno> {
    let opened = openat(CWD, dir, DIRECTORY, Mode::empty())?;
    // What has been opened is judged, as the name may stand for something else by now.
    let stat = fstat(&opened)?;
    let own = FileType::from_raw_mode(stat.st_mode) == FileType::Directory && stat.st_uid == uid;
    if own && stat.st_mode & 0o077 == 0 { Ok(opened) } else { Err(Errno::PERM) }
}

/// Opens it, and makes it if it is missing.
///
/// # Errors
/// As [`open`], and what mkdirat(2) gives.
pub fn open_or_make(dir: &Path, uid: u32) -> Result<OwnedFd, Errno> {
    match open(dir, uid) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    make(CWD, dir)?;
    open(dir, uid)
}

/// Makes a directory that is closed to others, if there is nothing of its name.
///
/// # Errors
/// What mkdirat(2) gives.
pub fn make(parent: impl AsFd, name: &Path) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_place_of_others_is_not_used() {
        let dir = std::env::temp_dir().join(format!("izba-private-{}", std::process::id()));
        let uid = izba_sys::credential::geteuid().as_raw();
        assert_eq!(open(&dir, uid).unwrap_err(), Errno::NOENT);
        assert!(open_or_make(&dir, uid).is_ok() && open(&dir, uid).is_ok());
        assert_eq!(open_or_make(&dir, uid + 1).unwrap_err(), Errno::PERM);
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(open_or_make(&dir, uid).unwrap_err(), Errno::PERM);
        std::fs::remove_dir(&dir).unwrap();
        symlink("/", &dir).unwrap();
        assert!(open_or_make(&dir, uid).is_err());
        std::fs::remove_file(&dir).unwrap();
        std::fs::write(&dir, "").unwrap();
        assert_eq!(open_or_make(&dir, uid).unwrap_err(), Errno::NOTDIR);
        std::fs::remove_file(&dir).unwrap();
    }
}
