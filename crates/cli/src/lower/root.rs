//! ROOT: `host`, a directory or an archive.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use izba_sandbox::account::Accounts;
use izba_sandbox::host;
use izba_sandbox::rootfs::{CallerRoot, Root, Writes};
use izba_sys::path::{CWD, Mode, OFlags, openat};

use super::memory;
use crate::args::run::{Ephemeral, RootArgs};
use crate::caller::Caller;
use crate::failure::{Failure, Result};

/// What ROOT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootName {
    /// The word `host`.
    Host,
    /// A directory.
    Directory(PathBuf),
    /// A file, so an archive.
    Archive(PathBuf),
}

/// Looks at what ROOT names.
pub fn name(text: &OsStr, caller: &Caller) -> Result<RootName> {
    if text == "host" {
        return Ok(RootName::Host);
    }
    if text.is_empty() {
        // A variable that isn't set, most likely: the working directory isn't meant.
        return Err(Failure::new("the root file system's name is empty").remedy("a directory, or . for this one"));
    }
    let path = caller.absolute(text);
    let metadata = std::fs::metadata(&path).map_err(|error| not_there(text, &error))?;
    match metadata.file_type() {
        kind if kind.is_dir() => Ok(RootName::Directory(path)),
        kind if kind.is_file() => Ok(RootName::Archive(path)),
        kind if kind.is_block_device() => {
            Err(Failure::new(format!("{} is a disk, not a root file system", path.display()))
                .remedy(format!("mount it first: mount {} /mnt && izba run --repair /mnt", path.display())))
        }
        _ => Err(Failure::new(format!("{} is neither a directory nor an archive file", path.display()))),
    }
}

fn not_there(text: &OsStr, error: &std::io::Error) -> Failure {
    let failure =
        Failure::new(format!("cannot use {} as a root file system", Path::new(text).display())).caused_by(error);
    if error.kind() == std::io::ErrorKind::NotFound {
        return failure.remedy("a directory, a tar archive, or the word host for this machine's own programs");
    }
    failure
}

/// The root file system, ready to be used.
#[derive(Clone, Debug)]
pub enum Ground {
    /// The root of a mount namespace that isn't new: the caller's own, or of the process whose namespace is joined.
    Caller {
        /// Where its users are looked up.
        accounts: PathBuf,
    },
    /// Assembled from the host's programs.
    Host,
    /// A directory that is somebody's.
    Directory {
        path: PathBuf,
        /// An empty directory for the writes of `--ephemeral=disk`.
        scratch: Option<PathBuf>,
    },
    /// A directory of the cache, shared by all who run the archive.
    Unpacked {
        path: PathBuf,
        /// An empty directory for the writes of `--ephemeral=disk`.
        scratch: Option<PathBuf>,
    },
}

impl Ground {
    /// Is it assembled from the host's programs?
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Host)
    }

    /// Its users and groups.
    pub fn accounts(&self) -> Result<Accounts> {
        let path = match self {
            Self::Caller { accounts } => accounts,
            // An assembled root shows the host's own files.
            Self::Host => Path::new("/"),
            Self::Directory { path, .. } | Self::Unpacked { path, .. } => path,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty()).map_err(|errno| {
            Failure::new(format!("cannot open the root file system {}", path.display())).caused_by(&errno)
        })?;
        Accounts::read(root.as_fd()).map_err(|error| Failure::from_error(&error))
    }

    /// With what becomes of writes. `home` is made in an assembled root, and belongs to `owner`.
    pub fn lower(&self, args: &RootArgs, home: Option<&Path>, owner: (u32, u32)) -> Result<Root> {
        match self {
            Self::Caller { .. } => Ok(Root::Caller(CallerRoot::default())),
            Self::Host => assembled(args, home, owner),
            Self::Directory { path, scratch } => {
                let writes = writes(args, scratch.as_deref(), Writes::InPlace);
                Ok(Root::Directory { path: path.clone(), writes })
            }
            Self::Unpacked { path, scratch } => {
                let writes =
                    writes(args, scratch.as_deref(), Writes::DiscardedFromMemory { size: memory::bytes(None) });
                Ok(Root::Directory { path: path.clone(), writes })
            }
        }
    }
}

fn writes(args: &RootArgs, scratch: Option<&Path>, otherwise: Writes) -> Writes {
    match (args.ephemeral, scratch) {
        _ if args.read_only => Writes::Refused,
        (Some(Ephemeral::Memory), _) => Writes::DiscardedFromMemory { size: memory::bytes(None) },
        (Some(Ephemeral::Sized(size)), _) => Writes::DiscardedFromMemory { size: memory::bytes(Some(size)) },
        (Some(Ephemeral::Disk), Some(dir)) => Writes::DiscardedFromDisk { dir: dir.to_owned() },
        (Some(Ephemeral::Disk), None) | (None, _) => otherwise,
    }
}

/// The root of `host` is in memory, and gone at the end, in any case.
fn assembled(args: &RootArgs, home: Option<&Path>, owner: (u32, u32)) -> Result<Root> {
    let size = match args.ephemeral {
        Some(Ephemeral::Disk) => {
            return Err(Failure::new(
                "--ephemeral=disk is for a directory or an archive: the root of host is in memory",
            )
            .remedy("-v DIR:/tmp for a place on disk"));
        }
        Some(Ephemeral::Sized(size)) => Some(size),
        Some(Ephemeral::Memory) | None => None,
    };
    if args.read_only || args.repair {
        let option = if args.repair { "--repair" } else { "--read-only" };
        return Err(Failure::new(format!(
            "{option} is for a directory or an archive: host is a private root of its own"
        )));
    }
    Ok(Root::Assembled { entries: host::entries(home, owner), size: memory::bytes(size) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::size::Size;

    fn root(ground: &Ground, args: &RootArgs) -> Writes {
        match ground.lower(args, None, (0, 0)).unwrap() {
            Root::Directory { writes, .. } => writes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_directory_is_used_in_place_and_an_archive_never() {
        let directory = Ground::Directory { path: "/r".into(), scratch: None };
        let unpacked = Ground::Unpacked { path: "/r".into(), scratch: None };
        assert_eq!(root(&directory, &RootArgs::default()), Writes::InPlace);
        assert!(
            matches!(root(&unpacked, &RootArgs::default()), Writes::DiscardedFromMemory { size } if size > 1 << 20)
        );
        let read_only = RootArgs { read_only: true, ..RootArgs::default() };
        assert_eq!(root(&directory, &read_only), Writes::Refused);
        assert_eq!(root(&unpacked, &read_only), Writes::Refused);
    }

    #[test]
    fn writes_go_where_ephemeral_says() {
        let directory = Ground::Directory { path: "/r".into(), scratch: Some("/s".into()) };
        let with = |ephemeral| RootArgs { ephemeral: Some(ephemeral), ..RootArgs::default() };
        let sized = with(Ephemeral::Sized(Size::Bytes(4096)));
        assert_eq!(root(&directory, &sized), Writes::DiscardedFromMemory { size: 4096 });
        assert_eq!(root(&directory, &with(Ephemeral::Disk)), Writes::DiscardedFromDisk { dir: "/s".into() });
    }

    #[test]
    fn options_that_mean_nothing_for_host_are_refused() {
        let args = RootArgs { ephemeral: Some(Ephemeral::Disk), ..RootArgs::default() };
        assert!(Ground::Host.lower(&args, None, (0, 0)).is_err());
        let args = RootArgs { repair: true, ..RootArgs::default() };
        assert!(Ground::Host.lower(&args, None, (0, 0)).unwrap_err().problem.contains("--repair"));
    }
}
