//! Unpacking an archive into the cache: once, however many start it at the same time.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::about::Entry;
use super::{Cache, DIRECTORY, INDEX, MAKING, TREES, Tree, index_name, tree_name, variant_name};
use crate::digest::Digest;
use crate::error::{Error, Result, UnpackError};
use crate::limits::Limits;
use crate::remove::remove_tree;
use crate::source::Source;
use crate::unpack::{Owners, Report, unpack_stream};

/// How an archive shall be unpacked.
#[derive(Debug, Clone)]
pub struct Unpacking<'a> {
    /// Whose the files are.
    pub owners: Owners,
    /// What tells apart trees of one archive; see [`Cache::locate`].
    pub variant: &'a str,
    /// How much the archive may ask for.
    pub limits: Limits,
}

impl<'a> Unpacking<'a> {
    /// With the default limits.
    #[must_use]
    pub fn new(owners: Owners, variant: &'a str) -> Unpacking<'a> {
        Unpacking { owners, variant, limits: Limits::default() }
    }
}

impl Cache {
    /// Unpacks the archive at `archive`, or waits for another process that is just doing so. `progress` is told how
    /// many bytes of the archive have been read, and its size. The tree is on disk when this returns.
    ///
    /// # Errors
    /// What is wrong with the archive, or with the place; nothing of it is left in the cache then.
    pub fn unpack(
        &self,
        archive: &Path,
        how: &Unpacking<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Tree, Report)> {
        let source = Source::open(archive)?;
        let job = index_name(&source.identity, &variant_name(how.variant));
        let making = Making::begin(self, &job)?;
        let tree = match self.find(&job)? {
            Some(tree) => tree,
            None => match self.find_same_content(&source, how.variant)? {
                Some(tree) => tree,
                None => return making.unpack(&source, how, progress),
            },
        };
        making.link(&source, &tree_name(tree.digest(), &variant_name(how.variant)))?;
        let report = Report { shared: true, ..tree.about()?.report };
        Ok((tree, report))
    }

    /// A copied or touched archive has another identity and the same content. Hashing is much cheaper than unpacking;
    /// it is tried if a tree came from an archive of the same size.
    fn find_same_content(&self, source: &Source, variant: &str) -> Result<Option<Tree>> {
        let known = self.list()?;
        let alike = |entry: &Entry| entry.archive_bytes == source.identity.size && entry.variant == variant;
        if !known.iter().any(alike) {
            return Ok(None);
        }
        let mut hasher = HashWriter(Sha256::new());
        std::io::copy(&mut &source.file, &mut hasher)
            .and_then(|_| std::io::Seek::rewind(&mut &source.file))
            .map_err(|error| Error::Archive { action: "read", path: source.path.clone(), source: error })?;
        source.unchanged()?;
        Tree::open(self, &tree_name(&Digest::finish(hasher.0), &variant_name(variant)))
    }

    /// Opens one of the cache's directories, made if it is not there.
    fn directory(&self, name: &'static str) -> Result<OwnedFd> {
        let path = || self.path.join(name);
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::cache("make", path())(errno)),
        }
        rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty()).map_err(Error::cache("open", path()))
    }
}

struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The place where one archive is unpacked, locked by this process. Removed with what is left in it when it goes.
struct Making<'a> {
    cache: &'a Cache,
    job: &'a str,
    /// The directory `making`.
    parent: OwnedFd,
    /// The job's directory in it, locked. All others who want the same tree wait for this lock.
    dir: OwnedFd,
}

