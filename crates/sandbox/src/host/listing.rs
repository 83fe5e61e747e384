//! Reads what the host has of what is allowed.

use std::ffi::OsString;
use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::allowed::{ELSEWHERE, ETC, LOCAL, PROGRAMS, matches};

/// How many files of one directory are looked at before it is withheld: a start must not take seconds.
const MOST: usize = 2000;

/// What a path of the host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Not for the sandbox: not everybody may read it, or it is neither file, directory nor link.
    Withheld,
    /// A symbolic link and what it says.
    Symlink(PathBuf),
    /// A regular file that everybody may read.
    File,
    /// A directory that everybody may read. Its parts are listed only where one of them is withheld.
    Directory(Vec<(OsString, Node)>),
}

/// Everything of the host that is allowed and exists.
pub fn read() -> Vec<(PathBuf, Node)> {
    let mut found = Vec::new();
    for path in PROGRAMS.map(PathBuf::from) {
        let node = if path == Path::new("/usr") { usr(&path) } else { look(&path, |_| Vec::new()) };
        found.extend(node.map(|node| (path, node)));
    }
    for path in etc_paths().into_iter().chain(ELSEWHERE.map(PathBuf::from)) {
        found.extend(look(&path, checked).map(|node| (path, node)));
    }
    found
}

/// The allowed paths of /etc; stars are replaced by the names that are there.
fn etc_paths() -> Vec<PathBuf> {
    let etc = Path::new("/etc");
    let (stars, plain): (Vec<&str>, Vec<&str>) = ETC.into_iter().partition(|pattern| pattern.contains('*'));
    let starred = members(etc).into_iter().flatten().map(|entry| entry.file_name()).filter(|name| {
        let name = name.to_str().unwrap_or_default();
        !plain.contains(&name) && stars.iter().any(|star| matches(star, name))
    });
    let starred: Vec<PathBuf> = starred.map(|name| etc.join(name)).collect();
    plain.into_iter().map(|name| etc.join(name)).chain(starred).collect()
}

/// /usr, whole unless /usr/local has something to withhold.
fn usr(path: &Path) -> Option<Node> {
    look(path, |usr| {
        let local = local(&usr.join("local"));
        if local.iter().all(|(_, node)| node.is_whole()) {
            return Vec::new();
        }
        parts(usr, |path| look(path, |path| if path.ends_with("local") { local.clone() } else { Vec::new() }))
    })
}

/// /usr/local: its program directories are taken as they are, what else is there only as far as everybody may read it.
fn local(path: &Path) -> Vec<(OsString, Node)> {
    parts(path, |child| {
        let name = child.file_name()?.to_str()?;
        let program = LOCAL.iter().any(|pattern| matches(pattern, name));
        look(child, |path| if program { Vec::new() } else { checked(path) })
    })
}

impl Node {
    fn is_whole(&self) -> bool {
        !matches!(self, Self::Withheld) && !matches!(self, Self::Directory(parts) if !parts.is_empty())
    }
}

/// The parts of a directory if it holds something to withhold.
fn checked(path: &Path) -> Vec<(OsString, Node)> {
    if public(path, &mut MOST.clone()) { Vec::new() } else { parts(path, |part| look(part, checked)) }
}

/// May everybody read everything in it? Links need no look: /etc/ssl/certs and /etc/alternatives hold hundreds.
fn public(path: &Path, left: &mut usize) -> bool {
    let Some(members) = members(path) else { return false };
    members.into_iter().all(|member| {
        *left = left.saturating_sub(1);
        match member.file_type() {
            Ok(kind) if kind.is_symlink() => *left > 0,
            Ok(kind) if kind.is_file() => *left > 0 && member.metadata().is_ok_and(|file| everybody_may(&file, 0o4)),
            Ok(kind) if kind.is_dir() => {
                *left > 0 && member.metadata().is_ok_and(|dir| everybody_may(&dir, 0o5)) && public(&member.path(), left)
            }
            _ => false,
        }
    })
}

/// What one path is, without following it; `None` where there is nothing.
fn look(path: &Path, inside: impl Fn(&Path) -> Vec<(OsString, Node)>) -> Option<Node> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some(match metadata.file_type() {
        kind if kind.is_symlink() => fs::read_link(path).map_or(Node::Withheld, Node::Symlink),
        kind if kind.is_file() && everybody_may(&metadata, 0o4) => Node::File,
        kind if kind.is_dir() && everybody_may(&metadata, 0o5) => Node::Directory(inside(path)),
        _ => Node::Withheld,
    })
}

fn everybody_may(metadata: &Metadata, bits: u32) -> bool {
    metadata.permissions().mode() & bits == bits
}

/// The nodes of a directory, by name. One that can't be read, or is too large to look at, is withheld with all in it.
fn parts(path: &Path, node: impl Fn(&Path) -> Option<Node>) -> Vec<(OsString, Node)> {
    let mut members = members(path).unwrap_or_default();
    if members.is_empty() || members.len() > MOST {
        return vec![(OsString::new(), Node::Withheld)];
    }
    members.sort_by_key(DirEntry::file_name);
    members.iter().filter_map(|member| Some((member.file_name(), node(&member.path())?))).collect()
}

fn members(path: &Path) -> Option<Vec<DirEntry>> {
    fs::read_dir(path).ok().map(|members| members.filter_map(Result::ok).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_not_read_is_withheld() {
        let dir = std::env::temp_dir().join(format!("izba-listing-{}", std::process::id()));
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::write(dir.join("open"), "").unwrap();
        fs::write(dir.join("sub/secret"), "").unwrap();
        std::os::unix::fs::symlink("open", dir.join("link")).unwrap();
        for (path, mode) in [("", 0o755), ("sub", 0o755), ("open", 0o644), ("sub/secret", 0o600)] {
            fs::set_permissions(dir.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        let node = look(&dir, checked);
        fs::remove_dir_all(&dir).unwrap();
        let sub = Node::Directory(vec![("secret".into(), Node::Withheld)]);
        let link = Node::Symlink("open".into());
        let expected = vec![("link".into(), link), ("open".into(), Node::File), ("sub".into(), sub)];
        assert_eq!(node, Some(Node::Directory(expected)));
    }
}
