//! Users and groups of a root file system: passwd(5) and group(5), read inside that root and nowhere else.
//!
//! The files belong to whoever made the root, so they are hostile: a path in them is never followed outside, a FIFO or a
//! device in their place is never opened for reading, and an id is a checked 32-bit number (CVE-2022-29162,
//! CVE-2023-25173, CVE-2024-40635).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use izba_sys::Errno;
use izba_sys::path::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

use crate::sandbox::Ids;

/// A file that is longer than this holds no list of users for one container.
const LONGEST_FILE: u64 = 4 << 20;

/// The kernel takes no more supplementary groups: NGROUPS_MAX.
const MOST_GROUPS: usize = 65_536;

/// What can go wrong when a user is looked up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The file is there but can't be opened or read.
    #[error("cannot read /{file} of the root file system")]
    Unreadable {
        /// Without the leading slash.
        file: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Something else is in the file's place.
    #[error("/{file} of the root file system is a {kind}, not a regular file, so no user can be looked up in it")]
    NotRegular {
        /// Without the leading slash.
        file: &'static str,
        /// What it is.
        kind: &'static str,
    },
    /// The file is longer than any list of users.
    #[error("/{file} of the root file system is longer than {LONGEST_FILE} bytes, so it is not read")]
    TooLong {
        /// Without the leading slash.
        file: &'static str,
    },
    /// No such user.
    #[error("the root file system's /etc/passwd has no user {name:?}; name one of it, or give the number")]
    NoUser {
        /// The name that was asked for.
        name: String,
    },
    /// No such group.
    #[error("the root file system's /etc/group has no group {name:?}; name one of it, or give the number")]
    NoGroup {
        /// The name that was asked for.
        name: String,
    },
}

/// A user or a group, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A number. It needn't be in any file.
    Id(u32),
    /// A name, to be looked up.
    Name(String),
}

impl FromStr for Who {
    type Err = String;

    /// What consists of digits is a number and nothing else: a root could otherwise have a user called "1000" with
    /// the id 0, and a number that overflows could come out as another one.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the name is empty".to_owned());
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let fits = !text.contains([':', '\n', '\0']) && !text.starts_with(['-', '+']);
            return if fits {
                Ok(Self::Name(text.to_owned()))
            } else {
                Err(format!("{text:?} is no name and no number"))
            };
        }
        parse_id(text.as_bytes())
            .map(Self::Id)
            .ok_or_else(|| format!("{text} is no user or group id: ids go from 0 to 4294967294"))
    }
}

/// A user and, if the user's own is not meant, a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    /// The user.
    pub user: Who,
    /// The group.
    pub group: Option<Who>,
}

impl UserSpec {
    /// User 0, whatever it is called.
    pub const ROOT: Self = Self { user: Who::Id(0), group: None };
}

impl FromStr for UserSpec {
    type Err = String;

    /// Takes `USER` and `USER:GROUP`, each a name or a number.
    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group.parse()?)),
            None => (text, None),
        };
        Ok(Self { user: user.parse()?, group })
    }
}

/// A user that was found, or a number that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// With what ids a process of this user runs.
    pub ids: Ids,
    /// What the user is called, where the root has a name for it.
    pub name: Option<String>,
    /// An absolute path.
    pub home: Option<PathBuf>,
    /// An absolute path.
    pub shell: Option<PathBuf>,
}

/// One line of passwd(5).
#[derive(Debug)]
struct User<'text> {
    name: &'text [u8],
    uid: u32,
    gid: u32,
    home: &'text [u8],
    shell: &'text [u8],
}

/// One line of group(5).
#[derive(Debug)]
struct Group<'text> {
    name: &'text [u8],
    gid: u32,
    members: &'text [u8],
}

/// The users and groups of one root file system.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    passwd: Vec<u8>,
    group: Vec<u8>,
}

impl Accounts {
    /// From the contents of the two files. Lines that can't be read are skipped, as the C library does.
    pub fn new(passwd: Vec<u8>, group: Vec<u8>) -> Self {
        Self { passwd, group }
    }

    /// From the files of the root that `root` is open on. A missing file is an empty one.
    ///
    /// # Errors
    /// A file that is there and can't be read, or is no regular file.
    pub fn read(root: BorrowedFd<'_>) -> Result<Self, AccountError> {
        Ok(Self { passwd: read_file(root, "etc/passwd")?, group: read_file(root, "etc/group")? })
    }

