//! What a run is called.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

/// A name that is a directory's too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// The most characters.
const LONGEST: usize = 63;

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Made up from what is run. `number` makes it differ from others'.
    pub fn made_up(program: &OsStr, number: u32) -> Self {
        let file_name = Path::new(program).file_name().unwrap_or_default();
        let suffix = format!("-{number}");
        let kept = file_name.as_bytes().iter().map(|&byte| char::from(byte)).filter(|&c| is_allowed(c));
        let kept = kept.skip_while(|c| !c.is_ascii_alphanumeric()).take(LONGEST - suffix.len());
        let start: String = kept.collect();
        Self(if start.is_empty() { "run".to_owned() } else { start } + &suffix)
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.-".contains(c)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = "a name begins with a letter or a digit, and has letters, digits, _ . and - after it, 63 at most";
        let fits = text.len() <= LONGEST && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !fits || !text.chars().all(is_allowed) {
            return Err(format!("{text:?} can't name a run: {rule}"));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{text:?} can't name a run: a number is a process id elsewhere"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "web-1", "0x", "A_b.c-d", &"a".repeat(63)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".a", "-a", "_a", "a/b", "a b", "ä", "1", "0123", "a\n", &"a".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn made_up_names_are_names() {
        let long = "x".repeat(100);
        for (program, expected) in
            [("/bin/sh", "sh-7"), ("[", "run-7"), ("./-a b", "ab-7"), ("", "run-7"), ("5", "5-7")]
        {
            let name = Name::made_up(program.as_ref(), 7);
            assert_eq!(name.as_str(), expected);
            assert!(name.as_str().parse::<Name>().is_ok());
        }
        assert_eq!(Name::made_up(long.as_ref(), 4_194_304).as_str().len(), 63);
    }
}
