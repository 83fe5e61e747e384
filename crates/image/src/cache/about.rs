//! What the cache remembers about a tree, in a small file next to it: a key and a value to a line.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::error::{Error, Result, printable};
use crate::unpack::Report;

const FILE: &str = "about";

/// An unpacked archive, as the cache lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The archive's digest.
    pub digest: Digest,
    /// The variant that the caller gave; for what trees differ in.
    pub variant: String,
    /// The path that the archive had, made printable.
    pub archive: String,
    /// The archive's size.
    pub archive_bytes: u64,
    /// When it was unpacked.
    pub unpacked_at: SystemTime,
    /// What was unpacked.
    pub report: Report,
    /// Where the files are.
    pub path: PathBuf,
}

impl Entry {
    /// The record of what has just been unpacked from `archive`.
    pub(super) fn new(digest: Digest, variant: &str, archive: &Path, archive_bytes: u64, report: Report) -> Entry {
        use std::os::unix::ffi::OsStrExt;
        Entry {
            digest,
            variant: printable(variant.as_bytes()),
            archive: printable(archive.as_os_str().as_bytes()),
            archive_bytes,
            unpacked_at: SystemTime::now(),
            report,
            path: PathBuf::new(),
        }
    }

    /// Writes the record into the tree's directory, which is not at its place yet.
    pub(super) fn write(&self, dir: BorrowedFd<'_>, shown: &Path) -> Result<()> {
        let path = shown.join(FILE);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(dir, FILE, flags, mode).map_err(Error::cache("make", &path))?;
        let written = std::fs::File::from(file).write_all(self.format().as_bytes());
        written.map_err(|source| Error::Cache { action: "write", path, source })
    }

    /// Reads the record of the tree whose directory is `dir`. One that is not there, from an entry that somebody
    /// has damaged, reads as empty: such an entry can still be listed and pruned.
    pub(super) fn read(dir: BorrowedFd<'_>, shown: &Path, digest: Digest) -> Result<Entry> {
        let path = shown.join(FILE);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut text = String::new();
        match rustix::fs::openat(dir, FILE, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            file => {
                let file = std::fs::File::from(file.map_err(Error::cache("open", &path))?);
                let read = file.take(64 << 10).read_to_string(&mut text);
                read.map_err(|source| Error::Cache { action: "read", path, source })?;
            }
        }
        Ok(Entry { path: shown.join("root"), ..Entry::parse(&text, digest) })
    }

    fn numbers(&mut self) -> [(&'static str, &mut u64); 7] {
        [
            ("archive-bytes", &mut self.archive_bytes),
            ("entries", &mut self.report.entries),
            ("bytes", &mut self.report.bytes),
            ("squashed", &mut self.report.squashed),
            ("devices-skipped", &mut self.report.devices_skipped),
            ("set-id-dropped", &mut self.report.set_id_dropped),
            ("attributes-skipped", &mut self.report.attributes_skipped),
        ]
    }

    fn format(&self) -> String {
        let at = self.unpacked_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut text = format!("archive {}\nvariant {}\nunpacked-at {at}\n", self.archive, self.variant);
        for (key, number) in self.clone().numbers() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} {number}");
        }
        text
    }

    fn parse(text: &str, digest: Digest) -> Entry {
        let mut entry = Entry {
            digest,
            variant: String::new(),
            archive: String::new(),
            archive_bytes: 0,
            unpacked_at: SystemTime::UNIX_EPOCH,
            report: Report::default(),
            path: PathBuf::new(),
        };
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match key {
                "archive" => entry.archive = value.into(),
                "variant" => entry.variant = value.into(),
                "unpacked-at" => entry.unpacked_at += Duration::from_secs(value.parse::<u32>().unwrap_or(0).into()),
                _ => {
                    let mut numbers = entry.numbers();
                    let number = numbers.iter_mut().find(|(name, _)| *name == key);
                    number.into_iter().for_each(|(_, number)| **number = value.parse().unwrap_or(0));
                }
            }
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back() {
        let report = Report { entries: 3, bytes: 99, squashed: 1, devices_skipped: 2, ..Report::default() };
        let mut entry = Entry::new(Digest::of(b""), "root", Path::new("/a b/c\n.tar"), 7, report);
        entry.unpacked_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(entry.archive, "/a b/c\\n.tar");
        assert_eq!(Entry::parse(&entry.format(), entry.digest), entry);
    }

    #[test]
    fn damaged_records_still_make_an_entry() {
        let entry = Entry::parse("entries x\n\nbytes\narchive\nunpacked-at 99999999999999999\n", Digest::of(b""));
        assert_eq!((entry.report.entries, entry.unpacked_at), (0, SystemTime::UNIX_EPOCH));
    }
}