    /// The ids, home and shell of the user that is asked for. A number that no line has runs in group 0.
    ///
    /// # Errors
    /// A name that isn't there.
    pub fn find(&self, spec: &UserSpec) -> Result<Account, AccountError> {
        let user = self.user(&spec.user)?;
        let uid = match (&user, &spec.user) {
            (Some(user), _) => user.uid,
            (None, Who::Id(id)) => *id,
            (None, Who::Name(name)) => return Err(AccountError::NoUser { name: name.clone() }),
        };
        let gid = match &spec.group {
            Some(group) => self.group_id(group)?,
            None => user.as_ref().map_or(0, |user| user.gid),
        };
        // Who names a group wants that one and no other.
        let member = user.as_ref().filter(|_| spec.group.is_none()).map(|user| user.name);
        Ok(Account {
            ids: Ids { uid, gid, groups: self.groups_of(member, gid) },
            name: user.as_ref().map(|user| String::from_utf8_lossy(user.name).into_owned()),
            home: user.as_ref().and_then(|user| absolute(user.home)),
            shell: user.as_ref().and_then(|user| absolute(user.shell)),
        })
    }

    /// What the user with this number is called.
    pub fn name_of(&self, uid: u32) -> Option<String> {
        let user = self.users().find(|user| user.uid == uid)?;
        Some(String::from_utf8_lossy(user.name).into_owned())
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.passwd.split(|&byte| byte == b'\n').filter_map(parse_user)
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.group.split(|&byte| byte == b'\n').filter_map(parse_group)
    }

    fn user(&self, who: &Who) -> Result<Option<User<'_>>, AccountError> {
        match who {
            Who::Id(id) => Ok(self.users().find(|user| user.uid == *id)),
            Who::Name(name) => match self.users().find(|user| user.name == name.as_bytes()) {
                Some(user) => Ok(Some(user)),
                None => Err(AccountError::NoUser { name: name.clone() }),
            },
        }
    }

    fn group_id(&self, who: &Who) -> Result<u32, AccountError> {
        match who {
            Who::Id(id) => Ok(*id),
            Who::Name(name) => self
                .groups()
                .find(|group| group.name == name.as_bytes())
                .map(|group| group.gid)
                .ok_or_else(|| AccountError::NoGroup { name: name.clone() }),
        }
    }

    /// The primary group is among the supplementary ones too, or a program that changes its group could escape a
    /// file's "not for this group" (CVE-2023-25173).
    fn groups_of(&self, member: Option<&[u8]>, gid: u32) -> Vec<u32> {
        let mut ids = vec![gid];
        let Some(member) = member else { return ids };
        for group in self.groups().filter(|group| group.members.split(|&byte| byte == b',').any(|name| name == member))
        {
            if ids.len() < MOST_GROUPS && !ids.contains(&group.gid) {
                ids.push(group.gid);
            }
        }
        ids
    }
}

fn parse_user(line: &[u8]) -> Option<User<'_>> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let (_password, uid, gid, _comment) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (home, shell) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    Some(User { name, uid: parse_id(uid)?, gid: parse_id(gid)?, home, shell })
}

fn parse_group(line: &[u8]) -> Option<Group<'_>> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let (_password, gid, members) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
    Some(Group { name, gid: parse_id(gid)?, members })
}

/// A decimal id. (uid_t)-1 means "unchanged" to setresuid(2), so nobody has it.
fn parse_id(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|&id| id != u32::MAX)
}

/// A path of the file, if it is one that means the same from every directory.
fn absolute(path: &[u8]) -> Option<PathBuf> {
    (path.starts_with(b"/") && !path.contains(&0)).then(|| PathBuf::from(OsStr::from_bytes(path)))
}

/// Looks before it opens: opening a FIFO would wait for a writer, and opening a device may act on it.
fn read_file(root: BorrowedFd<'_>, file: &'static str) -> Result<Vec<u8>, AccountError> {
    let unreadable = |errno: Errno| AccountError::Unreadable { file, source: errno.into() };
    let look = match open_in_root(root, file, OFlags::PATH) {
        Ok(look) => look,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        Err(errno) => return Err(unreadable(errno)),
    };
    require_regular(&look, file)?;
    let opened = open_in_root(root, file, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(unreadable)?;
    // Somebody may have swapped it since.
    require_regular(&opened, file)?;
    let mut content = Vec::new();
    File::from(opened)
        .take(LONGEST_FILE + 1)
        .read_to_end(&mut content)
        .map_err(|source| AccountError::Unreadable { file, source })?;
    if content.len() as u64 > LONGEST_FILE { Err(AccountError::TooLong { file }) } else { Ok(content) }
}

/// openat2(2) that takes `root` for `/`, whatever links say. EAGAIN means that a rename raced with it.
fn open_in_root(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    const TRIES: usize = 32;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut result = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        result = openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
        if !matches!(result, Err(Errno::AGAIN)) {
            break;
        }
    }
    result
}

