//! The vocabulary of a plan: one variant for one kernel call, with everything that it needs prepared.

mod text;

use std::ffi::CString;
use std::path::PathBuf;

use izba_sys::mount::{MountAttributes, Propagation};
use izba_sys::namespace::CloneFlags;
use izba_sys::path::{OFlags, ResolveFlags};
use izba_sys::rlimit::Resource;

use crate::cgroup::Controller;
use crate::cgroup::device::Program;
use crate::cgroup::systemd::{Address, Property, Slice};

/// A place in the table of descriptors that the calls of a plan fill and use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(crate) u16);

/// What a call works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A path in the caller's root: used before the new root is opened. After that only for the two places over which the staging
    /// area and the new root are attached.
    Host(CString),
    /// What a slot holds.
    Slot(Slot),
    /// A path relative to what a slot holds.
    In(Slot, CString),
}

/// What is sent to the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The outer end of the terminal.
    Terminal,
    /// A namespace, in the order in which they are wanted.
    Namespace,
}

/// How an in-root path may be resolved: openat2(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// As the caller's own paths are.
    Freely,
    /// The same without magic links, which lead out of a root through somebody's descriptors.
    NoMagicLinks,
    /// Links are followed inside the root, magic links refused.
    InRoot,
    /// The same without leaving the root's own mount: where something is made, links must not lead into what the user has mounted.
    InRootMount,
    /// No link at all: for /proc, /sys and /dev, whose place a hostile root must not choose.
    NoLinks,
}

impl Resolve {
    pub(crate) fn flags(self) -> ResolveFlags {
        match self {
            Self::Freely => ResolveFlags::empty(),
            Self::NoMagicLinks => ResolveFlags::NO_MAGICLINKS,
            Self::InRootMount => Self::InRoot.flags() | ResolveFlags::NO_XDEV,
            Self::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            Self::NoLinks => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS,
        }
    }
}

/// A scope that systemd is to make for the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartScope {
    pub bus: Address,
    pub slice: Option<Slice>,
    pub unit: String,
    pub description: String,
    pub properties: Vec<Property>,
    /// Where the cgroup v2 hierarchy is mounted.
    pub top: PathBuf,
}

