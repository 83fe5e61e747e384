//! What every contender runs on: one binary of each tool and one root directory per user, gone when the benchmark ends.

use crate::setup::Account;
use crate::{Outcome, command};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The temporary directory of the benchmark.
pub(crate) struct Ground {
    directory: PathBuf,
    pub(crate) izba: PathBuf,
    pub(super) floor: PathBuf,
    pub(super) peak: PathBuf,
    pub(super) crowd: PathBuf,
}

impl Ground {
    /// Compiles the C programs, and copies them and this izba to where every user may run them.
    pub(crate) fn prepare(izba: &Path) -> Outcome<Self> {
        let directory = std::env::temp_dir().join(format!("izba-bench-{}", std::process::id()));
        fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let file = |name: &str| directory.join(name);
        let ground = Ground {
            izba: file("izba"),
            floor: file("floor"),
            peak: file("peak"),
            crowd: file("crowd"),
            directory: directory.clone(),
        };
        open_to_all(&ground.directory)?;
        fs::copy(izba, &ground.izba).map_err(|error| format!("{}: {error}", izba.display()))?;
        open_to_all(&ground.izba)?;
        [&ground.floor, &ground.peak, &ground.crowd].into_iter().try_for_each(|program| compile(program))?;
        Ok(ground)
    }

    /// The program that executes others instruction by instruction.
    pub(crate) fn step(&self) -> Outcome<PathBuf> {
        let step = self.directory.join("step");
        compile(&step).map(|()| step)
    }

    /// A directory for what one peer needs.
    pub(crate) fn directory(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.directory.join(name);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// A root directory that holds busybox and nothing else, owned by the user that it is for.
    pub(crate) fn root_for(&self, account: &Account) -> Outcome<PathBuf> {
        let root = self.directory.join(format!("root-{}", account.name));
        populate(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        give(&root, account).map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(root)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("bench: {} could not be removed: {error}", self.directory.display());
        }
    }
}

/// A release of izba, its linking with these arguments of rustc. It lands beside the build of xtask itself: target/TRIPLE/release beside target/TRIPLE/debug.
pub(crate) fn build_izba(linking: &[&str]) -> Outcome<PathBuf> {
    eprintln!("building izba");
    command::run(command::cargo().args(["rustc", "--quiet", "--release", "--package", "izba", "--"]).args(linking))
        .map_err(|error| format!("izba can't be built, so there is nothing to measure ({error})"))?;
    let own = std::env::current_exe().map_err(|error| format!("/proc/self/exe: {error}"))?;
    let triple = own.ancestors().nth(2).unwrap_or(Path::new("target"));
    let izba = triple.join("release/izba");
    if izba.is_file() { Ok(izba) } else { Err(format!("the build of izba left no binary at {}", izba.display())) }
}

/// Makes a program from the C source of its name.
fn compile(program: &Path) -> Outcome {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let source = command::workspace().join("crates/xtask").join(program.file_name().unwrap_or_default());
    let flags = ["-O2", "-Wall", "-static", "-o"];
    command::run(Command::new(compiler).args(flags).arg(program).arg(source.with_extension("c")))?;
    open_to_all(program)
}

/// Readable and executable by every user, whatever the umask is.
fn open_to_all(path: &Path) -> Outcome {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|error| format!("{}: {error}", path.display()))
}

fn populate(root: &Path) -> std::io::Result<()> {
    for directory in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::copy("/bin/busybox", root.join("bin/busybox"))?;
    for applet in ["true", "sh"] {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    // What a runtime may bind files over is there, so that no contender has to make it.
    for file in ["hostname", "hosts", "resolv.conf"] {
        fs::write(root.join("etc").join(file), "")?;
    }
    Ok(())
}

fn give(path: &Path, account: &Account) -> std::io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_symlink() {
        return lchown(path, Some(account.uid), Some(account.gid));
    }
    chown(path, Some(account.uid), Some(account.gid))?;
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), account)?;
        }
    }
    Ok(())
}
