//! Groups and their files as the user names them.

use std::path::PathBuf;
use std::str::FromStr;

use izba_sandbox::cgroup::systemd::Slice;

/// Below what a run's group is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// A group by its path, from the hierarchy's root as the caller sees it.
    Path(PathBuf),
    /// A slice of systemd's: systemd.slice(5).
    Slice(Slice),
}

impl FromStr for Parent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("{text:?} is no group: write its path without . and .., such as /izba/web"));
        }
        if text.contains(char::is_control) {
            return Err(format!("{text:?} is no group: it has control characters in it"));
        }
        match text.contains('/') {
            false if text.ends_with(".slice") => text.parse().map(Self::Slice),
            _ => Ok(Self::Path(PathBuf::from("/").join(rest))),
        }
    }
}

/// `--cgroup-conf FILE=VALUE`: a file of cgroup v2, with its controller's name in front.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let bad = || format!("{text:?} sets nothing: write FILE=VALUE, such as memory.high=100M");
    let (file, value) = text.split_once('=').ok_or_else(bad)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !file.contains('.') || file.starts_with('.') || !file.chars().all(plain) || value.is_empty() {
        return Err(bad());
    }
    // These are how izba itself holds the group: what is in it, whether it runs, and what may be limited below.
    if file.starts_with("cgroup.") {
        return Err(format!("{file} limits nothing: it is how izba holds the group"));
    }
    Ok((file.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_paths_or_slices() {
        for (text, path) in [("/izba/web", "/izba/web"), ("izba", "/izba"), ("/a/b.slice/", "/a/b.slice")] {
            assert_eq!(text.parse(), Ok(Parent::Path(path.into())));
        }
        assert_eq!("izba-web.slice".parse(), Ok(Parent::Slice("izba-web.slice".parse().unwrap())));
        for bad in ["", "/", "//", "..", "/a/../b", "a/.", "/a//b", "a\nb", "../x.slice"] {
            assert!(bad.parse::<Parent>().is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_files_of_controllers() {
        assert_eq!(setting("io.max=8:0 rbps=1"), Ok(("io.max".to_owned(), "8:0 rbps=1".to_owned())));
        assert_eq!(setting("hugetlb.2MB.max=a=b"), Ok(("hugetlb.2MB.max".to_owned(), "a=b".to_owned())));
        for bad in ["", "memory.max", "=1", "memory.max=", "../x.y=1", "a/b.c=1", ".a=1", "memory=1", "cgroup.procs=1"]
        {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }
}
