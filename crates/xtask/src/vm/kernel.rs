//! The machine's kernel, kept in a cache outside the repository.

use crate::{Outcome, command, setup};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONFIG: &str = include_str!("kernel.config");
const SCRIPT: &str = include_str!("build-kernel.sh");

/// What building needs beside what the tests need.
const PACKAGES: &[&str] = &["bc", "bison", "flex", "gcc", "libc6-dev", "make", "xz-utils"];

/// The kernel from the cache; where none is in it, the one that a directory above the workspace has ready, else one that
/// is built now, which takes minutes.
pub(super) fn obtain() -> Outcome<PathBuf> {
    let cache = Cache::new()?;
    if let Some(kernel) = cache.ready() {
        return Ok(kernel);
    }
    let _lock = cache.lock()?;
    match (cache.ready(), archive(&command::workspace())) {
        (Some(kernel), _) => Ok(kernel),
        (None, Some(archive)) => unpack(&archive, cache.unpacked()),
        (None, None) => cache.build(),
    }
}

/// Builds the kernel of this version of the repository, unless it is there, and gives its path.
pub(super) fn build() -> Outcome<PathBuf> {
    let cache = Cache::new()?;
    let _lock = cache.lock()?;
    if cache.built().exists() { Ok(cache.built()) } else { cache.build() }
}

struct Cache {
    directory: PathBuf,
}

impl Cache {
    fn new() -> Outcome<Self> {
        let directory = place()?;
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Self { directory })
    }

    /// For one process at a time: who comes while another makes a kernel waits for it.
    fn lock(&self) -> Outcome<File> {
        let locked = File::open(&self.directory).and_then(|directory| {
            flock(&directory, FlockOperation::LockExclusive)?;
            Ok(directory)
        });
        locked.map_err(|error| format!("{}: {error}", self.directory.display()))
    }

    fn ready(&self) -> Option<PathBuf> {
        [self.built(), self.unpacked()].into_iter().find(|kernel| kernel.exists())
    }

    /// Named by what it is made of, so that a change makes a new one. It is taken before one that was unpacked, which may
    /// be older.
    fn built(&self) -> PathBuf {
        let digest = Sha256::new().chain_update(CONFIG).chain_update(SCRIPT).finalize();
        let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("linux-{digest}"))
    }

    fn unpacked(&self) -> PathBuf {
        self.directory.join("linux")
    }

    fn build(&self) -> Outcome<PathBuf> {
        setup::install_packages(PACKAGES)?;
        println!("vm: building the test machine's kernel: some minutes, once");
        let config = self.directory.join("config");
        fs::write(&config, CONFIG).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut bash = Command::new("bash");
        bash.args(["-c", SCRIPT, "build-kernel"]).arg(&config).arg(self.directory.join("build")).arg(self.built());
        command::run(&mut bash).map_err(|_| "the kernel could not be built, see above".to_owned())?;
        Ok(self.built())
    }
}

fn place() -> Outcome<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("IZBA_VM_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("izba-vm")))
        .or_else(|| from("HOME").map(|home| home.join(".cache/izba-vm")))
        .ok_or_else(|| "no place for the kernel: set IZBA_VM_CACHE".into())
}

/// A kernel that was built once for many checkouts beside each other.
fn archive(workspace: &Path) -> Option<PathBuf> {
    workspace.ancestors().skip(1).map(|above| above.join("shared/vm/linux.xz")).find(|archive| archive.exists())
}

fn unpack(archive: &Path, kernel: PathBuf) -> Outcome<PathBuf> {
    let half = kernel.with_extension("new");
    let unpacked = || {
        let mut xz = Command::new("xz");
        xz.args(["--decompress", "--stdout"]).arg(archive).stdout(File::create(&half)?);
        if !xz.status()?.success() {
            return Err(std::io::Error::other("xz failed"));
        }
        fs::set_permissions(&half, fs::Permissions::from_mode(0o755))?;
        fs::rename(&half, &kernel)
    };
    unpacked().map_err(|error| format!("unpacking {}: {error}", archive.display()))?;
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_beside_any_directory_above_is_found() {
        let top = std::env::temp_dir().join(format!("izba-xtask-kernel-{}", std::process::id()));
        let workspace = top.join("work/tree");
        fs::create_dir_all(&workspace).unwrap();
        fs::create_dir_all(top.join("shared/vm")).unwrap();
        let before = archive(&workspace);
        fs::write(top.join("shared/vm/linux.xz"), "").unwrap();
        let after = archive(&workspace);
        fs::remove_dir_all(&top).unwrap();
        assert_ne!(before, after);
        assert_eq!(after, Some(top.join("shared/vm/linux.xz")));
    }
}
