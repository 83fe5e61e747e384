//! A mount table as the kernel prints it: /proc/PID/mountinfo, proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line: "36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw". Fields that hold paths or names are still escaped:
/// [`unescape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountLine<'a> {
    /// The mount's number. Numbers are used again.
    pub id: &'a str,
    /// The number of the mount that it is on; its own, or one that isn't in the table, for the first.
    pub parent: &'a str,
    /// `major:minor` of what is mounted: st_dev of stat(2).
    pub device: &'a str,
    /// Which part of the file system is mounted; of nsfs the namespace, `net:[4026531833]`.
    pub root: &'a str,
    /// Where, in the root directory of the process.
    pub point: &'a str,
    /// Per-mount options.
    pub options: &'a str,
    /// `shared:1`, `master:2`, `propagate_from:3`, `unbindable`, separated by spaces; empty for a private mount.
    pub tags: &'a str,
    /// Of which type.
    pub fstype: &'a str,
    /// What is mounted.
    pub source: &'a str,
    /// Options of the file system.
    pub super_options: &'a str,
}

impl<'a> MountLine<'a> {
    /// Takes a line without its end. `None` where it is none of the kernel's.
    pub fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.splitn(7, ' ');
        let mut rest = after.splitn(3, ' ');
        Some(Self {
            id: fields.next()?,
            parent: fields.next()?,
            device: fields.next()?,
            root: fields.next()?,
            point: fields.next()?,
            options: fields.next()?,
            tags: fields.next().unwrap_or_default(),
            fstype: rest.next()?,
            source: rest.next().unwrap_or_default(),
            super_options: rest.next().unwrap_or_default(),
        })
    }

    /// Is the mount, whatever its file system is, read-only?
    pub fn is_read_only(&self) -> bool {
        self.options.split(',').any(|option| option == "ro")
    }
}

/// Reads a table. A path needn't be valid UTF-8, which one of an attacker's mounts mustn't make the others unreadable for.
///
/// # Errors
/// What open(2) and read(2) give: ESRCH or ENOENT of a process that has gone, EINVAL of a zombie.
pub fn read(path: &Path) -> io::Result<String> {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A field as it was before the kernel wrote space, tab, line end and backslash as three octal digits: mangle() in the kernel.
pub fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'\\').then(|| after.get(..3).and_then(octal)).flatten();
        plain.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(plain))
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u8::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_are_found() {
        let line = MountLine::parse(
            "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue",
        );
        let expected = MountLine {
            id: "36",
            parent: "35",
            device: "98:0",
            root: "/mnt1",
            point: "/mnt\\0402",
            options: "rw,noatime",
            tags: "master:1 shared:2",
            fstype: "ext3",
            source: "/dev/root",
            super_options: "rw,errors=continue",
        };
        assert_eq!(line, Some(expected));
    }

    #[test]
    fn a_private_mount_has_no_tags_and_nsfs_a_namespace_for_a_root() {
        let line = MountLine::parse("77 22 0:4 net:[4026532301] /run/netns/a rw - nsfs nsfs rw").unwrap();
        assert_eq!((line.root, line.tags, line.fstype), ("net:[4026532301]", "", "nsfs"));
        assert!(!line.is_read_only());
        assert_eq!(MountLine::parse("1 2 3"), None);
    }

    #[test]
    fn octal_escapes_are_undone_and_nothing_else() {
        for (field, plain) in [
            ("/a\\040b", "/a b"),
            ("/a\\011\\012\\134040", "/a\t\n\\040"),
            ("/a\\", "/a\\"),
            ("/a\\9", "/a\\9"),
            ("/a\\+40", "/a\\+40"),
            ("/\\777", "/\\777"),
        ] {
            assert_eq!(unescape(field), Path::new(plain), "{field}");
        }
    }
}
