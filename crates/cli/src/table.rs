//! Tables for people: columns as wide as what is in them, and the last one no wider than the terminal.

use std::io::{self, Write};

use izba_sys::terminal::{STDOUT, isatty, tcgetwinsize};

/// Of the last column at least so much is shown, however narrow the terminal is.
const LEAST: usize = 8;

/// Rows of text under titles.
pub struct Table {
    titles: Vec<Title>,
    rows: Vec<Vec<String>>,
}

/// What stands above a column.
#[derive(Clone, Copy)]
pub struct Title {
    pub text: &'static str,
    /// Do its digits stand below each other?
    pub number: bool,
}

/// A column of words.
pub fn words(text: &'static str) -> Title {
    Title { text, number: false }
}

/// A column of numbers.
pub fn numbers(text: &'static str) -> Title {
    Title { text, number: true }
}

impl Table {
    pub fn new(titles: Vec<Title>) -> Self {
        Self { titles, rows: Vec::new() }
    }

    /// One cell for each title.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// Writes it, cut where `width` says how wide the terminal is.
    pub fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.titles.len()).map(|column| self.width(column)).collect();
        let titles = self.titles.iter().map(|title| title.text.to_owned()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let line = self.line(row, &widths);
            let before: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
            writeln!(out, "{}", cut(&line, width.map(|width| width.max(before + LEAST))))?;
        }
        Ok(())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let title = self.titles.get(column).map_or(0, |title| title.text.len());
        cells.chain([title]).max().unwrap_or(0)
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(&self.titles).zip(widths).map(|((cell, title), &width)| {
            // A width of format! is 65535 at most, and a cell may be somebody's endless text.
            let room = " ".repeat(width.saturating_sub(cell.chars().count()));
            if title.number { room + cell } else { cell.clone() + &room }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// How wide the terminal is that standard output is; in a pipe or a file lines are whole.
pub fn terminal_width() -> Option<usize> {
    let size = isatty(STDOUT).then(|| tcgetwinsize(STDOUT).ok()).flatten()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// A text that belongs to somebody else, such as a command line, without what would steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// At most so many characters, the last of them an ellipsis where something is missing.
pub fn cut(line: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if line.chars().count() > width => {
            line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: Option<usize>) -> String {
        let mut table = Table::new(vec![words("TYPE"), numbers("PID"), words("COMMAND")]);
        table.row(vec!["net".into(), "7".into(), "sleep \u{1b}[2J infinity".into()]);
        table.row(vec!["cgroup".into(), "12345".into(), String::new()]);
        let mut out = Vec::new();
        table.write(&mut out, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_control_characters_replaced() {
        let expected = "TYPE      PID  COMMAND\nnet         7  sleep ?[2J infinity\ncgroup  12345\n";
        assert_eq!(written(None), expected);
    }

    #[test]
    fn a_cell_may_be_longer_than_a_width_can_be() {
        let mut table = Table::new(vec![words("ADDRESSES"), words("COMMAND")]);
        table.row(vec!["x".repeat(70_000), "y".repeat(70_000)]);
        let mut out = Vec::new();
        table.write(&mut out, None).unwrap();
        assert_eq!(out.len(), "ADDRESSES".len() + (70_000 - 9) + 2 + "COMMAND\n".len() + 70_000 + 2 + 70_000 + 1);
    }

    #[test]
    fn the_last_column_fits_the_terminal() {
        assert_eq!(written(Some(25)).lines().nth(1), Some("net         7  sleep ?[2…"));
        assert_eq!(written(Some(1)).lines().nth(1), Some("net         7  sleep ?…"));
        assert_eq!(written(Some(80)), written(None));
    }
}
