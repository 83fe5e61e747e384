//! A directory of its own for each test, and pictures of directories to compare.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use izba_image::{Cache, Digest, Entry, Error, Owners, Report, Result, Tree, Unpacking};

/// A directory that goes when the test does. It is on tmpfs where there is one, for syncing the disk that a build
/// writes to takes seconds.
pub struct Scratch {
    pub path: PathBuf,
}

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir()).unwrap_or_else(std::env::temp_dir);
        let name = format!("izba-image-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = base.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Scratch { path }
    }

    /// A new directory in it.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// A file in it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The cache of this test.
    pub fn cache(&self) -> Cache {
        Cache::open(&self.path.join("cache")).unwrap()
    }

    /// What is in the cache's directories: the names in index, making and trees.
    pub fn cache_names(&self) -> [Vec<String>; 3] {
        ["index", "making", "trees"].map(|dir| {
            let listing = fs::read_dir(self.path.join("cache/v1").join(dir)).into_iter().flatten();
            listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        })
    }

    /// Asserts that nothing is left in the cache.
    pub fn assert_cache_empty(&self, why: &str) {
        assert_eq!(self.cache_names(), [const { Vec::<String>::new() }; 3], "{why}");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let parent = fs::File::open(self.path.parent().unwrap()).unwrap();
        let removed = izba_image::remove_tree(parent.as_fd(), self.path.file_name().unwrap());
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// Fails unless the tests run as root.
pub fn need_root() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: sudo -E cargo test -p izba-image");
}

/// Unpacks as root does.
pub fn unpack(cache: &Cache, archive: &Path) -> Result<(Tree, Report)> {
    cache.unpack(archive, &Unpacking::new(Owners::AsArchived, "root"), &mut |_, _| {})
}

/// The whole chain of an error, as izba prints it.
pub fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// The only entry of a cache.
pub fn only_entry(cache: &Cache) -> Entry {
    let mut entries = cache.list().unwrap();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

/// Everything that can be seen of a file, apart from its times of access and change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub size: u64,
    pub content: String,
    pub device: u64,
    /// The first name (in order) of the same inode.
    pub same_as: PathBuf,
    pub attributes: BTreeMap<String, Vec<u8>>,
}

/// A picture of everything below `root`, itself included.
pub fn picture(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut inodes = BTreeMap::new();
    let mut seen = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(name) = todo.pop() {
        let path = root.join(&name);
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| name.join(entry.unwrap().file_name())));
        }
        let first = inodes.entry((meta.dev(), meta.ino())).or_insert_with(|| name.clone());
        if *first > name {
            first.clone_from(&name);
        }
        seen.insert(name, (meta, path));
    }
    let look = |(name, (meta, path)): (PathBuf, (fs::Metadata, PathBuf))| {
        let same_as = inodes[&(meta.dev(), meta.ino())].clone();
        (name, look_at(&meta, &path, same_as))
    };
    seen.into_iter().map(look).collect()
}

fn look_at(meta: &fs::Metadata, path: &Path, same_as: PathBuf) -> Seen {
    let kind = meta.file_type();
    let content = match kind {
        _ if kind.is_file() => format!("{:?}", Digest::of(&fs::read(path).unwrap())),
        _ if kind.is_symlink() => fs::read_link(path).unwrap().as_os_str().as_bytes().escape_ascii().to_string(),
        _ => String::new(),
    };
    let is_device = kind.is_char_device() || kind.is_block_device();
    Seen {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        size: if meta.is_dir() { 0 } else { meta.size() },
        content,
        device: if is_device { meta.rdev() } else { 0 },
        same_as,
        attributes: attributes(path),
    }
}

fn attributes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = [0; 4096];
    let Ok(len) = rustix::fs::llistxattr(path, &mut names) else { return BTreeMap::new() };
    let names = names[..len].split(|b| *b == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 65536];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        value.truncate(len);
        value
    };
    names.map(|name| (String::from_utf8(name.to_vec()).unwrap(), value(name))).collect()
}
