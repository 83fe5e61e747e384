//! Why execve(2) failed: looks at the files in the container's root, as the kernel did.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use izba_sys::Errno;
use izba_sys::path::{FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2};

use super::executable::{Elf, Executable, HEAD, NATIVE, Script, machine_name, recognise};
use crate::probe::refusal::{self, Circumstances};

/// How many interpreters of interpreters the kernel follows: exec_binprm() in fs/exec.c.
const DEEPEST: usize = 5;

/// A program that could not be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecFailure {
    /// The exit status that a shell would give: 127 where something isn't found, else 126.
    pub status: u8,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl ExecFailure {
    fn new(errno: Errno, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let status = if errno == Errno::NOENT { 127 } else { 126 };
        Self { status, message: message.into(), remedy: Some(remedy.into()) }
    }
}

/// What was found wrong with a file.
type Fault = (String, String);

/// Tells why none of the `candidates` could be executed in `root`, a descriptor of the container's root as the container sees
/// it, with what is mounted in it. `cwd` is the working directory in it, and `errno` what execve(2) gave in the end.
pub fn exec_cause(root: BorrowedFd<'_>, cwd: &Path, candidates: &[CString], errno: Errno) -> ExecFailure {
    let paths: Vec<PathBuf> = candidates.iter().map(|path| cwd.join(OsStr::from_bytes(path.as_bytes()))).collect();
    if let Some(failure) = of_the_process(errno) {
        return failure;
    }
    let inside = Inside { root };
    let found = paths.iter().find(|path| !matches!(inside.open(path, OFlags::PATH), Err(Absent::Nothing)));
    let Some(path) = found else { return not_found(&paths) };
    let (message, remedy) = inside
        .fault(path, errno, DEEPEST)
        .unwrap_or_else(|| (format!("{} can't be executed: {errno}", path.display()), unexplained(errno)));
    ExecFailure::new(errno, message, remedy)
}

/// Errors that have nothing to do with the file.
fn of_the_process(errno: Errno) -> Option<ExecFailure> {
    let (message, remedy) = match errno {
        Errno::TOOBIG => (
            "the arguments and the environment together are too long",
            "pass fewer, or raise the limit: --ulimit stack=",
        ),
        Errno::NOMEM => ("there isn't enough memory to load the program", "raise the memory limit"),
        Errno::AGAIN => ("the user has more processes than RLIMIT_NPROC allows", "raise it: --ulimit nproc="),
        _ => return None,
    };
    Some(ExecFailure::new(errno, message, remedy))
}

fn unexplained(errno: Errno) -> String {
    if matches!(errno, Errno::PERM | Errno::ACCESS) {
        return refusal::powerless(errno, &Circumstances::read()).remedy;
    }
    "look at dmesg".to_owned()
}

fn not_found(paths: &[PathBuf]) -> ExecFailure {
    let name = paths.first().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    let tried: Vec<String> = paths.iter().filter_map(|path| Some(path.parent()?.display().to_string())).collect();
    let (message, remedy) = match paths {
        [] => ("no program was named".to_owned(), "name one".to_owned()),
        [path] => (
            format!("{} doesn't exist in the root", path.display()),
            "check the spelling; paths are those of the root, not the host's".to_owned(),
        ),
        _ => (
            format!("the root has no program {name} in any directory of PATH: {}", tried.join(", ")),
            format!("install {name} in the root, give its whole path, or set PATH with -e PATH=..."),
        ),
    };
    ExecFailure::new(Errno::NOENT, message, remedy)
}

/// Why a path could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    /// There is nothing.
    Nothing,
    /// There may be something.
    Refused(Errno),
}

/// The container's root.
struct Inside<'a> {
    root: BorrowedFd<'a>,
}

