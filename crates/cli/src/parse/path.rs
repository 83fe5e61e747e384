//! Paths as people write them: of the host, and of the new root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A path of the host, made absolute. `~` and `~/` mean `home`: the shell expands them only at the start of a word, and
/// not in `--mount source=~/x`.
pub fn on_host(text: &OsStr, cwd: &Path, home: Option<&Path>) -> Result<PathBuf, String> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err("the path on the host is empty".to_owned());
    }
    if bytes != b"~" && !bytes.starts_with(b"~/") {
        return Ok(cwd.join(text));
    }
    let home =
        home.ok_or_else(|| format!("{text:?}: your home directory isn't known, as HOME isn't set; write the path"))?;
    let below = bytes.get(2..).unwrap_or_default();
    Ok(if below.is_empty() { home.to_owned() } else { home.join(OsStr::from_bytes(below)) })
}

/// A path of the new root: absolute, normal, and without `..`, which means something else once a link is before it.
pub fn in_root(text: &OsStr) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if text.as_bytes().contains(&0) {
        return Err(format!("{text:?} holds a NUL byte"));
    }
    if !path.is_absolute() {
        return Err(format!("{text:?} is not an absolute path: inside, paths start with /"));
    }
    if path.components().any(|component| component == Component::ParentDir) {
        return Err(format!("{text:?} has a '..' in it: write the path without"));
    }
    Ok(path.components().collect())
}

/// The same for a place where something is mounted, which the root itself can't be.
pub fn mount_target(text: &OsStr) -> Result<PathBuf, String> {
    let path = in_root(text)?;
    if path == Path::new("/") { Err("nothing can be mounted over the root itself".to_owned()) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_paths_become_absolute() {
        let path = |text: &str| on_host(text.as_ref(), Path::new("/cwd"), Some(Path::new("/home/ann"))).unwrap();
        for (text, expected) in [
            (".", "/cwd/."),
            ("a/b", "/cwd/a/b"),
            ("/x", "/x"),
            ("~", "/home/ann"),
            ("~/", "/home/ann"),
            ("~/x/y", "/home/ann/x/y"),
            ("~bob", "/cwd/~bob"),
            ("./~", "/cwd/./~"),
        ] {
            assert_eq!(path(text).as_os_str(), expected, "{text}");
        }
        assert!(on_host("~/x".as_ref(), Path::new("/"), None).unwrap_err().contains("HOME"));
        assert!(on_host("".as_ref(), Path::new("/"), None).is_err());
    }

    #[test]
    fn root_paths_are_absolute_and_normal() {
        assert_eq!(in_root("/a//b/./c/".as_ref()).unwrap().as_os_str(), "/a/b/c");
        assert_eq!(in_root("/".as_ref()).unwrap().as_os_str(), "/");
        for bad in ["", "a", "./a", "../a", "/..", "/a/../b", "~"] {
            assert!(in_root(bad.as_ref()).is_err(), "{bad}");
        }
        for bad in ["/", "//", "/./"] {
            assert!(mount_target(bad.as_ref()).is_err(), "{bad}");
        }
    }
}
