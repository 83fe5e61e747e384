//! Removing a tree: by descriptors, no link followed, at any depth with a bounded number of open files, and going on
//! after a failure.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

/// How many directories are open at once. What lies deeper is moved up to the top, and removed from there.
const DEEPEST: usize = 64;

const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A tree, or a part of it, that could not be removed.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot remove {path}{}{}",
    match others { 0 => String::new(), n => format!(" and {n} more") },
    match source.kind() {
        std::io::ErrorKind::PermissionDenied =>
            "; files of subordinate ids can only be removed by root, or inside a user namespace that maps their owners",
        _ => "",
    }
)]
pub struct Unremovable {
    /// The first file or directory that could not be removed.
    pub path: PathBuf,
    /// How many others could not.
    pub others: u64,
    /// The kernel's answer for the first.
    pub source: std::io::Error,
}

/// Removes `name` in the directory `parent`, and everything below if it is a directory; it is no error if it is not
/// there. Directories of the caller's own that forbid it are made writable first.
///
/// # Errors
/// What is left when all that can be removed has been.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Unremovable> {
    let name = name.as_bytes();
    let mut remover = Remover { levels: Vec::new(), moved: 0, failed: None };
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(Errno::ISDIR) => remover.directory(parent, name),
        Err(errno) => remover.fail(name, errno),
    }
    remover.failed.map_or(Ok(()), Err)
}

/// An open directory on the way down.
struct Level {
    name: Vec<u8>,
    fd: Rc<OwnedFd>,
    listing: Dir,
    /// How many directories had been moved up when the listing began.
    moved: u64,
}

struct Remover {
    levels: Vec<Level>,
    /// How many directories have been moved up to the first level.
    moved: u64,
    failed: Option<Unremovable>,
}

impl Remover {
    fn directory(&mut self, parent: BorrowedFd<'_>, name: &[u8]) {
        self.descend(parent, name);
        while let Some(level) = self.levels.last_mut() {
            match level.listing.read() {
                Some(Ok(entry)) => {
                    let dir = level.fd.clone();
                    self.entry(&dir, entry.file_name().to_bytes());
                }
                Some(Err(errno)) => {
                    self.fail(b"", errno);
                    self.levels.pop();
                }
                None => self.ascend(parent),
            }
        }
    }

    fn entry(&mut self, dir: &OwnedFd, name: &[u8]) {
        if matches!(name, b"." | b"..") {
            return;
        }
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) if self.levels.len() < DEEPEST => self.descend(dir.as_fd(), name),
            Err(Errno::ISDIR) => self.move_up(dir.as_fd(), name),
            Err(errno) => self.fail(name, errno),
        }
    }

    fn descend(&mut self, dir: BorrowedFd<'_>, name: &[u8]) {
        let opened = open_writable(dir, name).and_then(|fd| Ok((Dir::read_from(&fd)?, fd)));
        match opened {
            Ok((listing, fd)) => {
                self.levels.push(Level { name: name.to_vec(), fd: Rc::new(fd), listing, moved: self.moved });
            }
            Err(errno) => self.fail(name, errno),
        }
    }

    /// Moves a directory out of the deepest one into the first, whose listing then has to be read again.
    fn move_up(&mut self, dir: BorrowedFd<'_>, name: &[u8]) {
        let Some(first) = self.levels.first().map(|level| level.fd.clone()) else { return };
        // Moving a directory writes its "..", so it has to be writable itself.
        if let Err(errno) = open_writable(dir, name) {
            return self.fail(name, errno);
        }
        loop {
            self.moved += 1;
            let new_name = format!(".izba-removing-{}", self.moved);
            match rustix::fs::renameat(dir, name, &first, &new_name) {
                Ok(()) => return,
                // The tree has such a name already.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                Err(errno) => return self.fail(name, errno),
            }
        }
    }

    /// Removes the deepest directory, whose listing has ended.
    fn ascend(&mut self, parent: BorrowedFd<'_>) {
        let first = self.levels.len() == 1;
        let Some(level) = self.levels.last_mut() else { return };
        if first && level.moved < self.moved {
            level.moved = self.moved;
            level.listing.rewind();
            return;
        }
        let Some(level) = self.levels.pop() else { return };
        let above = self.levels.last().map(|level| level.fd.clone());
        let dir = above.as_ref().map_or(parent, |fd| fd.as_fd());
        match rustix::fs::unlinkat(dir, &level.name[..], AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            // What is left in it has been reported.
            Err(Errno::NOTEMPTY) if self.failed.is_some() => {}
            Err(errno) => self.fail(&level.name, errno),
        }
    }

    fn fail(&mut self, name: &[u8], errno: Errno) {
        if let Some(failed) = &mut self.failed {
            failed.others += 1;
            return;
        }
        let mut path: PathBuf = self.levels.iter().map(|level| OsStr::from_bytes(&level.name)).collect();
        path.push(OsStr::from_bytes(name));
        self.failed = Some(Unremovable { path, others: 0, source: errno.into() });
    }
}

/// Opens a directory whose entries shall be removed, and makes it writable for its owner if it is not.
fn open_writable(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let fd = match rustix::fs::openat(dir, name, LIST, Mode::empty()) {
        Err(Errno::ACCESS) => {
            make_accessible(dir, name)?;
            rustix::fs::openat(dir, name, LIST, Mode::empty())?
        }
        other => other?,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&fd, Mode::RWXU)?;
    }
    Ok(fd)
}

/// Makes a directory readable that cannot be opened. A descriptor that only names it is good for nothing but its
/// link in /proc, which leads to this very directory, whatever its name leads to meanwhile.
fn make_accessible(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmodat(CWD, link, Mode::RWXU, AtFlags::empty())
}
