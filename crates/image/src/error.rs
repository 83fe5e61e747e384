//! What can go wrong, in words that say what to do about it.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// The result of this crate's operations on a cache.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the cache, or of one archive on its way into it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on the cache's own files failed.
    #[error("cannot {action} {path} in the image cache")]
    Cache {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The cache's file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The cache belongs to somebody else, who could swap the trees that would run here.
    #[error(
        "the image cache {path} belongs to user {owner}, not to {caller}, who could change what runs; \
         name a cache directory of your own, or give this one to user {caller}"
    )]
    ForeignCache {
        /// The cache directory.
        path: PathBuf,
        /// The id that owns it.
        owner: u32,
        /// The caller's effective id.
        caller: u32,
    },
    /// Others may write to the cache.
    #[error("the image cache {path} may be written by others (mode {mode:04o}); run: chmod 700 {path}")]
    OpenCache {
        /// The cache directory.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The archive cannot be opened or looked at.
    #[error("cannot {action} the archive {path}")]
    Archive {
        /// What was tried.
        action: &'static str,
        /// The archive.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The path names something else than a file.
    #[error(
        "{path} is a {kind}, not an archive file; give a tar archive (plain, gzip, xz or zstd), \
         and save a stream to a file first"
    )]
    NotAFile {
        /// The path given.
        path: PathBuf,
        /// What it names.
        kind: &'static str,
    },
    /// The archive was written to while it was unpacked.
    #[error("the archive {path} changed while it was unpacked; try again when whoever writes it has finished")]
    Changed {
        /// The archive.
        path: PathBuf,
    },
    /// The archive's content was refused or could not be made.
    #[error("cannot unpack {path}")]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// What is wrong, and with which entry.
        source: UnpackError,
    },
}

/// What is wrong with an archive's content, or with the place where it is unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The bytes are no tar archive at all.
    #[error("it is not a tar archive: {found}; give a tar archive (plain, gzip, xz or zstd) of a root file system")]
    NotATar {
        /// What it is instead, as far as it can be told.
        found: String,
    },
    /// A compression that this crate does not read.
    #[error("it is compressed with {format}, which is not supported; plain tar, gzip, xz and zstd are: recompress it")]
    Compression {
        /// The compression's name.
        format: &'static str,
    },
    /// The decompressor would need more memory than it is given.
    #[error(
        "its compression needs more memory than 192 MiB (xz) or a window of 128 MiB (zstd); \
         recompress it with a smaller dictionary: xz -9, or zstd without --long"
    )]
    Dictionary,
    /// The bytes end too early.
    #[error("the archive is cut off {place}; fetch or make it again")]
    Truncated {
        /// Where it ends.
        place: String,
    },
    /// The bytes contradict themselves.
    #[error("the archive is damaged: {what}; fetch or make it again")]
    Corrupt {
        /// The contradiction.
        what: String,
    },
    /// Reading the archive failed.
    #[error("reading the archive failed")]
    Read(#[source] io::Error),
    /// The thread that decompresses could not be started.
    #[error("cannot start the thread that decompresses (is a limit on processes, such as ulimit -u, reached?)")]
    Thread(#[source] io::Error),
    /// An entry asks for something that is never done.
    #[error("the entry {entry} is refused: {why}")]
    Refused {
        /// The entry's name.
        entry: String,
        /// The rule that it breaks.
        why: String,
    },
    /// One of the [`Limits`](crate::Limits) is exceeded.
    #[error("the entry {entry} exceeds the limit of {limit}; unpack the archive by hand and use the directory")]
    TooLarge {
        /// The entry's name.
        entry: String,
        /// The limit, with its value.
        limit: String,
    },
    /// An owner that has no place in the user namespace.
    #[error(
        "the entry {entry} belongs to {kind} {id}, which is not mapped in this user namespace; \
         map it (a larger range in /etc/sub{short}, or --{short}map), or unpack with all owners squashed"
    )]
    UnmappedId {
        /// The entry's name.
        entry: String,
        /// "user" or "group".
        kind: &'static str,
        /// "uid" or "gid".
        short: &'static str,
        /// The id.
        id: u32,
    },
    /// The file system is full, or a quota is used up.
    #[error(
        "no space left for the entry {entry} ({call}); free some (`izba cache prune` removes unpacked archives, \
         `df -h` and `df -i` show what is full), or name a cache directory elsewhere"
    )]
    NoSpace {
        /// The entry's name.
        entry: String,
        /// The system call.
        call: &'static str,
        /// ENOSPC or EDQUOT.
        source: io::Error,
    },
    /// Making an entry failed.
    #[error("{call} failed for the entry {entry}")]
    Make {
        /// The entry's name.
        entry: String,
        /// The system call.
        call: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// Binds a cache path and what was tried to an errno.
    pub(crate) fn cache(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> Error {
        let path = path.into();
        move |errno| Error::Cache { action, path, source: errno.into() }
    }
}

impl UnpackError {
    /// The error of a system call on an entry.
    pub(crate) fn make(entry: &[u8], call: &'static str, errno: Errno) -> UnpackError {
        let entry = printable(entry);
        match errno {
            Errno::NOSPC | Errno::DQUOT => UnpackError::NoSpace { entry, call, source: errno.into() },
            _ => UnpackError::Make { entry, call, source: errno.into() },
        }
    }

    /// The error of an entry that breaks a rule.
    pub(crate) fn refused(entry: &[u8], why: impl Into<String>) -> UnpackError {
        UnpackError::Refused { entry: printable(entry), why: why.into() }
    }

    /// The error of an entry that exceeds a limit.
    pub(crate) fn too_large(entry: &[u8], limit: impl Into<String>) -> UnpackError {
        UnpackError::TooLarge { entry: printable(entry), limit: limit.into() }
    }

    /// The error of contradictory bytes.
    pub(crate) fn corrupt(what: impl Into<String>) -> UnpackError {
        UnpackError::Corrupt { what: what.into() }
    }
}

/// A name from an archive, made safe to print: it may hold escape sequences for the terminal, or no UTF-8.
pub(crate) fn printable(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    let mut text = String::new();
    for c in String::from_utf8_lossy(&name[..name.len().min(LONGEST)]).chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    if name.len() > LONGEST {
        text.push('…');
    }
    if text.is_empty() { "./".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_to_print() {
        assert_eq!(printable(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\u{fffd}");
        assert_eq!(printable(b""), "./");
        assert!(printable(&[b'x'; 5000]).len() < 300);
    }

    #[test]
    fn a_full_disk_has_its_own_remedy() {
        let error = UnpackError::make(b"etc/passwd", "write", Errno::NOSPC);
        assert!(error.to_string().contains("izba cache prune"), "{error}");
        assert!(error.to_string().contains("etc/passwd"), "{error}");
    }
}
