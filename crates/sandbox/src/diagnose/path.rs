//! Paths that could not be opened or made: which component is to blame?

use std::fs;
use std::path::{Component, Path};

use izba_sys::Errno;
use izba_sys::path::{Access, AtFlags, CWD, accessat};

use super::Hint;

/// A path of the host.
pub(super) fn on_host(path: &Path, errno: Errno) -> Option<Hint> {
    match errno {
        Errno::NOENT => Some(missing(path)),
        Errno::NOTDIR => Some(not_a_directory(path)),
        Errno::ACCESS => closed(path),
        Errno::LOOP => Some(Hint::new("it has too many symbolic links, or a loop of them", "name the place itself")),
        Errno::NAMETOOLONG => Some(Hint::new("a name has at most 255 bytes, a path 4095", "use a shorter one")),
        Errno::MFILE => {
            Some(Hint::new("the caller has as many files open as RLIMIT_NOFILE allows", "raise it: ulimit -n"))
        }
        _ => None,
    }
}

/// The first ancestor, from the top, for which this holds.
fn first(path: &Path, holds: impl Fn(&Path) -> bool) -> Option<&Path> {
    let mut ancestors: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
    ancestors.reverse();
    ancestors.into_iter().find(|path| holds(path))
}

fn missing(path: &Path) -> Hint {
    let dangling = first(path, |path| fs::symlink_metadata(path).is_ok() && fs::metadata(path).is_err());
    if let Some(link) = dangling {
        let target = fs::read_link(link).unwrap_or_default();
        return Hint::new(
            format!("{} is a symbolic link to {}, which doesn't exist", link.display(), target.display()),
            "make what it points to, or name another path",
        );
    }
    let absent = first(path, |path| fs::symlink_metadata(path).is_err()).unwrap_or(path);
    let remedy = if path.components().count() == 1 && !matches!(path.components().next(), Some(Component::RootDir)) {
        "give the path of a root directory or of a tar archive, or host for the host's own programs"
    } else {
        "check the spelling"
    };
    Hint::new(format!("{} doesn't exist", absent.display()), remedy)
}

fn not_a_directory(path: &Path) -> Hint {
    let file = first(path, |path| fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir())).unwrap_or(path);
    let remedy = if file == path { "name a directory" } else { "check the spelling of what comes before it" };
    Hint::new(format!("{} isn't a directory", file.display()), remedy)
}

/// Which directory may the caller not pass?
fn closed(path: &Path) -> Option<Hint> {
    let refused = |path: &Path| accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) == Err(Errno::ACCESS);
    let directory = first(path, |path| refused(path) && path.is_dir()).or_else(|| first(path, refused)?.parent())?;
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let shown = directory.display();
    Some(Hint::new(
        format!("the caller may not search the directory {shown}"),
        format!(
            "let its owner allow it: chmod o+x {shown} (or setfacl -m u:USER:x {shown}), or run izba as a user who may"
        ),
    ))
}

/// A path in the new root, resolved by openat2(2) inside of it.
pub(super) fn in_root(path: &Path, errno: Errno) -> Option<Hint> {
    let shown = path.display();
    let hint = match errno {
        Errno::LOOP if is_system(path) => Hint::new(
            format!(
                "{shown} of the root is a symbolic link, and what is mounted there must not land elsewhere (CVE-2019-19921)"
            ),
            "replace the link in the root by a directory",
        ),
        Errno::LOOP => Hint::new(
            format!("{shown} leads through a magic link of /proc, or through a loop of symbolic links"),
            "name a path without them",
        ),
        Errno::XDEV => Hint::new(format!("{shown} would leave the root"), "name a path inside of the root"),
        Errno::NOENT => Hint::new(
            format!("{shown} doesn't exist in the root, or is a dangling symbolic link there"),
            "make it, or run with --ephemeral, where izba makes what is missing",
        ),
        Errno::NOTDIR => Hint::new(
            format!("{shown} of the root, or a part of its path, isn't a directory"),
            "mount a directory on a directory and a file on a file",
        ),
        Errno::ISDIR => Hint::new(format!("{shown} of the root is a directory"), "mount a file on a file"),
        Errno::ROFS => Hint::new(
            format!("{shown} is missing in the root, which is read-only"),
            "make it in the root beforehand, or run with --ephemeral",
        ),
        Errno::ACCESS | Errno::PERM => Hint::new(
            format!(
                "{shown} is missing in the root, where the caller may not write, or a directory of its path is closed to it"
            ),
            "make it in the root beforehand, or run with --ephemeral",
        ),
        Errno::NOSPC => {
            Hint::new("the file system is full, or out of inodes", "free some space, or give the tmpfs a larger size")
        }
        Errno::AGAIN => {
            Hint::new("the root was changed while it was opened", "run again when nobody is renaming in it")
        }
        _ => return None,
    };
    Some(hint)
}

fn is_system(path: &Path) -> bool {
    ["/proc", "/sys", "/dev"].iter().any(|system| path.starts_with(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_host_cause(path: &str, errno: Errno) -> String {
        on_host(Path::new(path), errno).unwrap().cause
    }

    #[test]
    fn the_component_to_blame_is_named() {
        assert_eq!(on_host_cause("/usr/no-such/thing", Errno::NOENT), "/usr/no-such doesn't exist");
        assert_eq!(on_host_cause("/etc/passwd/x", Errno::NOTDIR), "/etc/passwd isn't a directory");
        assert!(on_host_cause("no-such", Errno::NOENT).starts_with("no-such"));
    }

    #[test]
    fn a_link_in_place_of_proc_has_its_own_words() {
        assert!(in_root(Path::new("/proc"), Errno::LOOP).unwrap().cause.contains("CVE-2019-19921"));
        assert!(in_root(Path::new("/data"), Errno::LOOP).unwrap().cause.contains("magic"));
        assert!(in_root(Path::new("/data"), Errno::IO).is_none());
    }
}
