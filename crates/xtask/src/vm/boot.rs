//! The machine's process, in mount and PID namespaces of its own in which all of the host is read-only: a test that goes
//! wrong in the machine writes nothing to the host, and leaves nothing running.

use super::Options;
use super::directory::RunDirectory;
use crate::{Outcome, command};
use izba_sys::mount::{MountChange, copy_tree, mount_setattr};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountAttrFlags, MountFlags, MoveMountFlags, mount, move_mount};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The chore that [`boot`] is.
pub(crate) const CHORE: &str = "boot-vm";

/// Starts the machine: a chain of programs, each of which executes the next, so that it is one process and its child.
/// That dies with unshare(1) (--kill-child), and unshare with us (--pdeathsig).
pub(super) fn spawn(kernel: &Path, options: &Options, shares: &[PathBuf], directory: &RunDirectory) -> Outcome<Child> {
    let own = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let mut chain = Command::new("setpriv");
    chain.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]);
    chain.arg(own).arg(CHORE).arg(directory.path()).args(shares).arg("--");
    chain.args(["taskset", "--cpu-list", &one_cpu()?.to_string()]);
    chain.arg(kernel).args(kernel_line(options, directory.path()));
    let console = directory.open_end("console")?;
    let copy = console.try_clone().map_err(|error| format!("the console: {error}"))?;
    chain.stdin(Stdio::null()).stdout(console).stderr(copy);
    chain.spawn().map_err(|error| format!("{}: {error}", command::shown(&chain)))
}

/// A system call of UML is two hand-overs between processes of the host, which cost 5 times as much across CPUs.
fn one_cpu() -> Outcome<usize> {
    let set = rustix::thread::sched_getaffinity(None).map_err(|error| format!("sched_getaffinity: {error}"))?;
    let cpus: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    Ok(cpus[std::process::id() as usize % cpus.len()])
}

/// Programs that do damage outside of a test machine look for `testvm=1` in /proc/cmdline.
fn kernel_line(options: &Options, directory: &Path) -> Vec<String> {
    let directory = directory.display();
    let mut line: Vec<String> = [
        "seccomp=on",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        "con=null",
        "con0=null,fd:1",
        "ssl=null",
        "panic=-1",
        "testvm=1",
    ]
    .map(String::from)
    .into();
    line.push(format!("mem={}", options.memory));
    line.push(format!("ncpus={}", options.cpus));
    line.push(format!("uml_dir={directory}"));
    line.push(format!("init={directory}/init"));
    if !options.verbose {
        line.push("quiet".into());
    }
    line
}

/// `xtask boot-vm WRITABLE... -- PROGRAM ARGUMENT...`: in namespaces that unshare(1) made, makes everything read-only but
/// some directories, and becomes a program. Returns only where it fails.
pub(crate) fn boot(arguments: &[String]) -> Outcome {
    let mut halves = arguments.splitn(2, |argument| argument == "--");
    let (Some(writable), Some([program, rest @ ..])) = (halves.next(), halves.next()) else {
        return Err(format!("{CHORE} is for `cargo xtask vm` to call"));
    };
    make_read_only_but(writable)?;
    // UML keeps its memory in a file in $TMPDIR.
    let error = Command::new(program).args(rest).env("TMPDIR", "/dev/shm").exec();
    Err(format!("{program}: {error}"))
}

fn make_read_only_but(writable: &[String]) -> Outcome {
    let copies = writable.iter().map(|path| Ok((path, copy(path)?))).collect::<Outcome<Vec<_>>>()?;
    let change = MountChange { set: MountAttrFlags::MOUNT_ATTR_RDONLY, propagation: None, idmap: None };
    mount_setattr(open("/")?.as_fd(), c"", true, change).map_err(|error| format!("making / read-only: {error}"))?;
    // The machine's memory, and nobody's sockets.
    for place in ["/dev/shm", "/run"] {
        let options = c"mode=1777,size=100%";
        mount("vm", place, "tmpfs", MountFlags::empty(), options).map_err(|error| format!("{place}: {error}"))?;
    }
    for (path, copy) in copies {
        move_mount(&copy, "", CWD, path.as_str(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// Detached, so that it stays as it is while everything is made read-only.
fn copy(path: &str) -> Outcome<OwnedFd> {
    let name = CString::new(path).map_err(|error| format!("{path}: {error}"))?;
    copy_tree(CWD, &name, true).map_err(|error| format!("{path}: {error}"))
}

fn open(path: &str) -> Outcome<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|error| format!("{path}: {error}"))
}
