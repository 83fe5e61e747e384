//! A file that is there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Where a picture goes.
pub enum Target {
    /// A new file, or in the place of this one, of which links have been followed.
    File(PathBuf),
    /// A device or a pipe, which a rename would take away from everybody: it is written to.
    Device(PathBuf),
}

impl Target {
    /// Finds out what a path is, before anything is read or drawn.
    pub fn find(path: &Path) -> Result<Self> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(failure(path).because("it is a directory")),
            Ok(found) if found.is_file() => {
                fs::canonicalize(path).map(Self::File).map_err(|error| failure(path).caused_by(&error))
            }
            Ok(_) => Ok(Self::Device(path.to_owned())),
            // A rename would put the file in the place of the link.
            Err(_) if path.is_symlink() => Err(failure(path).because("it is a link to nothing")),
            Err(error) if error.kind() == ErrorKind::NotFound && path.parent().is_some_and(is_directory) => {
                Ok(Self::File(path.to_owned()))
            }
            Err(error) => Err(failure(path).caused_by(&error)),
        }
    }

    /// Writes it. If that fails, nothing is left and what was there is there still.
    pub fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        match self {
            Self::Device(path) => OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|file| filled(file, write))
                .map_err(|error| failure(path).caused_by(&error)),
            Self::File(path) => replace(path, write).map_err(|error| failure(path).caused_by(&error)),
        }
    }
}

/// The parent of a name alone is the current directory.
fn is_directory(parent: &Path) -> bool {
    parent.as_os_str().is_empty() || parent.is_dir()
}

fn failure(path: &Path) -> Failure {
    Failure::new(format!("cannot write the picture to {}", path.display()))
}

fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name:.60}.{}.new", std::process::id()));
    let file = File::create_new(&new)?;
    let written = filled(file, write).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _gone = fs::remove_file(&new);
    }
    written
}

fn filled(file: File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.flush()
}
