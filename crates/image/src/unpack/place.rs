//! Where entries are made: beneath one directory, through descriptors, with no link followed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Owners;
use super::directories::{Directories, Directory};
use crate::error::UnpackError;
use crate::name::Name;

/// No component may be a link or lead out, whatever the archive has put there before.
pub(super) const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// While it is filled, a directory is its maker's own.
const FILLING: Mode = Mode::RWXU;

/// The tree that is being made.
pub(super) struct Place {
    root: Rc<OwnedFd>,
    /// The directory of the last entry: archives list the children of a directory together.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    directories: Directories,
}

impl Place {
    pub(super) fn new(root: BorrowedFd<'_>) -> Result<Place, UnpackError> {
        let failed = |errno| UnpackError::make(b"", "openat", errno);
        let root = rustix::fs::openat(root, ".", PASS, Mode::empty()).map_err(failed)?;
        let mut directories = Directories::default();
        directories.describe(b"", Directory::default());
        Ok(Place { root: Rc::new(root), last: None, directories })
    }

    /// Makes something that is not a directory. What has its name gives way, as with GNU tar, unless it is a directory
    /// with something in it. `make` gets the directory and the last component, and must not follow or replace.
    pub(super) fn fresh<T>(
        &mut self,
        name: &Name,
        call: &'static str,
        make: &mut dyn FnMut(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<(Rc<OwnedFd>, T), UnpackError> {
        let (_, last) = name.split();
        let dir = self.parent(name)?;
        let mut made = make(dir.as_fd(), last);
        if matches!(made, Err(Errno::EXIST)) {
            self.clear(&dir, name)?;
            made = make(dir.as_fd(), last);
        }
        Ok((dir, made.map_err(|errno| UnpackError::make(name.as_bytes(), call, errno))?))
    }

    /// Makes a directory, or keeps the one that is there, and notes how it shall be in the end.
    pub(super) fn directory(&mut self, name: &Name, directory: Directory) -> Result<(), UnpackError> {
        let made = if name.is_root() { Ok(()) } else { self.make_directory(name) };
        self.directories.describe(name.as_bytes(), directory);
        made
    }

    /// Gives all directories their final owners, modes and times; returns how many attributes were not set.
    pub(super) fn finish_directories(&mut self, owners: Owners) -> Result<u64, UnpackError> {
        self.directories.finish(self.root.as_fd().as_fd(), owners)
    }

    /// The directory of an entry that should be there already; None if it is not.
    pub(super) fn existing(&mut self, name: &Name) -> Result<Option<Rc<OwnedFd>>, UnpackError> {
        let (dir, _) = name.split();
        match self.open(dir) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(cannot_pass(name.as_bytes(), dir, errno)),
        }
    }

    /// The directory of an entry, made with all those above it if it is not there.
    fn parent(&mut self, name: &Name) -> Result<Rc<OwnedFd>, UnpackError> {
        let (dir, _) = name.split();
        match self.open(dir) {
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT) => self.make_parents(name, dir),
            Err(errno) => Err(cannot_pass(name.as_bytes(), dir, errno)),
        }
    }

    fn open(&mut self, dir: &[u8]) -> rustix::io::Result<Rc<OwnedFd>> {
        if dir.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some((_, fd)) = self.last.as_ref().filter(|(last, _)| last == dir) {
            return Ok(fd.clone());
        }
        let fd = Rc::new(rustix::fs::openat2(&self.root, dir, PASS, Mode::empty(), BENEATH)?);
        self.last = Some((dir.to_vec(), fd.clone()));
        Ok(fd)
    }

    fn make_parents(&mut self, name: &Name, dir: &[u8]) -> Result<Rc<OwnedFd>, UnpackError> {
        let mut fd = self.root.clone();
        let mut len = 0;
        for part in dir.split(|b| *b == b'/') {
            len += part.len() + usize::from(len > 0);
            match rustix::fs::mkdirat(&fd, part, FILLING) {
                Ok(()) => self.directories.describe(&dir[..len], Directory::default()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(UnpackError::make(name.as_bytes(), "mkdirat", errno)),
            }
            let next = rustix::fs::openat(&fd, part, PASS, Mode::empty());
            fd = Rc::new(next.map_err(|errno| cannot_pass(name.as_bytes(), &dir[..len], errno))?);
        }
        Ok(fd)
    }

    fn make_directory(&mut self, name: &Name) -> Result<(), UnpackError> {
        let failed = |errno| UnpackError::make(name.as_bytes(), "mkdirat", errno);
        let (_, last) = name.split();
        let dir = self.parent(name)?;
        match rustix::fs::mkdirat(&dir, last, FILLING) {
            Err(Errno::EXIST) if is_directory(&dir, last) => Ok(()),
            Err(Errno::EXIST) => {
                self.clear(&dir, name)?;
                rustix::fs::mkdirat(&dir, last, FILLING).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    /// Takes away what has an entry's name.
    fn clear(&mut self, dir: &OwnedFd, name: &Name) -> Result<(), UnpackError> {
        let (_, last) = name.split();
        let removed = match rustix::fs::unlinkat(dir, last, AtFlags::empty()) {
            Err(Errno::ISDIR) => {
                self.last = None;
                self.directories.forget(name.as_bytes());
                rustix::fs::unlinkat(dir, last, AtFlags::REMOVEDIR)
            }
            other => other,
        };
        match removed {
            Err(Errno::NOTEMPTY) => {
                Err(UnpackError::refused(name.as_bytes(), "it would replace a directory that is not empty"))
            }
            other => other.map_err(|errno| UnpackError::make(name.as_bytes(), "unlinkat", errno)),
        }
    }
}

fn is_directory(dir: &OwnedFd, last: &[u8]) -> bool {
    let stat = rustix::fs::statat(dir, last, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// The error of a name whose directories are not all directories.
fn cannot_pass(name: &[u8], dir: &[u8], errno: Errno) -> UnpackError {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => {
            let dir = crate::error::printable(dir);
            UnpackError::refused(name, format!("{dir} is, or passes through, a link or a file and not a directory"))
        }
        _ => UnpackError::make(name, "openat2", errno),
    }
}
