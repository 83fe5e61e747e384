//! The root of `izba run host`: assembled from the host's own programs, with nothing of the user's and no secrets.
//!
//! Two rules decide what is in it:
//!
//! - **Programs** (/usr and what belongs to it) come from packages that anybody can download, so they are bound whole.
//!   /usr/local is the administrator's: besides its program directories (hier(7)) only what everybody may read is taken. A
//!   server that was built from source keeps its keys in /usr/local/etc.
//! - **/etc** is never bound as a whole. What programs commonly need is listed in `host/allowed.rs`, and of that only what
//!   everybody may read: anything else is a secret, which the host's root could read inside where no user namespace
//!   changes its ids. Covering secrets with mounts instead would not last, since rename(2) over a mount point of another
//!   mount namespace takes the mount away ("Detach mounts on unlink", Linux 3.18), and passwd(1) renames.

mod allowed;
mod listing;

use std::path::{Path, PathBuf};

use crate::rootfs::Entry;
pub use listing::{Node, read};

/// Directories that a private root has besides, empty, with their permission bits.
const EMPTY: [(&str, u32); 16] = [
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/home", 0o755),
    ("/media", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    ("/var/tmp", 0o1777),
];

/// What the root of `izba run host` is made of on this machine. `home` is the program's home directory, made empty, and belongs to
/// `owner`, a user and a group as seen inside.
pub fn entries(home: Option<&Path>, owner: (u32, u32)) -> Vec<Entry> {
    assemble(&read(), home, owner)
}

/// The same from a listing: the host's paths and what is there. Pure.
pub fn assemble(listing: &[(PathBuf, Node)], home: Option<&Path>, owner: (u32, u32)) -> Vec<Entry> {
    let mut entries: Vec<Entry> = EMPTY.iter().map(|&(path, mode)| directory(Path::new(path), mode)).collect();
    if let Some(home) = home.filter(|home| is_new(home)) {
        entries.push(Entry::Directory {
            path: home.to_owned(),
            mode: 0o700,
            owner: (owner != (0, 0)).then_some(owner),
        });
    }
    entries.push(Entry::Symlink { target: "../run".into(), path: "/var/run".into() });
    for (path, node) in listing {
        add(&mut entries, path, node);
    }
    entries
}

/// Is it a directory that isn't there yet, and a safe place to make one? A service's home may be / or /usr/sbin.
fn is_new(home: &Path) -> bool {
    let plain = home.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    let taken = EMPTY.iter().any(|&(path, _)| Path::new(path) == home);
    let within = |top: &str| home.starts_with(top);
    home.is_absolute() && plain && !taken && (within("/home") || within("/var") || within("/root") || within("/opt"))
}

fn directory(path: &Path, mode: u32) -> Entry {
    Entry::Directory { path: path.to_owned(), mode, owner: None }
}

fn bind(path: &Path, directory: bool) -> Entry {
    Entry::Bind { source: path.to_owned(), path: path.to_owned(), directory }
}

/// One bind for a tree that holds nothing to withhold; else its parts, without what is withheld.
fn add(entries: &mut Vec<Entry>, path: &Path, node: &Node) {
    match node {
        Node::Withheld => {}
        Node::Symlink(target) => entries.push(Entry::Symlink { target: target.clone(), path: path.to_owned() }),
        Node::File => entries.push(bind(path, false)),
        Node::Directory(children) if children.is_empty() => entries.push(bind(path, true)),
        Node::Directory(children) => {
            entries.push(directory(path, 0o755));
            for (name, child) in children {
                add(entries, &path.join(name), child);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(nodes: Vec<(&str, Node)>) -> Vec<(PathBuf, Node)> {
        nodes.into_iter().map(|(path, node)| (path.into(), node)).collect()
    }

    fn tree(children: Vec<(&str, Node)>) -> Node {
        Node::Directory(children.into_iter().map(|(name, node)| (name.into(), node)).collect())
    }

    fn binds(entries: &[Entry]) -> Vec<String> {
        let path = |entry: &Entry| match entry {
            Entry::Bind { path, .. } => Some(path.display().to_string()),
            _ => None,
        };
        entries.iter().filter_map(path).collect()
    }

    #[test]
    fn a_merged_usr_is_one_bind_and_links() {
        let host = listing(vec![("/usr", tree(vec![])), ("/bin", Node::Symlink("usr/bin".into()))]);
        let entries = assemble(&host, None, (0, 0));
        assert_eq!(binds(&entries), ["/usr"]);
        assert!(entries.contains(&Entry::Symlink { target: "usr/bin".into(), path: "/bin".into() }));
    }

    #[test]
    fn what_is_withheld_splits_its_parents() {
        let local = tree(vec![("bin", tree(vec![])), ("etc", Node::Withheld)]);
        let host = listing(vec![("/usr", tree(vec![("bin", tree(vec![])), ("local", local)]))]);
        let entries = assemble(&host, None, (0, 0));
        assert_eq!(binds(&entries), ["/usr/bin", "/usr/local/bin"]);
        assert!(entries.contains(&directory(Path::new("/usr/local"), 0o755)));
    }

    #[test]
    fn a_home_is_made_only_where_it_is_new_and_private() {
        for (home, made) in [
            ("/home/ann", true),
            ("/var/home/ann", true),
            ("/", false),
            ("/root", false),
            ("/usr/sbin", false),
            ("/home/../usr", false),
            ("relative", false),
            ("/proc", false),
        ] {
            let has = assemble(&[], Some(Path::new(home)), (0, 0)).contains(&directory(Path::new(home), 0o700));
            assert_eq!(has, made || home == "/root", "{home}");
        }
    }

    #[test]
    fn this_host_gives_programs_and_no_secrets() {
        let entries = entries(None, (0, 0));
        let paths = binds(&entries);
        assert!(paths.iter().any(|path| path.starts_with("/usr")));
        for path in &paths {
            assert!(!path.contains("shadow") && !path.contains("private") && path != "/etc", "{path}");
        }
    }
}
