//! Resource limits by name: getrlimit(2).

use std::fmt;
use std::str::FromStr;

use izba_sys::rlimit::{Resource, getrlimit};

/// Names as `ulimit` options of container engines have them, with the kernel's number.
const NAMES: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// A limit on one resource, in the resource's own unit. `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// Which.
    pub resource: Resource,
    /// The limit that is enforced, and which the program may move up to `hard`.
    pub soft: Option<u64>,
    /// The ceiling.
    pub hard: Option<u64>,
}

impl Rlimit {
    /// The calling process's limits, all of them.
    pub fn own() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|&(_, resource)| {
            let now = getrlimit(resource);
            Self { resource, soft: now.current, hard: now.maximum }
        })
    }

    /// The name without `RLIMIT_`, in lower case.
    pub fn name(&self) -> &'static str {
        NAMES.iter().find(|(_, resource)| *resource == self.resource).map_or("?", |(name, _)| name)
    }
}

impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        write!(f, "{}={}:{}", self.name(), show(self.soft), show(self.hard))
    }
}

impl FromStr for Rlimit {
    type Err = String;

    /// Takes `nofile=1024`, `nofile=1024:2048` and `core=unlimited`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, limits) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is no limit: write NAME=SOFT[:HARD]"))?;
        let lower = name.to_ascii_lowercase();
        let resource =
            NAMES.iter().find(|(known, _)| *known == lower).map(|(_, resource)| *resource).ok_or_else(|| {
                let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                format!("no resource limit is called {name:?}: use one of {}", known.join(", "))
            })?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let limit = Self { resource, soft: parse_limit(soft)?, hard: parse_limit(hard)? };
        if limit.hard.is_some_and(|hard| limit.soft.is_none_or(|soft| soft > hard)) {
            return Err(format!("{text:?}: the soft limit is above the hard one"));
        }
        Ok(limit)
    }
}

fn parse_limit(text: &str) -> Result<Option<u64>, String> {
    if text == "unlimited" || text == "-1" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("{text:?} is no limit: use a number or \"unlimited\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_and_hard_are_read() {
        let limit: Rlimit = "nofile=10:20".parse().unwrap();
        assert_eq!((limit.soft, limit.hard), (Some(10), Some(20)));
        assert_eq!("core=unlimited".parse::<Rlimit>().unwrap().hard, None);
        assert_eq!("CPU=5".parse::<Rlimit>().unwrap().to_string(), "cpu=5:5");
    }

    #[test]
    fn bad_limits_are_refused() {
        for bad in ["nofile", "files=1", "nofile=x", "nofile=3:2", "nofile=unlimited:2", "nofile=-2", "nofile="] {
            assert!(bad.parse::<Rlimit>().is_err(), "{bad}");
        }
    }
}
