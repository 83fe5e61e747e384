//! The archive file: opened once, and recognised again by its identity.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

use crate::error::{Error, Result};

/// The kernel stamps files with a clock that may tick only every 10 ms (HZ=100).
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// What is unchanged as long as an archive is: nobody can write to a file, or put another one in its place, and keep
/// inode and change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    dev: u64,
    ino: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Identity {
    /// The identity of what `path` names, by one system call.
    pub(crate) fn of(path: &Path) -> Result<Identity> {
        let stat = rustix::fs::stat(path).map_err(archive_error("find", path))?;
        Identity::checked(&stat, path)
    }

    fn checked(stat: &Stat, path: &Path) -> Result<Identity> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return Ok(Identity::new(stat)),
            FileType::Directory => "directory",
            FileType::Fifo => "FIFO",
            FileType::Socket => "socket",
            _ => "device",
        };
        Err(Error::NotAFile { path: path.into(), kind })
    }

    // The kernel's types differ between architectures; each of them fits.
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, clippy::useless_conversion)]
    fn new(stat: &Stat) -> Identity {
        Identity {
            dev: stat.st_dev.into(),
            ino: stat.st_ino.into(),
            size: stat.st_size as u64,
            mtime: (stat.st_mtime.into(), stat.st_mtime_nsec as i64),
            ctime: (stat.st_ctime.into(), stat.st_ctime_nsec as i64),
        }
    }

    /// A file name that is the same for the file in all its versions.
    pub(crate) fn file(&self) -> String {
        format!("{:x}.{:x}.", self.dev, self.ino)
    }

    /// A file name for this very version of the file. Its start is [`file`](Identity::file).
    pub(crate) fn version(&self) -> String {
        let mut name = self.file();
        let Identity { size, mtime, ctime, .. } = self;
        // Writing to a String cannot fail.
        let _ = write!(name, "{size:x}.{:x}.{:x}.{:x}.{:x}", mtime.0, mtime.1, ctime.0, ctime.1);
        name
    }

    /// How long to wait until any later change shows in the change time.
    fn settles_in(&self) -> Duration {
        let changed = Duration::new(self.ctime.0.max(0).unsigned_abs(), u32::try_from(self.ctime.1).unwrap_or(0));
        let settled = SystemTime::UNIX_EPOCH + changed + CLOCK_TICK;
        settled.duration_since(SystemTime::now()).unwrap_or_default().min(CLOCK_TICK)
    }
}

/// An archive opened for reading.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
}

impl Source {
    /// Opens `path`, waiting up to two ticks of the clock if it was changed just now: a change within the tick in
    /// which it was read would not show in its identity.
    pub(crate) fn open(path: &Path) -> Result<Source> {
        // NONBLOCK, or a FIFO's open would wait for a writer; it has no meaning for files.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(archive_error("open", path))?;
        let mut source = Source { file: file.into(), path: path.into(), identity: Identity::default() };
        source.identity = source.current()?;
        std::thread::sleep(source.identity.settles_in());
        source.identity = source.current()?;
        Ok(source)
    }

    /// An error if the file's content is not what it was when it was opened.
    ///
    /// A change time that is alone in being new says that the file got another name, owner or mode. A writer who sets the
    /// modification time back isn't noticed here, and gains nothing: the digest is that of the bytes that were read, and what
    /// is remembered for this identity is never found again.
    pub(crate) fn unchanged(&self) -> Result<()> {
        let now = Identity { ctime: self.identity.ctime, ..self.current()? };
        if now == self.identity { Ok(()) } else { Err(Error::Changed { path: self.path.clone() }) }
    }

    fn current(&self) -> Result<Identity> {
        let stat = rustix::fs::fstat(&self.file).map_err(archive_error("look at", &self.path))?;
        Identity::checked(&stat, &self.path)
    }
}

fn archive_error(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Error {
    let path = path.to_path_buf();
    move |errno| Error::Archive { action, path, source: errno.into() }
}
