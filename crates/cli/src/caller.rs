//! Who calls: ids, directories and environment of this process, asked for once.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use izba_sandbox::account::{Account, Accounts, UserSpec, Who};
use izba_sys::credential::{self, CapabilitySet};
use izba_sys::path::{CWD, Mode, OFlags, openat};

use crate::failure::{Failure, Result};

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    /// Is it root with the rights of root? Root in a container without CAP_SYS_ADMIN is an ordinary user with the id 0.
    pub privileged: bool,
    /// The working directory. If it has been removed, relative paths stay relative, and the kernel says what is wrong.
    pub cwd: PathBuf,
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Caller {
    /// Asks the kernel.
    pub fn of_this_process() -> Self {
        let (uid, gid) = (credential::getuid().as_raw(), credential::getgid().as_raw());
        let variables = std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
        Self {
            uid,
            gid,
            privileged: uid == 0 && may_administer(),
            cwd: std::env::current_dir().unwrap_or_default(),
            environment: variables.collect(),
        }
    }

    /// A variable of the caller's environment.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let (_, value) = self.environment.iter().find(|(known, _)| known == name.as_bytes())?;
        Some(OsStr::from_bytes(value))
    }

    /// HOME, if it is a path that can be meant.
    pub fn home(&self) -> Option<&Path> {
        self.variable("HOME").map(Path::new).filter(|home| home.is_absolute())
    }

    /// The caller's line in the host's /etc/passwd. Other sources of users are unknown to a static program.
    pub fn account(&self) -> Option<Account> {
        let root = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let accounts = Accounts::read(root.as_fd()).ok()?;
        accounts.find(&UserSpec { user: Who::Id(self.uid), group: None }).ok()
    }

    /// A relative path, made absolute.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path)
    }

    /// Where PATH has a program of this name, or /usr/bin has.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.variable("PATH").map(OsStr::to_owned).unwrap_or_default();
        let usual = ["/usr/bin", "/usr/sbin", "/bin"].map(OsString::from);
        let searched =
            path.as_bytes().split(|&byte| byte == b':').map(|dir| OsStr::from_bytes(dir).to_owned()).chain(usual);
        searched
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(|path| path.is_file())
    }
}

/// Refuses to work with rights that the file gives: it would do everything as its owner for anybody (CVE-2020-5291).
pub fn refuse_raised_rights() -> Result<()> {
    let ids_differ = credential::getuid() != credential::geteuid() || credential::getgid() != credential::getegid();
    let has_rights = || credential::capabilities(None).is_ok_and(|sets| !sets.permitted.is_empty());
    let given = credential::raised_by_exec() && !credential::getuid().is_root() && has_rights();
    if ids_differ || given {
        return Err(Failure::new(
            "izba is installed set-user-ID, set-group-ID or with file capabilities, which it must never be",
        )
        .remedy("chmod u-s,g-s and setcap -r on the izba binary: ordinary users need no privileges"));
    }
    Ok(())
}

fn may_administer() -> bool {
    credential::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}
