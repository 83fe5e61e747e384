//! The run directory: what the host and the machine tell each other, in files.

use crate::Outcome;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const PLACE: &str = "/var/tmp";
const PREFIX: &str = "izba-vm-";

/// A directory for one machine, open to root only. Removed at the end; one that a killed xtask left, by the next.
pub(super) struct RunDirectory {
    path: PathBuf,
    /// Says that the directory is in use. The kernel drops it with this process.
    _lock: File,
}

impl RunDirectory {
    pub(super) fn make() -> Outcome<Self> {
        sweep();
        let id = std::process::id();
        let path = Path::new(PLACE).join(format!("{PREFIX}{id}"));
        let made = || {
            // Locked before it has the name by which it could be swept.
            let new = Path::new(PLACE).join(format!("new-{PREFIX}{id}"));
            DirBuilder::new().mode(0o700).create(&new)?;
            let lock = File::open(&new)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            fs::rename(&new, &path)?;
            Ok(lock)
        };
        let lock = made().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&self, name: &str, content: &str) -> Outcome {
        fs::write(self.path.join(name), content).map_err(|error| self.failed(name, &error))
    }

    pub(super) fn open(&self, name: &str) -> Outcome<File> {
        File::open(self.path.join(name)).map_err(|error| self.failed(name, &error))
    }

    /// For what adds to a file at its end.
    pub(super) fn open_end(&self, name: &str) -> Outcome<File> {
        let opened = File::options().append(true).open(self.path.join(name));
        opened.map_err(|error| self.failed(name, &error))
    }

    /// A file that the machine may have written.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path.join(name)).ok()
    }

    /// The last 25 lines: a panic of the kernel and what led to it.
    pub(super) fn end_of_console(&self) -> String {
        let console = fs::read(self.path.join("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    fn failed(&self, name: &str, error: &std::io::Error) -> String {
        format!("{}: {error}", self.path.join(name).display())
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("xtask vm: {}: {error}", self.path.display());
        }
    }
}

/// Removes what killed ones have left: nobody holds its lock.
fn sweep() {
    for entry in fs::read_dir(PLACE).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && File::open(entry.path())
                .is_ok_and(|directory| flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok())
        {
            // Whatever remains is tried again by the next.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
