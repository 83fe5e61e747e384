//! `izba ns enter`: what is asked for, as nsenter(1) understands it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use izba_sandbox::cgroup::{ControlGroup, Membership};
use izba_sandbox::facts::JoinedUser;
use izba_sandbox::idmap::IdMap;
use izba_sandbox::namespace::{Kind, Namespaces};
use izba_sandbox::rootfs::CallerRoot;
use izba_sandbox::sandbox::{Ids, Sandbox, User, WorkingDirectory};
use izba_sandbox::survey::{Id, identify, open_namespace};
use izba_sys::{Errno, nsfs};

use super::{c_string, kept};
use crate::args::ns::enter::EnterArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::parse::path::in_root;
use crate::target::{Process, Target};

/// The intent.
pub fn lower(args: &EnterArgs, target: &Target, caller: &Caller) -> Result<Sandbox> {
    if args.boottime.is_some() || args.monotonic.is_some() {
        return Err(Failure::new("the clocks of a time namespace can't be set once a process is in it")
            .because("time_namespaces(7): /proc/PID/timens_offsets takes no write after the first process has entered")
            .remedy("izba ns run --boottime SECONDS, which makes a new one"));
    }
    let namespaces = namespaces(&args.kinds.named(), target)?;
    refuse_nothing(args, &namespaces)?;
    let enters_user = namespaces.joined(Kind::User).is_some();
    let chroot = args.of_target.root.as_ref().map(|dir| root(dir.as_deref(), target, caller)).transpose()?;
    let root = CallerRoot { chroot, ..CallerRoot::default() };
    let mut sandbox = kept::sandbox(&args.command, &args.program, namespaces, root, caller)?;
    if let Target::Process(process) = target {
        sandbox.requires = Some(process.pidfd.as_raw_fd());
    }
    if let Some(dir) = &args.of_target.wd {
        sandbox.process.cwd = working_directory(dir.as_deref(), target)?;
    }
    if args.of_target.join_cgroup {
        sandbox.cgroup = ControlGroup::Joined(membership(process(target, "--join-cgroup")?)?);
    }
    if args.of_target.env {
        sandbox.process.env = environment(process(target, "--env")?)?;
    }
    if args.of_target.credentials {
        sandbox.process.user = User::Become(credentials(process(target, "--credentials")?, enters_user)?);
    } else if let Some(path) = sandbox.namespaces.joined(Kind::User)
        && !args.of_target.preserve_credentials
        && sandbox.process.user == User::Kept
        && JoinedUser::look(path).has_root
    {
        sandbox.process.user = User::Become(Ids::default());
    }
    // All that was read of it was its own.
    target.check_running()?;
    Ok(sandbox)
}

/// But for those that the caller is in already: the kernel refuses to enter one's own user namespace again, and for the others it
/// would change nothing.
fn namespaces(named: &[Kind], target: &Target) -> Result<Namespaces> {
    let mut namespaces = Namespaces::shared();
    for place in target.places(named)? {
        if inode(&place.path) != Id::own(place.kind).map(|own| own.inode) {
            namespaces.join(place.kind, place.path);
        }
    }
    if let Some(path) = namespaces.joined(Kind::Pid) {
        refuse_closed_pids(path)?;
    }
    Ok(namespaces)
}

/// Who has mistaken the process isn't to believe that the program runs elsewhere.
fn refuse_nothing(args: &EnterArgs, namespaces: &Namespaces) -> Result<()> {
    let (kinds, of_target) = (args.kinds.named(), &args.of_target);
    let takes_else = of_target.root.is_some() || of_target.wd.is_some() || of_target.env || of_target.credentials;
    if takes_else || of_target.join_cgroup || !kinds.is_empty() {
        return Ok(());
    }
    if Kind::ALL.into_iter().any(|kind| namespaces.joined(kind).is_some()) {
        return Ok(());
    }
    Err(Failure::new("there is nothing to enter: the target is in no namespace but your own")
        .remedy("izba ns list shows who is in which"))
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| std::os::unix::fs::MetadataExt::ino(&found))
}

