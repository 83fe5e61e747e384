//! Where one look after the other is shown.

use std::io::{self, Write};

use izba_sys::terminal::{STDOUT, isatty};

use super::sample::Sample;
use super::{document, text};
use crate::args::TableFormat;
use crate::failure::{Failure, Result};
use crate::table::terminal_width;

/// Control sequences of xterm, which other terminals have too: to the other screen and back, and an empty screen.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const CLEAR: &str = "\x1b[H\x1b[J";

/// Standard output.
pub enum Screen {
    /// One document on each line.
    Lines,
    /// One table below the other.
    Blocks,
    /// Each in the place of the one before, on the terminal's other screen. Dropping it goes back, and shows the last one there.
    Terminal { last: Vec<u8> },
}

impl Screen {
    pub fn of(format: TableFormat) -> Self {
        match format {
            TableFormat::Json => Self::Lines,
            TableFormat::Table if isatty(STDOUT) => {
                put(ENTER.as_bytes());
                Self::Terminal { last: Vec::new() }
            }
            TableFormat::Table => Self::Blocks,
        }
    }

    /// Unlike a single list, this ends when nobody reads it any more.
    pub fn show(&mut self, samples: &[Sample]) -> Result<()> {
        let mut text = Vec::new();
        let written = match self {
            Self::Lines => writeln!(text, "{}", document(samples)),
            Self::Blocks => text::again(samples).write(&mut text, None).and_then(|()| writeln!(text)),
            Self::Terminal { .. } => text::again(samples).write(&mut text, terminal_width()),
        };
        if let Self::Terminal { last } = self {
            put(&[CLEAR.as_bytes(), &text].concat());
            *last = text;
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let written = written.and_then(|()| out.write_all(&text)).and_then(|()| out.flush());
        written.map_err(|error| Failure::new("cannot write to stdout").caused_by(&error))
    }

    /// Does something with the terminal as it was.
    pub fn leave_while(&mut self, something: impl FnOnce()) {
        let own = matches!(self, Self::Terminal { .. });
        if own {
            put(LEAVE.as_bytes());
        }
        something();
        if own {
            put(ENTER.as_bytes());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Terminal { last } = self {
            put(&[LEAVE.as_bytes(), last].concat());
        }
    }
}

/// A terminal that is gone needs nothing any more.
fn put(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _gone = out.write_all(bytes).and_then(|()| out.flush());
}
