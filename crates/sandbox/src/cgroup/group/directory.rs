//! A directory of a group, by descriptor: its files, its sub-groups and the one above.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use izba_sys::Errno;
use izba_sys::path::{
    AtFlags, CGROUP_MAGIC, CGROUP2_MAGIC, CWD, FileType, Mode, OFlags, ResolveFlags, directory_entries, fstat, fstatfs,
    openat, openat2, read, statat, unlinkat, write,
};

use super::{GroupError, Operation, interface};
use crate::cgroup::{Bound, Version};

/// Files of groups are read in pieces of this size; most fit in one.
const PIECE: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    /// Where it was found. For messages; only its last name is used, to remove it.
    pub(super) path: PathBuf,
    pub(super) version: Version,
}

impl Directory {
    /// # Errors
    /// It isn't there, may not be opened, or isn't in a control group file system.
    pub(super) fn open(path: &Path) -> Result<Self, GroupError> {
        let failed = |errno| GroupError::call(Operation::Open, path, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of(openat(CWD, path, flags, Mode::empty()).map_err(failed)?, path)
    }

    /// One that is open already.
    ///
    /// # Errors
    /// It isn't in a control group file system.
    pub(super) fn of(fd: OwnedFd, path: &Path) -> Result<Self, GroupError> {
        let failed = |errno| GroupError::call(Operation::Open, path, errno);
        let version = match u64::try_from(fstatfs(&fd).map_err(failed)?.f_type) {
            Ok(CGROUP2_MAGIC) => Version::V2,
            Ok(CGROUP_MAGIC) => Version::V1,
            _ => return Err(GroupError::NotAGroup(path.to_owned())),
        };
        Ok(Self { fd, path: path.to_owned(), version })
    }

    /// The same, opened once more.
    pub(super) fn again(&self) -> Result<Self, GroupError> {
        let fd = self.fd.try_clone().map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::MFILE);
            GroupError::call(Operation::Open, &self.path, errno)
        })?;
        Ok(Self { fd, path: self.path.clone(), version: self.version })
    }

    /// A file of the group.
    pub(super) fn file(&self, name: &str, access: OFlags) -> Result<OwnedFd, GroupError> {
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.fd, name, flags, Mode::empty())
            .map_err(|errno| GroupError::call(Operation::Open, self.path.join(name), errno))
    }

    /// What a file says.
    pub(super) fn read(&self, name: &str) -> Result<String, GroupError> {
        let file = self.file(name, OFlags::RDONLY)?;
        read_to_end(file.as_fd()).map_err(|errno| GroupError::call(Operation::Read, self.path.join(name), errno))
    }

    /// The same, where the group may not have that file.
    pub(super) fn get(&self, name: &str) -> Result<Option<String>, GroupError> {
        if_there(self.read(name))
    }

    /// The number in a file, where the group has it.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, GroupError> {
        Ok(self.get(name)?.and_then(|text| interface::number(&text)))
    }

    /// The limit in a file, where the group has it.
    pub(super) fn bound(&self, name: &str) -> Result<Option<Bound>, GroupError> {
        Ok(self.get(name)?.and_then(|text| Bound::of_file(&text)))
    }

    /// Gives a file a value, in one write(2).
    pub(super) fn write(&self, name: &str, value: &str) -> Result<(), GroupError> {
        let written = |errno| GroupError::call(Operation::Write(value.to_owned()), self.path.join(name), errno);
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.fd, name, flags, Mode::empty()).map_err(written)?;
        write(&file, value.as_bytes()).map(drop).map_err(written)
    }

    /// The names of the sub-groups.
    pub(super) fn subgroups(&self) -> Result<Vec<CString>, GroupError> {
        let mut names = self.names(FileType::Directory)?;
        names.retain(|name| name.as_c_str() != c"." && name.as_c_str() != c"..");
        Ok(names)
    }

    /// The names of its files.
    pub(super) fn files(&self) -> Result<Vec<String>, GroupError> {
        let names = self.names(FileType::RegularFile)?;
        Ok(names.iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn names(&self, kind: FileType) -> Result<Vec<CString>, GroupError> {
        let failed = |errno| GroupError::call(Operation::List, &self.path, errno);
        let mut names = Vec::new();
        for entry in directory_entries(self.fd.as_fd()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type() == kind {
                names.push(entry.file_name().to_owned());
            }
        }
        Ok(names)
    }

    /// One of its sub-groups.
    pub(super) fn subgroup(&self, name: &CStr) -> Result<Self, GroupError> {
        self.beside(name, self.path.join(OsStr::from_bytes(name.to_bytes())))
    }

    /// The group above. EXDEV where the file system is mounted right here.
    pub(super) fn parent(&self) -> Result<Self, GroupError> {
        self.beside(c"..", self.path.parent().unwrap_or(Path::new("/")).to_owned())
    }

    /// Whatever has been mounted there, the file system isn't left.
    fn beside(&self, name: &CStr, path: PathBuf) -> Result<Self, GroupError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.fd, name, flags, Mode::empty(), resolve) {
            Ok(fd) => Ok(Self { fd, path, version: self.version }),
            Err(errno) => Err(GroupError::call(Operation::Open, path, errno)),
        }
    }

    /// rmdir(2). A group that has the same name by now is another one, and stays.
    pub(super) fn remove(&self) -> Result<(), GroupError> {
        let failed = |errno| GroupError::call(Operation::Remove, &self.path, errno);
        let parent = self.parent().map_err(|error| error.errno().map_or(error, failed))?;
        let name = self.path.file_name().unwrap_or(OsStr::new("."));
        let named = statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        if named.st_ino != fstat(&self.fd).map_err(failed)?.st_ino {
            return Err(GroupError::Gone(self.path.clone()));
        }
        unlinkat(&parent.fd, name, AtFlags::REMOVEDIR).map_err(failed)
    }

    /// Has it been removed? Every group has this file.
    pub(super) fn is_gone(&self) -> bool {
        !self.has("cgroup.procs")
    }

    /// Is there such a file?
    pub(super) fn has(&self, name: &str) -> bool {
        !self.file(name, OFlags::PATH).is_err_and(|error| error.is_absence())
    }
}

fn read_to_end(file: BorrowedFd<'_>) -> Result<String, Errno> {
    let mut text = Vec::new();
    let mut piece = [0; PIECE];
    loop {
        match read(file, &mut piece)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            length => text.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
}

/// What was found: `None` where the file, or the whole group, isn't there.
pub(super) fn if_there<T>(found: Result<T, GroupError>) -> Result<Option<T>, GroupError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}
