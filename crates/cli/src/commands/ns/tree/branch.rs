//! A tree in text.

use std::io::{self, Write};

use crate::table::{cut, printable};

/// A line, and what is below it.
#[derive(Debug, Default)]
pub(super) struct Branch {
    pub(super) text: String,
    pub(super) below: Vec<Branch>,
}

impl Branch {
    pub(super) fn leaf(text: String) -> Self {
        Self { text, below: Vec::new() }
    }

    pub(super) fn draw(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        self.line(out, width, "", "")
    }

    /// `before` stands before its own line, `indent` before those below.
    fn line(&self, out: &mut dyn Write, width: Option<usize>, before: &str, indent: &str) -> io::Result<()> {
        writeln!(out, "{}", cut(&format!("{before}{}", printable(&self.text)), width))?;
        let last = self.below.len().saturating_sub(1);
        for (index, branch) in self.below.iter().enumerate() {
            let (knot, more) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            branch.line(out, width, &format!("{indent}{knot}"), &format!("{indent}{more}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_join_what_belongs_together() {
        let leaf = |text: &str| Branch::leaf(text.to_owned());
        let inner = Branch { text: "b".into(), below: vec![leaf("c\u{1b}"), leaf("d")] };
        let root = Branch { text: "a".into(), below: vec![inner, leaf("a long line")] };
        let mut out = Vec::new();
        root.draw(&mut out, Some(10)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\n├─ b\n│  ├─ c?\n│  └─ d\n└─ a long…\n");
    }
}