impl Inside<'_> {
    /// Opens a path in the root. O_NONBLOCK, as a FIFO may have taken the file's place since it was looked at.
    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Absent> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = if flags.contains(OFlags::PATH) { OFlags::PATH | OFlags::CLOEXEC } else { flags };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(self.root, path, flags, Mode::empty(), resolve).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => Absent::Nothing,
            other => Absent::Refused(other),
        })
    }

    /// What keeps the kernel from executing this file? Interpreters are followed, as the kernel does.
    fn fault(&self, path: &Path, errno: Errno, depth: usize) -> Option<Fault> {
        let shown = path.display();
        let file = match self.open(path, OFlags::PATH) {
            Ok(file) => file,
            Err(Absent::Nothing) => {
                return Some((format!("{shown} doesn't exist in the root"), format!("install {shown} in the root")));
            }
            Err(Absent::Refused(refused)) => {
                let remedy = "look at the modes of the directories on its path, and at links of /proc on it";
                return Some((format!("{shown} can't be reached in the root: {refused}"), remedy.to_owned()));
            }
        };
        if let Some(fault) = unfit(&file, &shown.to_string(), errno) {
            return Some(fault);
        }
        let head = self.head(path, 0, HEAD)?;
        match recognise(&head) {
            Executable::Script(script) => self.script_fault(path, &script, errno, depth),
            Executable::Elf(elf) => self.elf_fault(path, &elf, errno),
            other => unknown(&shown.to_string(), &other, errno),
        }
    }

    /// Bytes of a regular file. `None` where the caller may not read it, though it may perhaps execute it.
    fn head(&self, path: &Path, offset: u64, length: usize) -> Option<Vec<u8>> {
        let file = self.open(path, OFlags::RDONLY).ok()?;
        let regular = fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        if !regular {
            return None;
        }
        let mut bytes = vec![0; length];
        let read = File::from(file).read_at(&mut bytes, offset).ok()?;
        bytes.truncate(read);
        Some(bytes)
    }

    fn script_fault(&self, path: &Path, script: &Script, errno: Errno, depth: usize) -> Option<Fault> {
        let shown = path.display();
        if script.interpreter.is_empty() {
            return Some((
                format!("the script {shown} names no interpreter after its #!"),
                "write one: #!/bin/sh".to_owned(),
            ));
        }
        if script.carriage_return && script.interpreter.ends_with(b"\r") {
            return Some((
                format!(
                    "the #! line of the script {shown} ends as DOS ends lines (CR LF), and the CR is taken as a part of the interpreter's name"
                ),
                format!("take the carriage returns out: sed -i 's/\\r$//' {shown}"),
            ));
        }
        if depth == 0 {
            return Some((
                format!("{shown} is an interpreter of an interpreter of ... a script, too deep for the kernel"),
                "shorten the chain".to_owned(),
            ));
        }
        // A relative interpreter is looked for in the working directory: as good as never what was meant.
        let interpreter = Path::new("/").join(OsStr::from_bytes(&script.interpreter));
        let (message, remedy) = self.fault(&interpreter, errno, depth - 1)?;
        Some((format!("the interpreter of the script {shown} can't be executed: {message}"), remedy))
    }

    fn elf_fault(&self, path: &Path, elf: &Elf, errno: Errno) -> Option<Fault> {
        let shown = path.display();
        if errno == Errno::NOEXEC {
            return Some(unloadable(&shown.to_string(), elf));
        }
        let (offset, length) = elf.interpreter?;
        let mut name = self.head(path, offset, length)?;
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
        let loader = Path::new(OsStr::from_bytes(&name));
        let message = match self.open(loader, OFlags::PATH) {
            Err(Absent::Nothing) => format!("{} doesn't exist in the root", loader.display()),
            Err(Absent::Refused(refused)) => format!("{}: {refused}", loader.display()),
            Ok(file) => unfit(&file, &loader.display().to_string(), errno)?.0,
        };
        Some((
            format!("the ELF interpreter of {shown} can't be used: {message}"),
            format!(
                "install the C library that the program was linked with (it brings {}), or a static program",
                loader.display()
            ),
        ))
    }
}

/// What of its kind, its mode or its mount keeps a file from being executed.
fn unfit(file: &OwnedFd, shown: &str, errno: Errno) -> Option<Fault> {
    let stat = fstat(file).ok()?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Some((format!("{shown} is a directory"), "name a program in it".to_owned())),
        _ => return Some((format!("{shown} is neither a file nor a link to one"), "name a program".to_owned())),
    }
    if stat.st_mode & 0o111 == 0 {
        let mode = stat.st_mode & 0o7777;
        return Some((format!("{shown} isn't executable: its mode is {mode:04o}"), format!("chmod +x {shown}")));
    }
    if fstatvfs(file).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return Some((
            format!("{shown} is on a mount with noexec"),
            "mount it with exec, or run a program from elsewhere".to_owned(),
        ));
    }
    if errno == Errno::TXTBSY {
        return Some((format!("{shown} is open for writing"), "wait until who writes it has closed it".to_owned()));
    }
    // The same for others: only the mode bits of some are missing.
    (errno == Errno::ACCESS && stat.st_mode & 0o111 != 0o111).then(|| {
        let mode = stat.st_mode & 0o7777;
        let (uid, gid) = (stat.st_uid, stat.st_gid);
        let message = format!("{shown} isn't executable for the program's user: its mode is {mode:04o}, its owner {uid}:{gid} (outside ids)");
        (message, format!("chmod a+rx {shown}, or run as its owner"))
    })
}

