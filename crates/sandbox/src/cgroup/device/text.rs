//! Rules as text: `c 1:3 rwm`, as devices.allow and devices.deny take them (Documentation/admin-guide/cgroup-v1/devices.rst) and docker's
//! `--device-cgroup-rule` does, with `allow` or `deny` in front.

use std::fmt;
use std::str::FromStr;

use super::{Devices, NodeKind, access, bits};
use crate::cgroup::limits::{DeviceAccess, DeviceKind, DeviceRule};
use izba_sys::bpf::{ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE};

impl FromStr for DeviceRule {
    type Err = String;

    /// Takes `c 1:3 rwm`, `allow b 8:* r`, `deny a *:* w`. Without a verb it allows.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no device rule: write [allow|deny] a|b|c MAJOR:MINOR ACCESS, as in c 1:3 rwm");
        let mut words = text.split_ascii_whitespace().peekable();
        let verb = words.next_if(|word| ["allow", "deny"].contains(word));
        let words: Vec<&str> = words.collect();
        let [kind, numbers, access] = words[..] else { return Err(wrong()) };
        let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
        let number = |word| number(word).ok_or_else(wrong);
        Ok(Self {
            allow: verb != Some("deny"),
            kind: kind.parse().map_err(|_| wrong())?,
            major: number(major)?,
            minor: number(minor)?,
            access: access.parse().map_err(|_| wrong())?,
        })
    }
}

/// `None` where it isn't one; `Some(None)` for any.
fn number(word: &str) -> Option<Option<u32>> {
    if word == "*" {
        return Some(None);
    }
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits).map(Some)
}

impl FromStr for DeviceKind {
    type Err = String;

    /// Takes `a`, `b`, `c`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "a" => Ok(Self::All),
            "b" => Ok(Self::Block),
            "c" => Ok(Self::Char),
            _ => Err(format!("{text:?} is no kind of device: a, b or c")),
        }
    }
}

/// The letters in the order in which the kernel writes them.
const LETTERS: [(char, u8); 3] = [('r', ACCESS_READ), ('w', ACCESS_WRITE), ('m', ACCESS_MKNOD)];

impl FromStr for DeviceAccess {
    type Err = String;

    /// Takes `r`, `w` and `m`, at least one, none twice.
    fn from_str(text: &str) -> Result<Self, String> {
        let add = |sum: u8, letter| {
            let (_, bit) = LETTERS.iter().find(|(known, _)| *known == letter)?;
            (sum & bit == 0).then_some(sum | bit)
        };
        let sum = text.chars().try_fold(0, add).filter(|sum| *sum != 0);
        sum.map(access).ok_or_else(|| format!("{text:?} is no access to a device: r, w and m"))
    }
}

impl fmt::Display for DeviceRule {
    /// As it is parsed, with its verb.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allow { "allow" } else { "deny" };
        write!(f, "{verb} {} {}:{} {}", self.kind, Number(self.major), Number(self.minor), self.access)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "a",
            Self::Block => "b",
            Self::Char => "c",
        })
    }
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = bits(*self);
        LETTERS.iter().filter(|(_, bit)| bits & bit != 0).try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NodeKind::Block => DeviceKind::Block,
            NodeKind::Char => DeviceKind::Char,
        };
        write!(f, "{kind} {}:{}", Number(self.major), Number(self.minor))
    }
}

/// A major or minor number, or any.
struct Number(Option<u32>);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_parsed_as_they_are_written() {
        for text in ["allow c 1:3 rwm", "deny a *:* w", "allow b 8:* r", "allow c *:4294967295 m"] {
            assert_eq!(text.parse::<DeviceRule>().unwrap().to_string(), text);
        }
        assert_eq!("c 1:3 mr".parse::<DeviceRule>().unwrap().to_string(), "allow c 1:3 rm");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let wrong = "|allow|c|c 1:3|1:3 rwm|d 1:3 r|c 1:3 x|c 1:3 rr|c 1 r|c 1:3:4 r|c -1:3 r|c +1:3 r|c :3 r|c 1:4294967296 r|c 1:3 r w|deny deny c 1:3 r";
        for text in wrong.split('|') {
            assert!(text.parse::<DeviceRule>().is_err(), "{text:?}");
        }
    }
}
