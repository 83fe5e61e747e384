//! The intent: what is wanted, as plain typed data. Everything untrusted has been parsed and checked
//! before it becomes one of these types.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::capability::Capabilities;
use crate::cgroup::ControlGroup;
use crate::namespace::{Kind, Namespaces};
use crate::rlimit::Rlimit;
use crate::rootfs::{Mount, Root, SystemMounts};

/// A program and the house that it is to live in.
///
/// Made by the command line or by hand, read by [`crate::plan::Plan::new`]. It owns no descriptors and nothing
/// of the kernel's state, so it can be printed, compared and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The root file system.
    pub root: Root,
    /// Change the root with chroot(2) where pivot_root(2) can't be used (an initramfs). The old root stays
    /// reachable for a privileged program: never a security boundary.
    pub no_pivot: bool,
    /// Which namespaces are new, the caller's, or joined.
    pub namespaces: Namespaces,
    /// What is mounted at /proc, /dev and /sys.
    pub system: SystemMounts,
    /// Further mounts, in the order in which they are made.
    pub mounts: Vec<Mount>,
    /// Small files that are laid over the root: /etc/hosts and its like.
    pub files: Vec<ProvidedFile>,
    /// The host name, set with sethostname(2). Needs a new UTS namespace.
    pub hostname: Option<CString>,
    /// The NIS domain name, set with setdomainname(2). Needs a new UTS namespace.
    pub domainname: Option<CString>,
    /// Kernel settings, written to /proc/sys of the new namespaces.
    pub sysctls: Vec<Sysctl>,
    /// Its control groups: cgroups(7).
    pub cgroup: ControlGroup,
    /// A pidfd of the caller's. If its process has ended when all that is joined has been opened, the start fails with ESRCH: what was
    /// opened below /proc/PID could be another's of the same number.
    pub requires: Option<RawFd>,
    /// Namespaces of the program of which the caller gets descriptors: [`crate::parent::Child::take_namespaces`]. They keep the
    /// namespaces alive when the program has ended.
    pub handed_out: Vec<Kind>,
    /// The program.
    pub process: Process,
}

impl Sandbox {
    /// A program in a root, isolated as `izba run` does it for root by default: all namespaces new but user and time, /proc, /dev and
    /// /sys private, a small set of capabilities, no way to gain more. `program` is looked for at this one path. The fields are
    /// there to be changed; who isn't root needs a new user namespace:
    ///
    /// ```
    /// use izba_sandbox::idmap::IdMaps;
    /// use izba_sandbox::namespace::Namespace;
    /// use izba_sandbox::rootfs::{Root, Writes};
    /// use izba_sandbox::sandbox::Sandbox;
    ///
    /// let root = Root::Directory { path: "/srv/rootfs".into(), writes: Writes::Refused };
    /// let mut sandbox = Sandbox::new(root, c"/bin/sh", &[c"sh", c"-c", c"id"]);
    /// // User and group 1000 outside become root inside.
    /// sandbox.namespaces.user = Namespace::New(IdMaps::own_ids((0, 0), (1000, 1000)));
    /// ```
    pub fn new(root: Root, program: &CStr, args: &[&CStr]) -> Self {
        Self {
            root,
            no_pivot: false,
            namespaces: Namespaces::isolated(),
            system: SystemMounts::Private,
            mounts: Vec::new(),
            files: Vec::new(),
            hostname: None,
            domainname: None,
            sysctls: Vec::new(),
            cgroup: ControlGroup::Caller,
            requires: None,
            handed_out: Vec::new(),
            process: Process {
                candidates: vec![program.to_owned()],
                args: args.iter().map(|&arg| arg.to_owned()).collect(),
                env: Vec::new(),
                cwd: WorkingDirectory::Path(PathBuf::from("/")),
                user: User::Become(Ids::default()),
                capabilities: Capabilities::small(),
                no_new_privs: true,
                rlimits: Vec::new(),
                oom_score_adj: None,
                descriptors: Vec::new(),
                terminal: Terminal::Inherit,
                init: Init::Builtin,
            },
        }
    }
}

/// A file with the given content, readable by all, at a path of the new root.
///
/// An assembled root gets the file itself, and so does an overlay in place of a link that leads to nothing; over any other root it is
/// mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvidedFile {
    /// An absolute path in the new root.
    pub path: PathBuf,
    /// The whole content.
    pub content: Vec<u8>,
}

/// One setting below /proc/sys, see sysctl(8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// The path below /proc/sys, with slashes: `net/ipv4/ip_forward`.
    pub path: String,
    /// What is written.
    pub value: String,
}

/// The program that runs inside, and with what rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The paths to try in turn, as execvp(3) does: absolute in the new root, or with a slash and relative to `cwd`.
    pub candidates: Vec<CString>,
    /// The argument vector, the zeroth included.
    pub args: Vec<CString>,
    /// The environment, each `NAME=value`.
    pub env: Vec<CString>,
    /// The working directory.
    pub cwd: WorkingDirectory,
    /// The ids that it runs with.
    pub user: User,
    /// What stays in the bounding set (and, for root, in the effective and permitted ones); inheritable and ambient sets are
    /// emptied. Means nothing for [`User::Kept`].
    pub capabilities: Capabilities,
    /// PR_SET_NO_NEW_PRIVS: execve(2) grants no privileges, set-user-ID bits are ignored.
    pub no_new_privs: bool,
    /// Resource limits, setrlimit(2).
    pub rlimits: Vec<Rlimit>,
    /// /proc/self/oom_score_adj, -1000 to 1000.
    pub oom_score_adj: Option<i16>,
    /// The caller's descriptors above 2 that the program keeps, under the same numbers.
    pub descriptors: Vec<i32>,
    /// What its standard streams are.
    pub terminal: Terminal,
    /// Who is PID 1.
    pub init: Init,
}

/// Where the program starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkingDirectory {
    /// An absolute path in the root that the program gets.
    Path(PathBuf),
    /// Where the caller is; the root directory where that changes, by chroot(2) or by joining a mount namespace.
    Kept,
    /// A directory that is looked up before any namespace is joined: /proc/PID/cwd.
    Outside(PathBuf),
}

/// With what ids the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// With the ids, groups and capabilities that are there when all namespaces have been entered, as unshare(1) has it.
    Kept,
    /// With these.
    Become(Ids),
}

/// User and group ids as seen inside the new user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups. Can't be set where setgroups(2) is denied (an ordinary user with one id only).
    pub groups: Vec<u32>,
}

/// What the program's standard streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The caller's descriptors 0, 1 and 2, in a new session without a controlling terminal.
    Inherit,
    /// A new pseudo-terminal from the sandbox's own devpts, as the controlling terminal of a new session; its
    /// other end comes back in [`crate::parent::Child::take_terminal`].
    New {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
}

/// Who is PID 1 of a new PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// A small init of ours that reaps orphans, forwards signals and ends everything when the caller dies.
    Builtin,
    /// The program itself; our supervisor stays outside.
    Program,
}