/// One kernel call, or the one call over D-Bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// open_tree(2) with OPEN_TREE_CLONE: a detached copy of a mount.
    OpenTree { from: At, recursive: bool, to: Slot },
    /// fsopen(2)
    FsOpen { fstype: CString, to: Slot },
    /// fsconfig(2) with FSCONFIG_SET_STRING, or FSCONFIG_SET_FLAG where there is no value.
    FsConfig { fs: Slot, key: CString, value: Option<CString> },
    /// fsconfig(2) with FSCONFIG_CMD_CREATE
    FsCreate { fs: Slot },
    /// fsmount(2): a detached mount.
    FsMount { fs: Slot, attributes: MountAttributes, to: Slot },
    /// mount_setattr(2)
    MountSetattr {
        at: At,
        recursive: bool,
        set: MountAttributes,
        propagation: Option<Propagation>,
        idmap: Option<Slot>,
    },
    /// move_mount(2)
    MoveMount { mount: Slot, target: At },
    /// openat2(2)
    Open { at: At, flags: OFlags, resolve: Resolve, to: Slot },
    /// fstatfs(2) of what has been opened: a file system of this magic is refused.
    RefuseFilesystem { slot: Slot, magic: u64 },
    /// fstat(2) of what has been opened: it has to be this character device.
    RequireDevice { slot: Slot, major: u32, minor: u32 },
    /// mkdirat(2); that it exists is no error.
    Mkdir { dir: Slot, path: CString, mode: u32 },
    /// mknodat(2) of a character device.
    Mknod { dir: Slot, name: CString, mode: u32, major: u32, minor: u32 },
    /// symlinkat(2)
    Symlink { target: CString, dir: Slot, path: CString },
    /// unlinkat(2); that it doesn't exist is no error.
    Unlink { dir: Slot, name: CString },
    /// openat(2) with O_CREAT|O_EXCL and write(2). That it exists is no error where nothing is to be written.
    MakeFile { dir: Slot, path: CString, mode: u32, content: Vec<u8> },
    /// openat2(2) without links, and write(2): a setting of the kernel's.
    WriteSetting { at: At, content: Vec<u8> },
    /// fchownat(2); no group leaves it as it is.
    Chown { at: At, uid: u32, gid: Option<u32> },
    /// fchdir(2)
    Fchdir { dir: Slot },
    /// pivot_root(".", ".")
    PivotRoot,
    /// umount2(".", MNT_DETACH)
    DetachOldRoot,
    /// chroot(".")
    Chroot,
    /// sethostname(2)
    SetHostname(CString),
    /// setdomainname(2)
    SetDomainname(CString),
    /// SIOCSIFFLAGS: sets lo up.
    LoopbackUp,
    /// setns(2)
    Setns { namespace: Slot, kind: CloneFlags },
    /// unshare(2)
    Unshare(CloneFlags),
    /// Waits until the parent has done its steps; descriptors that it sends go to these slots.
    AwaitParent { receive: Vec<Slot> },
    /// In the parent: mkdir(2) of a group above the new one; that it exists is no error.
    MakeGroupAbove { path: CString },
    /// In the parent: read(2) of a file of a group above the new one, and write(2) if it is empty.
    FillGroupAbove { file: CString, content: Vec<u8> },
    /// In the parent: mkdir(2) of a group that must not exist yet, for these v1 controllers or, without any, in the cgroup v2 hierarchy.
    MakeGroup { path: CString, controllers: Vec<Controller>, to: Slot },
    /// In the parent: has systemd make a scope and put the child into it, and opens the scope's group.
    StartScope { scope: Box<StartScope>, to: Slot },
    /// In the parent: has systemd put the child into a group of this unit's.
    AttachToUnit { bus: Address, unit: String, below: String },
    /// In the parent: openat2(2) without links, and write(2), of a group's files, as many as there are of them. One has to be there where it is
    /// `required`.
    WriteLimit { group: Slot, files: Vec<(CString, Vec<u8>)>, required: bool },
    /// In the parent: bpf(2), BPF_PROG_LOAD and BPF_PROG_ATTACH: which devices may be used in the group.
    AttachDevices { group: Slot, program: Program },
    /// In the parent: writes the child's /proc/PID/setgroups, uid_map or gid_map.
    WriteMap { file: &'static str, content: Vec<u8> },
    /// In the parent: runs newuidmap(1) or newgidmap(1) for the child.
    RunMapHelper { helper: &'static str, args: Vec<String> },
    /// In the parent: opens a namespace of the child's.
    OpenChildNamespace { kind: &'static str, to: Slot },
    /// In the parent: sends what slots hold and lets the child go on.
    ReleaseChild { send: Vec<Slot> },
    /// Sends what a slot holds to the parent.
    SendToParent { slot: Slot, what: Sent },
    /// prctl(PR_SET_DUMPABLE): may the process be traced and its /proc files be opened by others of its user?
    SetDumpable(bool),
    /// rt_sigaction(SIGCHLD, SIG_DFL): who ignores it has its children reaped by the kernel, and doesn't learn how they ended.
    HearOfChildren,
    /// prctl(PR_SET_NAME), and the same name in place of the caller's arguments, which may hold secrets.
    ReplaceArguments(CString),
    /// umask(2), keeping the one before for [`Call::RestoreUmask`].
    ClearUmask,
    /// umask(2) with the caller's own mask.
    RestoreUmask,
    /// ioctl(TIOCSPTLCK), ioctl(TIOCGPTPEER), ioctl(TIOCSWINSZ): from a master, its slave.
    OpenTerminal { master: Slot, to: Slot, rows: u16, columns: u16 },
    /// dup3(2) to 0, 1 and 2, and ioctl(TIOCSCTTY).
    AttachTerminal { slot: Slot },
    /// clone3(2): the child goes on with the plan, the calling process stays as its supervisor. With CLONE_INTO_CGROUP where a slot holds a
    /// group.
    Fork { namespaces: CloneFlags, group: Option<Slot> },
    /// clone(2) with CLONE_VM|CLONE_VFORK: the same, in memory that is shared until the child executes.
    Vfork,
    /// pidfd_send_signal(2) with signal 0: ESRCH where the process of this descriptor of the caller's has ended.
    RequireRunning { pidfd: i32 },
    /// prctl(PR_SET_PDEATHSIG, SIGKILL)
    DieWithParent,
    /// setsid(2)
    Setsid,
    /// keyctl(KEYCTL_JOIN_SESSION_KEYRING); a kernel without keyrings is no error.
    NewSessionKeyring,
    /// prlimit64(2)
    SetRlimit { resource: Resource, soft: Option<u64>, hard: Option<u64> },
    /// prctl(PR_CAPBSET_DROP)
    DropFromBoundingSet(u8),
    /// setgroups(2)
    SetGroups(Vec<u32>),
    /// setresgid(2)
    SetGid(u32),
    /// setresuid(2)
    SetUid(u32),
    /// prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    ClearAmbient,
    /// capset(2): effective and permitted; the inheritable set is emptied.
    SetCapabilities(u64),
    /// prctl(PR_SET_NO_NEW_PRIVS)
    NoNewPrivs,
    /// close_range(2) with CLOSE_RANGE_CLOEXEC: no descriptor above 2 passes to the program.
    CloseOnExec,
    /// fcntl(F_SETFD): a descriptor of the caller's stays open over execve(2).
    KeepOverExec(i32),
    /// rt_sigprocmask(2) with the caller's mask, and SIGPIPE's default action.
    RestoreSignals,
    /// Tells the parent that all but the execution is done.
    Announce,
    /// execve(2), each candidate in turn as execvp(3) does.
    Exec,
}
