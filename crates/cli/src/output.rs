//! The one place that writes to stdout and stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::failure::{FAILED, Failure, Result};

/// Writes to stdout. A reader that has gone away (`izba cache list | head -1`) ends the output and is no failure.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::new("cannot write to stdout").caused_by(&error)),
    }
}

/// Says something about the run, on stderr, where it doesn't mix with the program's output. If nobody listens, nobody
/// is told.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "note: {text}");
}

/// Writes one line to stderr as it is.
pub fn say(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says what has failed beside the rest, and gives the status that izba ends with for it.
pub fn failures(failures: &[Failure]) -> u8 {
    failures.iter().for_each(failure);
    if failures.is_empty() { 0 } else { FAILED }
}

/// Says why izba ends.
pub fn failure(failure: &Failure) {
    if !failure.said {
        say(failure);
    }
}