fn require_regular(fd: &OwnedFd, file: &'static str) -> Result<(), AccountError> {
    let stat = fstat(fd).map_err(|errno| AccountError::Unreadable { file, source: errno.into() })?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "directory",
        FileType::Fifo => "FIFO",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Socket => "socket",
        _ => "file of another kind",
    };
    Err(AccountError::NotRegular { file, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use izba_sys::path::{CWD, mkdirat, mknodat, openat, symlinkat};
    use std::os::fd::AsFd;
    use std::path::Path;

    fn accounts() -> Accounts {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\n\
            bad line\n+::::::\nhuge:x:4294967296:0::/:/bin/sh\nlast:x:4294967295:1::/:/bin/sh\n\
            ann:x:1000:1000:Ann,,,:/home/ann:/bin/zsh\n\
            odd:x:33:33::relative:sh\n1000:x:0:0::/root:/bin/sh";
        let group = b"root:x:0:\nwheel:x:10:ann,root\nann:x:1000:\naudio:x:29:ann\nbad:x:-1:ann\ntwice:x:10:ann";
        Accounts::new(passwd.to_vec(), group.to_vec())
    }

    fn find(text: &str) -> Result<Account, AccountError> {
        accounts().find(&text.parse().unwrap())
    }

    #[test]
    fn a_user_has_its_groups_home_and_shell() {
        let ann = find("ann").unwrap();
        assert_eq!(ann.ids, Ids { uid: 1000, gid: 1000, groups: vec![1000, 10, 29] });
        assert_eq!(ann.home.as_deref(), Some(Path::new("/home/ann")));
        assert_eq!(ann.shell.as_deref(), Some(Path::new("/bin/zsh")));
        assert_eq!(find("1000").unwrap(), ann);
    }

    #[test]
    fn a_named_group_stands_alone() {
        assert_eq!(find("ann:audio").unwrap().ids, Ids { uid: 1000, gid: 29, groups: vec![29] });
        assert_eq!(find("ann:7").unwrap().ids.groups, [7]);
    }

    #[test]
    fn a_number_needs_no_entry_and_is_never_a_name() {
        let nobody = find("4711").unwrap();
        assert_eq!(nobody.ids, Ids { uid: 4711, gid: 0, groups: vec![0] });
        assert_eq!((nobody.name, nobody.home), (None, None));
        // The line called "1000" has id 0.
        assert_eq!(find("1000").unwrap().ids.uid, 1000);
    }

    #[test]
    fn unknown_names_are_errors_that_say_so() {
        assert!(find("eve").unwrap_err().to_string().contains("eve"));
        assert!(find("ann:staff").unwrap_err().to_string().contains("staff"));
        for skipped in ["huge", "last", "bad line"] {
            assert!(find(skipped).is_err(), "{skipped}");
        }
    }

    #[test]
    fn ids_are_checked_numbers() {
        for bad in
            ["", ":", "ann:", ":ann", "4294967295", "4294967296", "99999999999999999999", "-1", "+1", "a:b:c", "1:-1"]
        {
            assert!(bad.parse::<UserSpec>().is_err(), "{bad}");
        }
        assert_eq!("4294967294".parse(), Ok(UserSpec { user: Who::Id(4_294_967_294), group: None }));
        assert_eq!("0:0".parse(), Ok(UserSpec { user: Who::Id(0), group: Some(Who::Id(0)) }));
    }

    #[test]
    fn relative_homes_and_shells_are_not_used() {
        let odd = find("odd").unwrap();
        assert_eq!((odd.home, odd.shell), (None, None));
    }

    /// A root with an /etc, removed at the end of the test.
    struct TestRoot(PathBuf);

    impl TestRoot {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("izba-account-{name}-{}", std::process::id()));
            mkdirat(CWD, &path, Mode::RWXU).unwrap();
            mkdirat(CWD, path.join("etc"), Mode::RWXU).unwrap();
            Self(path)
        }

        fn read(&self) -> Result<Accounts, AccountError> {
            let root = openat(CWD, &self.0, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
            Accounts::read(root.as_fd())
        }
    }

    impl Drop for TestRoot {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn missing_files_are_empty() {
        assert!(TestRoot::new("missing").read().unwrap().name_of(0).is_none());
    }

    #[test]
    fn links_stay_inside_the_root() {
        let root = TestRoot::new("links");
        std::fs::write(root.0.join("users"), "inner:x:0:0::/:/bin/sh\n").unwrap();
        symlinkat("/../../users", CWD, root.0.join("etc/passwd")).unwrap();
        symlinkat("/etc/group", CWD, root.0.join("etc/group")).unwrap();
        // A link to itself is no file at all.
        assert!(matches!(root.read(), Err(AccountError::Unreadable { file: "etc/group", .. })));
        std::fs::remove_file(root.0.join("etc/group")).unwrap();
        assert_eq!(root.read().unwrap().name_of(0).as_deref(), Some("inner"));
    }

    #[test]
    fn a_fifo_neither_hangs_nor_is_read() {
        let root = TestRoot::new("fifo");
        mknodat(CWD, root.0.join("etc/passwd"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(matches!(root.read(), Err(AccountError::NotRegular { kind: "FIFO", .. })));
    }

    #[test]
    fn an_endless_file_is_refused() {
        let root = TestRoot::new("long");
        File::create(root.0.join("etc/passwd")).unwrap().set_len(LONGEST_FILE + 1).unwrap();
        assert!(matches!(root.read(), Err(AccountError::TooLong { .. })));
    }
}