/// An ELF file that the kernel has no loader for.
fn unloadable(shown: &str, elf: &Elf) -> Fault {
    if !elf.linked {
        return (format!("{shown} is an ELF file but no program: an object file or a core dump"), "link it".to_owned());
    }
    if elf.machine != NATIVE {
        let (machine, native) = (machine_name(elf.machine), machine_name(NATIVE));
        return (
            format!("{shown} is a program for {machine}, and this machine is {native}"),
            "use a root for this machine, or register an emulator on the host: qemu-user-static, binfmt_misc"
                .to_owned(),
        );
    }
    let what = if elf.wide { "damaged, or was cut short" } else { "a 32-bit program, which this kernel may not run" };
    (format!("{shown} is {what}"), "install it again".to_owned())
}

/// Neither a script nor a program.
fn unknown(shown: &str, what: &Executable, errno: Errno) -> Option<Fault> {
    if errno != Errno::NOEXEC {
        return None;
    }
    Some(match what {
        Executable::Empty => (format!("{shown} is an empty file"), "install it again".to_owned()),
        Executable::Text => (
            format!("{shown} is a text without a #! line, which shells run but the kernel doesn't"),
            format!("write #!/bin/sh in its first line, or run it with sh {shown}"),
        ),
        _ => (
            format!("{shown} is no program that this kernel knows"),
            "name a program, or register its kind: binfmt_misc".to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// Executes a file for real, and explains what the kernel said.
    fn explain(path: &Path) -> ExecFailure {
        let failed = Command::new(path).stdin(Stdio::null()).spawn().unwrap_err();
        explain_errno(&[path], Errno::from_raw_os_error(failed.raw_os_error().unwrap()))
    }

    fn explain_errno(paths: &[&Path], errno: Errno) -> ExecFailure {
        let root = File::open("/").unwrap();
        let candidates: Vec<CString> =
            paths.iter().map(|path| CString::new(path.as_os_str().as_bytes()).unwrap()).collect();
        exec_cause(root.as_fd(), Path::new("/"), &candidates, errno)
    }

    fn program(name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("izba-exec-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The head of a real program with some bytes replaced.
    fn changed(from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut bytes = fs::read("/bin/true").unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    }

    #[test]
    fn each_failure_is_told_apart() {
        let foreign = if NATIVE == 183 { [62, 0] } else { [183, 0] };
        let mut other_machine = fs::read("/bin/true").unwrap();
        other_machine[18..20].copy_from_slice(&foreign);
        let cases: [(&str, &[u8], u32, u8, &str); 11] = [
            ("mode", b"#!/bin/sh\n", 0o644, 126, "its mode is 0644"),
            ("interpreter", b"#!/no/such/shell -e\n", 0o755, 127, "/no/such/shell doesn't exist"),
            ("directory", b"#!/usr\n", 0o755, 126, "/usr is a directory"),
            ("crlf", b"#!/bin/sh\r\n", 0o755, 127, "DOS"),
            ("none", b"#!\n", 0o755, 126, "names no interpreter"),
            ("empty", b"", 0o755, 126, "empty"),
            ("text", b"echo hello\n", 0o755, 126, "without a #! line"),
            ("binary", &[0, 1, 2, 3], 0o755, 126, "no program"),
            ("loader", &changed(b"/lib", b"/LIB"), 0o755, 127, "ELF interpreter"),
            ("machine", &other_machine, 0o755, 126, "is a program for"),
            ("chain", b"#!/dev/null\n", 0o755, 126, "neither a file"),
        ];
        for (name, content, mode, status, words) in cases {
            let path = program(name, content, mode);
            let failure = explain(&path);
            fs::remove_file(&path).unwrap();
            assert!(failure.message.contains(words), "{name}: {}", failure.message);
            assert_eq!(failure.status, status, "{name}: {}", failure.message);
        }
    }

    #[test]
    fn what_is_nowhere_lists_where_it_was_looked_for() {
        let failure = explain_errno(&[Path::new("/bin/no-such"), Path::new("/usr/bin/no-such")], Errno::NOENT);
        assert_eq!(failure.message, "the root has no program no-such in any directory of PATH: /bin, /usr/bin");
        assert_eq!(explain(Path::new("/no/such")).status, 127);
        assert!(explain(Path::new("/usr")).message.contains("is a directory"));
    }
}