/// setns(2): into the caller's own PID namespace and those below it, and only where process 1 is there. Linux 6.11 tells that; on older
/// ones the fork fails with ENOMEM.
fn refuse_closed_pids(path: &Path) -> Result<()> {
    let Ok(namespace) = open_namespace(path) else { return Ok(()) };
    if !is_below_own(&namespace) {
        return Err(Failure::new("a PID namespace that yours lies in, or that lies beside it, can't be entered")
            .because("setns(2): only one's own PID namespace and those below it can be joined")
            .remedy("run izba outside, or leave the PID namespace out by naming the other kinds (-n, -u, ...)"));
    }
    if nsfs::pid_from(namespace.as_fd(), 1) == Err(Errno::SRCH) {
        return Err(Failure::new("nobody can enter this PID namespace any more: its process 1 has ended")
            .because("pid_namespaces(7): without it the kernel makes no process there")
            .remedy("leave the PID namespace out by naming the other kinds (-n, -u, ...)"));
    }
    Ok(())
}

fn is_below_own(namespace: &OwnedFd) -> bool {
    let own = Id::own(Kind::Pid);
    let mut at = namespace.try_clone().ok();
    while let Some(here) = at {
        if identify(here.as_fd()).ok() == own {
            return true;
        }
        at = nsfs::parent(here.as_fd()).ok();
    }
    false
}

/// The process that an option needs.
fn process<'a>(target: &'a Target, option: &str) -> Result<&'a Process> {
    match target {
        Target::Process(process) => Ok(process),
        Target::Namespaces(_) => Err(Failure::new(format!("{option} takes it from a process, and the target is none"))
            .remedy(format!("leave out {option}, or name a process"))),
    }
}

fn root(dir: Option<&Path>, target: &Target, caller: &Caller) -> Result<PathBuf> {
    dir.map_or_else(|| Ok(process(target, "--root")?.file("root")), |dir| Ok(caller.absolute(dir)))
}

fn working_directory(dir: Option<&Path>, target: &Target) -> Result<WorkingDirectory> {
    let Some(dir) = dir else { return Ok(WorkingDirectory::Outside(process(target, "--wd")?.file("cwd"))) };
    let dir = in_root(dir.as_os_str()).map_err(|why| Failure::new(format!("--wd: {why}")))?;
    Ok(WorkingDirectory::Path(dir))
}

fn read(process: &Process, file: &str) -> Result<Vec<u8>> {
    let path = process.file(file);
    std::fs::read(&path).map_err(|error| Failure::new(format!("cannot read {}", path.display())).caused_by(&error))
}

/// Whatever the process has made of the memory where its environment was: proc_pid_environ(5).
fn environment(process: &Process) -> Result<Vec<std::ffi::CString>> {
    let content = read(process, "environ")?;
    let variables = content.split(|&byte| byte == 0).filter(|variable| variable.contains(&b'='));
    variables.map(c_string).collect()
}

fn membership(process: &Process) -> Result<Membership> {
    Membership::of(process.pid)
        .map_err(|error| Failure::new(format!("cannot join the cgroups of process {}", process.pid)).caused_by(&error))
}

fn map(process: &Process, file: &str) -> Option<IdMap> {
    std::fs::read_to_string(process.file(file)).ok()?.parse().ok()
}

/// The process's effective ids and its groups. The kernel shows them, and the maps, as the caller's own user namespace sees them.
fn credentials(process: &Process, enters_user: bool) -> Result<Ids> {
    let status = String::from_utf8_lossy(&read(process, "status")?).into_owned();
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect()
    };
    let inside = |file: &str, id: u32| if enters_user { map(process, file)?.inside_of(id) } else { Some(id) };
    let effective = |key: &str, file: &str| {
        let id = numbers(key).get(1).copied();
        id.and_then(|id| inside(file, id)).ok_or_else(|| {
            Failure::new(format!("process {} runs with an id that the user namespace doesn't map", process.pid))
                .remedy("-S UID and -G GID, with ids that it has")
        })
    };
    Ok(Ids {
        uid: effective("Uid:", "uid_map")?,
        gid: effective("Gid:", "gid_map")?,
        groups: numbers("Groups:").into_iter().filter_map(|group| inside("gid_map", group)).collect(),
    })
}
