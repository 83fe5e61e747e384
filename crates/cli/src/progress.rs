//! One line on a terminal that says how far the unpacking of an archive is. Nothing where stderr isn't a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// More often nobody can read it.
const PAUSE: Duration = Duration::from_millis(100);
const WIDTH: usize = 24;

/// The line.
pub struct Bar {
    name: String,
    started: Instant,
    /// When it was drawn last; `None` where there is no terminal.
    drawn: Option<Instant>,
}

impl Bar {
    /// A line that isn't drawn yet: what is done at once needs none.
    pub fn new(name: String) -> Self {
        let now = Instant::now();
        Self { name, started: now, drawn: io::stderr().is_terminal().then_some(now) }
    }

    /// Draws it anew if it is time.
    pub fn update(&mut self, done: u64, total: u64) {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() < PAUSE) {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = line(&self.name, done, total, self.started.elapsed());
        // Clears what a longer line has left: ECMA-48 EL.
        let _ = write!(io::stderr().lock(), "\r{line}\x1b[K");
    }
}

impl Drop for Bar {
    /// The line isn't part of what happened: it goes.
    fn drop(&mut self) {
        if self.drawn.is_some_and(|drawn| drawn > self.started) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn line(name: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let percent = usize::try_from(done.min(total) * 100 / total.max(1)).unwrap_or(100);
    let filled = percent * WIDTH / 100;
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1000) / milliseconds;
    format!(
        "unpacking {name:.20} [{}{}] {percent:3}%  {} of {}, {}/s",
        "#".repeat(filled),
        "-".repeat(WIDTH - filled),
        bytes(done),
        bytes(total),
        bytes(rate)
    )
}

/// A number of bytes with one decimal and a binary unit.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        let line = line("alpine.tar.gz", 3 << 20, 6 << 20, Duration::from_secs(2));
        let expected = "unpacking alpine.tar.gz [############------------]  50%  3.0 MiB of 6.0 MiB, 1.5 MiB/s";
        assert_eq!(line, expected);
    }

    #[test]
    fn odd_numbers_are_no_trouble() {
        assert!(line("empty", 0, 0, Duration::ZERO).contains("  0%"));
        assert!(line("grown", 9, 3, Duration::ZERO).contains("100%"));
    }

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!([0, 1023, 1024, 1536, 5 << 30].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 GiB"]);
    }
}
