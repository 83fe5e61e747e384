//! A stream of entries becomes a tree of files beneath one directory.

mod attributes;
mod directories;
mod place;

use std::collections::HashSet;
use std::io::{BufRead, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::error::UnpackError;
use crate::limits::Limits;
use crate::name::Name;
use crate::pipeline;
use crate::tar::{Kind, Member, Reader};
use attributes::Owner;
use directories::Directory;
use place::Place;

/// Whose the unpacked files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// All files belong to the caller: an ordinary user with one id. Device nodes are skipped. Set-user-id and
    /// set-group-id bits of files are dropped: they would name the caller and not whom the archive means, inside there
    /// is no other id to switch to, and outside they would only be a danger. Of the extended attributes `user.*` stay.
    Squashed,
    /// Files belong to whom the archive says: for root, and for root in a user namespace with a range of ids. Devices
    /// are made where the kernel permits it (never in a user namespace) and skipped elsewhere. Attributes are set,
    /// file capabilities too (in a user namespace the kernel binds them to that namespace's root).
    AsArchived,
}

/// What was unpacked, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Entries in the archive.
    pub entries: u64,
    /// Bytes written as content of files.
    pub bytes: u64,
    /// Entries of other owners than root that now belong to the caller.
    pub squashed: u64,
    /// Device nodes that were not made, and hard links to them.
    pub devices_skipped: u64,
    /// Files that lost their set-user-id or set-group-id bit.
    pub set_id_dropped: u64,
    /// Extended attributes and access control lists that were not set: the owners don't permit it, or the file system
    /// lacks them.
    pub attributes_skipped: u64,
    /// Whether another start had unpacked the archive already, or was doing so.
    pub shared: bool,
}

/// Unpacks an archive of any supported compression beneath `root`, an empty directory to which nobody else may write.
/// Returns what was made and the digest of the bytes read; after an error, what had been made stays for the caller
/// to remove. `progress` is told how many bytes have been read.
///
/// # Errors
/// The first thing that is wrong, with the entry's name.
pub fn unpack_stream<R: Read + Send>(
    input: R,
    root: BorrowedFd<'_>,
    owners: Owners,
    limits: &Limits,
    progress: &mut dyn FnMut(u64),
) -> Result<(Report, Digest), UnpackError> {
    pipeline::run(input, progress, |pieces| {
        let mut unpacker = Unpacker::new(root, owners, limits)?;
        let mut reader = Reader::new(pieces, limits);
        while let Some(member) = reader.next()? {
            unpacker.entry(&member, &mut reader)?;
        }
        reader.finish()?;
        unpacker.finish()
    })
}

struct Unpacker<'a> {
    place: Place,
    owners: Owners,
    limits: &'a Limits,
    report: Report,
    /// Devices that were not made: a hard link to one is skipped like the device itself.
    skipped: HashSet<Name>,
}