impl<'a> Making<'a> {
    /// Makes and locks the job's directory. Who had it before may have removed it while we waited: then again.
    fn begin(cache: &'a Cache, job: &'a str) -> Result<Making<'a>> {
        let parent = cache.directory(MAKING)?;
        let path = format!("{MAKING}/{job}");
        let failed = |action, errno| Error::cache(action, cache.path.join(&path))(errno);
        loop {
            match rustix::fs::mkdirat(&parent, job, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed("make", errno)),
            }
            let dir = match rustix::fs::openat(&parent, job, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(|e| failed("open", e))?,
            };
            rustix::io::retry_on_intr(|| rustix::fs::flock(&dir, FlockOperation::LockExclusive))
                .map_err(|e| failed("lock", e))?;
            if cache.is_in_place(&path, &dir)? {
                return Ok(Making { cache, job, parent, dir });
            }
        }
    }

    fn unpack(
        &self,
        source: &Source,
        how: &Unpacking<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Tree, Report)> {
        let failed = |error| Error::Unpack { path: source.path.clone(), source: error };
        let total = source.identity.size;
        let entry = self.new_entry()?;
        let root = self.open("entry/root")?;
        let progress = &mut |read| progress(read, total);
        let (report, digest) =
            unpack_stream(&source.file, root.as_fd(), how.owners, &how.limits, progress).map_err(failed)?;
        source.unchanged()?;
        Entry::new(digest, how.variant, &source.path, total, report.clone())
            .write(entry.as_fd(), &self.path("entry"))?;
        let name = tree_name(&digest, &variant_name(how.variant));
        // An archive is unpacked once and used for long: it has to survive a reboot, whole or not at all.
        rustix::fs::syncfs(&self.cache.fd).map_err(|errno| failed(UnpackError::make(b"", "syncfs", errno)))?;
        let tree = self.install(entry, &name)?;
        self.link(source, &name)?;
        Ok((tree, report))
    }

    /// An empty entry, instead of what a killed process may have left.
    fn new_entry(&self) -> Result<OwnedFd> {
        remove_tree(self.dir.as_fd(), OsStr::new("entry")).map_err(|left| Error::Cache {
            action: "remove what a killed process left of",
            path: self.path("").join(&left.path),
            source: left.source,
        })?;
        for dir in ["entry", "entry/root"] {
            rustix::fs::mkdirat(&self.dir, dir, Mode::RWXU).map_err(Error::cache("make", self.path(dir)))?;
        }
        let root = self.open("entry/root")?;
        for acl in ["system.posix_acl_default", "system.posix_acl_access"] {
            // The home directory may have default lists, which all files of the tree would inherit. Most file systems
            // answer that there are none, or none possible.
            let _ = rustix::fs::fremovexattr(&root, acl);
        }
        // A set-group-id directory above would hand its group down.
        rustix::fs::chownat(&root, "", None, Some(rustix::process::getegid()), AtFlags::EMPTY_PATH)
            .and_then(|()| rustix::fs::fchmod(&root, Mode::RWXU))
            .map_err(Error::cache("own", self.path("entry/root")))?;
        self.open("entry")
    }

    /// Moves a finished entry to its place, where the tree is locked from the first moment. Somebody may have unpacked
    /// a copy of the archive meanwhile: then theirs is taken.
    fn install(&self, entry: OwnedFd, name: &str) -> Result<Tree> {
        let to = format!("{TREES}/{name}");
        let failed = |action, errno| Error::cache(action, self.cache.path.join(&to))(errno);
        self.cache.directory(TREES)?;
        rustix::fs::flock(&entry, FlockOperation::NonBlockingLockShared).map_err(|e| failed("lock", e))?;
        loop {
            match rustix::fs::renameat(&self.dir, "entry", &self.cache.fd, &to) {
                Ok(()) => return Tree::locked(self.cache, name, entry),
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(errno) => return Err(failed("move a finished tree to", errno)),
            }
            if let Some(tree) = Tree::open(self.cache, name)? {
                return Ok(tree);
            }
            // A prune has locked it and is about to move it away.
            sleep(Duration::from_millis(1));
        }
    }

    /// Lets the archive's identity lead to the tree. Older versions of the same file can't come back: their change
    /// time has passed.
    fn link(&self, source: &Source, tree: &str) -> Result<()> {
        let index = self.cache.directory(INDEX)?;
        let failed = |errno| Error::cache("link", self.cache.path.join(INDEX).join(self.job))(errno);
        // Made anew and moved, so that it is whole at every moment; in our own directory, where it is swept if we die.
        match rustix::fs::unlinkat(&self.dir, "link", AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        rustix::fs::symlinkat(format!("../trees/{tree}"), &self.dir, "link").map_err(failed)?;
        rustix::fs::renameat(&self.dir, "link", &index, self.job).map_err(failed)?;
        let (file, variant) = (source.identity.file(), self.job.rsplit('.').next().unwrap_or_default());
        for name in self.cache.names(INDEX)? {
            if name != self.job && name.starts_with(&file) && name.rsplit('.').next() == Some(variant) {
                // If it cannot be removed, it leads nowhere wrong and is swept with its tree.
                let _ = rustix::fs::unlinkat(&index, &name, AtFlags::empty());
            }
        }
        Ok(())
    }

    fn open(&self, name: &str) -> Result<OwnedFd> {
        rustix::fs::openat(&self.dir, name, DIRECTORY, Mode::empty()).map_err(Error::cache("open", self.path(name)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.cache.path.join(MAKING).join(self.job).join(name)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is left to the next sweep, which says why. The lock goes last.
        let _ = remove_tree(self.parent.as_fd(), OsStr::new(self.job));
    }
}
