//! From a failed step to its likely cause, found by probing and not by guessing.

mod exec;
pub mod executable;
mod group;
mod path;

use std::path::Path;

use izba_sys::Errno;
use izba_sys::namespace::CloneFlags;

use crate::idmap::MapWriter;
use crate::namespace::Kind;
pub use crate::probe::Hint;
use crate::probe::attempt::{self, Refused};
use crate::probe::refusal::{self, Circumstances};
use crate::probe::{ids, kernel, limit, mounting, system_root};
pub use exec::{ExecFailure, exec_cause};

/// What failed.
#[derive(Clone, Copy, Debug)]
pub enum Failed<'a> {
    /// clone3(2) or unshare(2) with these new namespaces.
    Namespaces(&'a [Kind]),
    /// Writing uid_map or gid_map, or running newuidmap(1) or newgidmap(1).
    IdMap(MapWriter),
    /// A new mount of this type: fsopen(2), fsconfig(2) or fsmount(2).
    Mount(&'a str),
    /// open_tree(2), mount_setattr(2) or move_mount(2) with a mount of this path of the host.
    Bind(&'a Path),
    /// mount_setattr(2) with MOUNT_ATTR_IDMAP on a mount of this path of the host.
    IdMappedMount(&'a Path),
    /// pivot_root(2)
    PivotRoot,
    /// Opening a path of the host, such as the root directory.
    HostPath(&'a Path),
    /// Opening or making a path in the new root.
    RootPath(&'a Path),
    /// Opening or entering an existing namespace of this kind.
    Join(Kind),
    /// sethostname(2) or setdomainname(2)
    HostName,
    /// Writing this setting below /proc/sys.
    Sysctl(&'a str),
    /// setrlimit(2)
    Rlimit,
    /// Writing oom_score_adj.
    OomScore,
    /// setgroups(2)
    Groups,
    /// setresuid(2) or setresgid(2)
    Id(u32),
    /// mknodat(2) of a device.
    Device,
    /// SIOCSIFFLAGS on lo.
    Loopback,
    /// The offsets of a new time namespace.
    Clock,
    /// Opening the working directory.
    WorkingDirectory,
    /// Making this control group.
    Group(&'a Path),
    /// Writing this file of a control group.
    GroupFile(&'a Path),
    /// Making a process in this control group.
    IntoGroup(&'a Path),
    /// Making a process: clone(2), EAGAIN.
    Processes,
    /// Any other call, which an old kernel or a seccomp filter may lack.
    Other,
}

/// The likely cause of a failure, and the remedy. `None` where nothing that is known explains it.
pub fn cause(failed: Failed<'_>, errno: Errno) -> Option<Hint> {
    if errno == Errno::NOSYS {
        return Some(no_call());
    }
    if errno == Errno::MFILE {
        return Some(Hint::new(
            "izba may not open as many descriptors as it needs (RLIMIT_NOFILE)",
            "raise the limit: ulimit -n 1024; --ulimit nofile=N gives the program a lower one",
        ));
    }
    match failed {
        Failed::Namespaces(kinds) => namespaces(kinds, errno),
        Failed::IdMap(writer) => id_map(writer, errno),
        Failed::Mount(fstype) => Some(mounting::explain(fstype, errno, &Circumstances::read())),
        Failed::Bind(source) => bind(source, errno),
        Failed::IdMappedMount(source) => Some(id_mapped(source)),
        Failed::PivotRoot => system_root::pivot_refusal(errno),
        Failed::HostPath(path) => path::on_host(path, errno),
        Failed::RootPath(path) => path::in_root(path, errno),
        Failed::Join(kind) => join(kind, errno),
        Failed::HostName => host_name(errno),
        Failed::Sysctl(name) => sysctl(name, errno),
        Failed::Rlimit => resource(errno, "a hard limit can only be raised"),
        Failed::OomScore => resource(errno, "oom_score_adj can only be lowered"),
        Failed::Groups => groups(errno),
        Failed::Id(id) => unmapped(id, errno),
        Failed::Device => (errno == Errno::PERM).then(|| {
            Hint::new(
                "devices can only be made in the initial user namespace, with CAP_MKNOD",
                "bind the host's device: -v /dev/NAME:/dev/NAME",
            )
        }),
        Failed::Loopback => (errno == Errno::PERM).then(|| {
            Hint::new(
                "setting an interface up takes CAP_NET_ADMIN, which you lack",
                "add --share net, or give izba the capability",
            )
        }),
        Failed::Clock => (errno == Errno::RANGE).then(|| {
            Hint::new("the clock would be negative, or beyond 146 years: time_namespaces(7)", "choose a smaller offset")
        }),
        Failed::WorkingDirectory => working_directory(errno),
        Failed::Group(path) => group::made(path, errno),
        Failed::GroupFile(path) => group::written(path, errno),
        Failed::IntoGroup(path) => group::entered(path, errno),
        Failed::Processes => Some(group::full()),
        Failed::Other => None,
    }
}

fn working_directory(errno: Errno) -> Option<Hint> {
    let cause = match errno {
        Errno::NOENT => "the root file system has no such directory",
        Errno::NOTDIR => "it isn't a directory",
        Errno::LOOP => "it leads through a magic link of /proc, and so perhaps out of the root, or to itself",
        _ => return None,
    };
    Some(Hint::new(cause, "make it in the root, mount something there, or choose another one with -w"))
}

fn no_call() -> Hint {
    let filtered = Circumstances::read().caller.filtered;
    kernel::too_old().unwrap_or_else(|| {
        let cause = if filtered {
            "a seccomp filter hides this call from the caller"
        } else {
            "the kernel was built without this call"
        };
        let remedy = if filtered {
            "start the container around izba with --security-opt seccomp=unconfined, or run izba outside of it"
        } else {
            "use another kernel; izba doctor shows what this one lacks"
        };
        Hint::new(cause, remedy)
    })
}

/// Which of several kinds was refused? Each is tried alone.
fn namespaces(kinds: &[Kind], errno: Errno) -> Option<Hint> {
    let around = Circumstances::read();
    if errno == Errno::PERM && !kinds.contains(&Kind::User) && !around.caller.may("SYS_ADMIN") {
        return Some(Hint::new(
            "without CAP_SYS_ADMIN, which root lacks in a container too, other namespaces are made only in a new user namespace",
            "add a user namespace in which you are root (izba ns run --map-root), or run izba as root of the machine",
        ));
    }
    let user = if kinds.contains(&Kind::User) { CloneFlags::NEWUSER } else { CloneFlags::empty() };
    let mut ordered = kinds.to_vec();
    ordered.sort();
    let tried = ordered.iter().find_map(|&kind| {
        let refused = attempt::in_child(kind.clone_flag() | user, &|| Ok(())).err()?;
        Some(match refused {
            Refused::Clone(errno) => refusal::explain(kind, errno, &around),
            Refused::Within(errno) => refusal::powerless(errno, &around),
        })
    });
    // A limit may have been reached then and not now; whatever else is refused is refused again.
    kernel::too_old().or(tried).or_else(|| (errno == Errno::NOSPC).then(|| limit::reached(&ordered)))
}

fn id_map(writer: MapWriter, errno: Errno) -> Option<Hint> {
    let around = Circumstances::read();
    if writer == MapWriter::Helpers {
        let unknown = || {
            Hint::new(
                "the ranges asked for aren't all the caller's in /etc/subuid and /etc/subgid",
                "compare them with the lines of these files, or leave out --uidmap and --gidmap",
            )
        };
        return Some(ids::missing(&around.caller).unwrap_or_else(unknown));
    }
    match errno {
        Errno::PERM if !around.caller.may("SETUID") => Some(Hint::new(
            "without CAP_SETUID only the caller's own id can be mapped, and only as one range of one",
            "leave out --uidmap and --gidmap, or have subordinate ids and newuidmap(1) (izba doctor shows what is missing)",
        )),
        Errno::PERM => Some(Hint::new(
            "an id outside isn't mapped in the caller's own user namespace, or root is mapped without CAP_SETFCAP",
            "map ids that /proc/self/uid_map and /proc/self/gid_map have",
        )),
        Errno::INVAL => {
            Some(Hint::new("ranges overlap, are empty or too many", "compare them with user_namespaces(7)"))
        }
        _ => None,
    }
}

fn bind(source: &Path, errno: Errno) -> Option<Hint> {
    match errno {
        Errno::INVAL => Some(Hint::new(
            "the path is on a mount that the caller may not copy: it is in another mount namespace, unbindable, or has locked mounts below it",
            "name a path of the caller's own mount namespace; see its propagation with findmnt -o +PROPAGATION",
        )),
        Errno::PERM | Errno::ACCESS => {
            path::on_host(source, errno).or_else(|| Some(refusal::powerless(errno, &Circumstances::read())))
        }
        _ => path::on_host(source, errno),
    }
}

fn id_mapped(source: &Path) -> Hint {
    let around = Circumstances::read();
    if !around.initial || !around.caller.is_privileged() {
        return Hint::new(
            "only who is root over the file system may shift its ids: CAP_SYS_ADMIN in the user namespace that mounted it",
            "run izba as the host's root, or without idmap",
        );
    }
    Hint::new(
        format!(
            "the file system of {} doesn't have id-mapped mounts in this kernel, or it is one already",
            source.display()
        ),
        "keep it on ext4, xfs, btrfs or tmpfs, or run without --userns",
    )
}

/// The rules of setns(2).
fn join(kind: Kind, errno: Errno) -> Option<Hint> {
    let rule = match (errno, kind) {
        (Errno::ACCESS, _) => (
            "the caller may not look at that process (ptrace(2), PTRACE_MODE_READ)",
            "run izba as its user, join its user namespace as well (--join user=PID, or --user of izba ns enter), or run izba as root",
        ),
        (Errno::NOENT | Errno::SRCH, _) => ("the process has ended, or there is no such file", "look for it with lsns"),
        (Errno::PERM, Kind::User) => (
            "entering a user namespace takes CAP_SYS_ADMIN in it, which its creator's user has from outside",
            "run izba as that user, or as root",
        ),
        (Errno::PERM, Kind::Mount) => (
            "entering a mount namespace takes CAP_SYS_ADMIN and CAP_SYS_CHROOT here and CAP_SYS_ADMIN over its user namespace",
            "join the user namespace that owns it as well (--join user=PID, or --user of izba ns enter), or run izba as root",
        ),
        (Errno::PERM, _) => (
            "entering a namespace takes CAP_SYS_ADMIN here and over the user namespace that owns it",
            "join the user namespace that owns it as well (--join user=PID, or --user of izba ns enter), or run izba as root",
        ),
        (Errno::INVAL, Kind::User) => ("the caller is in that user namespace already", "leave out --join user"),
        (Errno::INVAL, Kind::Pid) => {
            ("a process can only enter PID namespaces below its own", "run izba in the PID namespace above it")
        }
        (Errno::INVAL, _) => {
            ("the file stands for a namespace of another kind, or for none", "compare it with readlink /proc/PID/ns/*")
        }
        _ => return None,
    };
    Some(Hint::new(rule.0, rule.1))
}

fn host_name(errno: Errno) -> Option<Hint> {
    match errno {
        Errno::PERM => Some(Hint::new(
            "the UTS namespace belongs to a user namespace in which the caller has no CAP_SYS_ADMIN",
            "let the UTS namespace be new, or join the user namespace that owns it",
        )),
        Errno::INVAL => Some(Hint::new("a host name has at most 64 bytes", "choose a shorter one")),
        _ => None,
    }
}

fn sysctl(name: &str, errno: Errno) -> Option<Hint> {
    match errno {
        Errno::NOENT => Some(Hint::new(
            format!("this kernel has no setting {name}, or the namespace that it belongs to doesn't show it"),
            "compare it with ls /proc/sys; a module may have to be loaded first",
        )),
        Errno::PERM | Errno::ACCESS | Errno::ROFS => Some(Hint::new(
            format!("{name} belongs to the whole machine, or to a namespace that is not new"),
            "let the namespace (net, ipc or uts) be new; settings of the whole machine can't be changed from inside",
        )),
        Errno::INVAL | Errno::RANGE => {
            Some(Hint::new("the kernel doesn't take this value", "see sysctl(8) and proc(5) for its form"))
        }
        _ => None,
    }
}

fn resource(errno: Errno, what: &str) -> Option<Hint> {
    if !matches!(errno, Errno::PERM | Errno::ACCESS) {
        return None;
    }
    let around = Circumstances::read();
    let who = if around.initial { "which the caller lacks" } else { "which no user namespace gives" };
    Some(Hint::new(
        format!("{what} with CAP_SYS_RESOURCE in the initial user namespace, {who}"),
        "ask for a value within the caller's own (ulimit -Ha, /proc/self/oom_score_adj), or start izba with the capability",
    ))
}

fn groups(errno: Errno) -> Option<Hint> {
    match errno {
        Errno::PERM => Some(Hint::new(
            "an ordinary user with one id only has to give setgroups(2) up to map its group: user_namespaces(7)",
            "leave out the supplementary groups, or have subordinate ids and newgidmap(1) (izba doctor shows what is missing)",
        )),
        Errno::INVAL => Some(Hint::new("one of the groups isn't mapped in the user namespace", "map it: --gidmap")),
        _ => None,
    }
}

fn unmapped(id: u32, errno: Errno) -> Option<Hint> {
    match errno {
        Errno::INVAL => Some(Hint::new(
            format!("id {id} isn't mapped in the user namespace"),
            "map it (--uidmap, --gidmap, or subordinate ids), or run as a mapped one (--user 0)",
        )),
        Errno::PERM => Some(Hint::new(
            format!("becoming id {id} takes CAP_SETUID and CAP_SETGID, which the caller lacks here"),
            "run izba as root, or with a user namespace",
        )),
        Errno::AGAIN => Some(Hint::new(
            format!("the user with id {id} has as many processes as RLIMIT_NPROC allows"),
            "end some, or raise the limit",
        )),
        _ => None,
    }
}