impl<'a> Unpacker<'a> {
    fn new(root: BorrowedFd<'_>, owners: Owners, limits: &'a Limits) -> Result<Unpacker<'a>, UnpackError> {
        let place = Place::new(root)?;
        Ok(Unpacker { place, owners, limits, report: Report::default(), skipped: HashSet::new() })
    }

    fn entry<R: BufRead>(&mut self, member: &Member, reader: &mut Reader<'_, R>) -> Result<(), UnpackError> {
        let name = Name::parse(&member.name, self.limits.depth)?;
        if name.is_root() && member.kind != Kind::Directory {
            return Err(UnpackError::refused(&member.name, "it would replace the root directory itself"));
        }
        self.report.entries += 1;
        self.report.attributes_skipped += member.unread_attributes;
        if self.owners == Owners::Squashed && (member.uid, member.gid) != (0, 0) {
            self.report.squashed += 1;
        }
        match member.kind {
            Kind::Directory => self.directory(&name, member),
            Kind::File => self.file(&name, member, reader),
            Kind::Symlink => self.symlink(&name, member),
            Kind::HardLink => self.hard_link(name, member),
            Kind::Fifo => self.node(&name, member, FileType::Fifo, 0).map(drop),
            Kind::CharDevice { major, minor } => self.device(name, member, FileType::CharacterDevice, major, minor),
            Kind::BlockDevice { major, minor } => self.device(name, member, FileType::BlockDevice, major, minor),
        }
    }

    /// Directories get their owners, modes and times when all their children are there.
    fn directory(&mut self, name: &Name, member: &Member) -> Result<(), UnpackError> {
        let directory = Directory {
            mode: Some(member.mode),
            owner: self.owner(name, member)?,
            mtime: Some(member.mtime),
            attributes: member.attributes.clone(),
        };
        self.place.directory(name, directory)
    }

    fn file<R: BufRead>(
        &mut self,
        name: &Name,
        member: &Member,
        reader: &mut Reader<'_, R>,
    ) -> Result<(), UnpackError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let owner = self.owner(name, member)?;
        let (_, file) = self
            .place
            .fresh(name, "openat", &mut |dir, last| rustix::fs::openat(dir, last, flags, Mode::from_raw_mode(0o600)))?;
        self.content(&file, name, member, reader)?;
        // Changing the owner drops set-id bits and capabilities, so it comes first; `user.*` attributes need a file
        // that its owner may write, so the mode comes after them.
        attributes::set_owner(file.as_fd(), b"", owner, name.as_bytes())?;
        self.report.attributes_skipped += attributes::set_all(file.as_fd(), &member.attributes, self.owners);
        let mode = self.file_mode(member.mode);
        rustix::fs::fchmod(&file, mode).map_err(|e| UnpackError::make(name.as_bytes(), "fchmod", e))?;
        let times = attributes::times(member.mtime);
        rustix::fs::futimens(&file, &times).map_err(|e| UnpackError::make(name.as_bytes(), "futimens", e))
    }

    fn content<R: BufRead>(
        &mut self,
        file: &OwnedFd,
        name: &Name,
        member: &Member,
        reader: &mut Reader<'_, R>,
    ) -> Result<(), UnpackError> {
        self.report.bytes += member.size;
        let Some(sparse) = &member.sparse else {
            return reader.copy(member.size, &mut |piece| write_all(file, piece, name));
        };
        for segment in &sparse.segments {
            let position = rustix::fs::SeekFrom::Start(segment.offset);
            rustix::fs::seek(file, position).map_err(|e| UnpackError::make(name.as_bytes(), "lseek", e))?;
            reader.copy(segment.len, &mut |piece| write_all(file, piece, name))?;
        }
        rustix::fs::ftruncate(file, sparse.size).map_err(|e| UnpackError::make(name.as_bytes(), "ftruncate", e))
    }

    fn symlink(&mut self, name: &Name, member: &Member) -> Result<(), UnpackError> {
        if member.link.is_empty() || member.link.contains(&0) {
            return Err(UnpackError::refused(&member.name, "it is a symbolic link to an empty name, or one with NUL"));
        }
        let owner = self.owner(name, member)?;
        let target = &member.link[..];
        let (dir, ()) =
            self.place.fresh(name, "symlinkat", &mut |dir, last| rustix::fs::symlinkat(target, dir, last))?;
        let (_, last) = name.split();
        attributes::set_owner(dir.as_fd(), last, owner, name.as_bytes())?;
        // The kernel has no user attributes on links, and the others are not worth a detour over /proc.
        self.report.attributes_skipped += member.attributes.len() as u64;
        set_times(dir.as_fd(), name, member)
    }

    /// A second name for an entry of this archive. Neither of the two names may lead through a symbolic link.
    fn hard_link(&mut self, name: Name, member: &Member) -> Result<(), UnpackError> {
        let target = Name::parse(&member.link, self.limits.depth)?;
        if target == name {
            return Ok(());
        }
        if self.skipped.contains(&target) {
            self.report.devices_skipped += 1;
            self.skipped.insert(name);
            return Ok(());
        }
        let missing = || {
            let target = crate::error::printable(&member.link);
            UnpackError::refused(
                &member.name,
                format!("it is a hard link to {target}, which is no file in the archive before it"),
            )
        };
        let (_, target_last) = target.split();
        let target_dir = self.place.existing(&target)?.filter(|_| !target.is_root()).ok_or_else(missing)?;
        let made = self.place.fresh(&name, "linkat", &mut |dir, last| {
            match rustix::fs::linkat(&target_dir, target_last, dir, last, AtFlags::empty()) {
                // The target is a directory; or EXIST was answered, and clearing the place took the target away.
                Err(Errno::PERM) => Err(Errno::NOENT),
                other => other,
            }
        });
        match made {
            Err(UnpackError::Make { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Err(missing()),
            other => other.map(drop),
        }
    }

    /// A device, if the kernel lets the caller make it.
    fn device(
        &mut self,
        name: Name,
        member: &Member,
        kind: FileType,
        major: u32,
        minor: u32,
    ) -> Result<(), UnpackError> {
        let permitted =
            self.owners == Owners::AsArchived && self.node(&name, member, kind, rustix::fs::makedev(major, minor))?;
        if !permitted {
            self.report.devices_skipped += 1;
            self.skipped.insert(name);
        }
        Ok(())
    }

    /// A FIFO or device node; false if the kernel does not permit it.
    fn node(&mut self, name: &Name, member: &Member, kind: FileType, device: u64) -> Result<bool, UnpackError> {
        let owner = self.owner(name, member)?;
        let mode = self.file_mode(member.mode);
        let made = self.place.fresh(name, "mknodat", &mut |dir, last| match rustix::fs::mknodat(
            dir,
            last,
            kind,
            Mode::from_raw_mode(0o600),
            device,
        ) {
            Err(Errno::PERM) if kind != FileType::Fifo => Ok(false),
            other => other.map(|()| true),
        })?;
        let (dir, true) = made else { return Ok(false) };
        let (_, last) = name.split();
        attributes::set_owner(dir.as_fd(), last, owner, name.as_bytes())?;
        self.report.attributes_skipped += member.attributes.len() as u64;
        // This follows links, but the node was made just now, where nobody else can put a link.
        rustix::fs::chmodat(&dir, last, mode, AtFlags::empty())
            .map_err(|e| UnpackError::make(name.as_bytes(), "fchmodat", e))?;
        set_times(dir.as_fd(), name, member).map(|()| true)
    }

    fn owner(&self, name: &Name, member: &Member) -> Result<Option<Owner>, UnpackError> {
        match self.owners {
            Owners::Squashed => Ok(None),
            Owners::AsArchived => Owner::new(member, name).map(Some),
        }
    }

    /// The mode of anything but a directory.
    fn file_mode(&mut self, mode: u32) -> Mode {
        const SET_ID: u32 = 0o6000;
        if self.owners == Owners::Squashed && mode & SET_ID != 0 {
            self.report.set_id_dropped += 1;
            return Mode::from_raw_mode(mode & !SET_ID);
        }
        Mode::from_raw_mode(mode)
    }

    fn finish(mut self) -> Result<Report, UnpackError> {
        self.report.attributes_skipped += self.place.finish_directories(self.owners)?;
        Ok(self.report)
    }
}

fn write_all(file: &OwnedFd, mut piece: &[u8], name: &Name) -> Result<(), UnpackError> {
    while !piece.is_empty() {
        match rustix::io::write(file, piece) {
            Ok(n) => piece = &piece[n..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(UnpackError::make(name.as_bytes(), "write", errno)),
        }
    }
    Ok(())
}

fn set_times(dir: BorrowedFd<'_>, name: &Name, member: &Member) -> Result<(), UnpackError> {
    let (_, last) = name.split();
    rustix::fs::utimensat(dir, last, &attributes::times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| UnpackError::make(name.as_bytes(), "utimensat", e))
}
