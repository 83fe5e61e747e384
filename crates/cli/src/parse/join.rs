//! `--join NAME=PID|PATH`.

use std::path::PathBuf;
use std::str::FromStr;

use izba_sandbox::namespace::Kind;

/// An existing namespace to enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Of which kind.
    pub kind: Kind,
    /// Which.
    pub path: PathBuf,
}

impl FromStr for Join {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, place) =
            text.split_once('=').ok_or_else(|| format!("{text:?} names no namespace: write NAME=PID or NAME=PATH"))?;
        let kind: Kind = name.parse()?;
        if place.is_empty() {
            return Err(format!("{text:?} names no namespace: write {name}=PID or {name}=PATH"));
        }
        if !place.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self { kind, path: place.into() });
        }
        match place.parse::<i32>() {
            Ok(pid) if pid > 0 => Ok(Self { kind, path: format!("/proc/{pid}/ns/{kind}").into() }),
            _ => Err(format!("{place} is no process id; for a file of that name write ./{place}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_and_files_are_told_apart() {
        for (text, kind, path) in [
            ("net=17", Kind::Net, "/proc/17/ns/net"),
            ("mount=17", Kind::Mount, "/proc/17/ns/mnt"),
            ("net=/run/netns/blue", Kind::Net, "/run/netns/blue"),
            ("uts=./17", Kind::Uts, "./17"),
        ] {
            assert_eq!(text.parse(), Ok(Join { kind, path: path.into() }), "{text}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for bad in ["", "net", "net=", "=1", "nett=1", "net=0", "net=99999999999"] {
            assert!(bad.parse::<Join>().is_err(), "{bad}");
        }
    }
}
