//! What this machine, its kernel and the wanted root offer: everything that a plan depends on beside the intent,
//! as plain data, so that planning is a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use izba_sys::credential::{self, CapabilitySet};
use izba_sys::path::{Access, AtFlags, CWD, FileType, Mode, OFlags, accessat, openat, openat2, stat};

use crate::call::Resolve;
use crate::capability::{Capabilities, Capability};
use crate::cgroup::{ControlGroup, Layout, is_frozen};
use crate::contents::{self, Contents, Door};
use crate::idmap::{IdMap, IdRange};
use crate::mountinfo::{self, MountLine};
use crate::namespace::Kind;
use crate::rootfs::{Root, SystemMounts, Writes};
use crate::sandbox::{Sandbox, Terminal};
use crate::survey::{Id, identify, open_namespace};
use crate::visibility;

/// Paths of /proc and /sys that leak or harm: hidden. The list that OCI engines share.
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths of /proc that may be read but not written.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What a plan depends on beside the intent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// The caller's effective capabilities.
    pub effective: Capabilities,
    /// The caller's bounding set.
    pub bounding: Capabilities,
    /// The numbers of the kernel's capabilities that this version doesn't know.
    pub unknown_capabilities: Vec<u8>,
    /// Is the caller in the initial user namespace, where devices can be made?
    pub initial_user_namespace: bool,
    /// Would the kernel mount a new procfs in a new user namespace?
    pub proc_fully_visible: bool,
    /// The same for sysfs.
    pub sysfs_fully_visible: bool,
    /// Which of the paths to hide or write-protect this kernel has; a directory is marked.
    pub guarded: Vec<Guarded>,
    /// Has the caller a mqueue mount that can be bound?
    pub host_mqueue: bool,
    /// Has the caller's user namespace given setgroups(2) up, and with it all below? user_namespaces(7)
    pub denies_setgroups: bool,
    /// Has the user namespace that is to be joined given it up?
    pub joined_denies_setgroups: bool,
    /// Are user 0 and group 0 mapped in it?
    pub joined_has_root: bool,
    /// Has a root that isn't new a /dev/ptmx to open terminals with?
    pub has_terminals: bool,
    /// The hierarchies of control groups, if a new group is wanted.
    pub cgroups: Layout,
    /// The cgroup v2 group that the sandbox would be in or below, if that is frozen: whoever started there would wait for ever.
    pub frozen_group: Option<PathBuf>,
    /// What is known of the root directory.
    pub root: RootFacts,
}

/// A path of /proc or /sys that is hidden or write-protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Absolute.
    pub path: String,
    /// Is it a directory?
    pub directory: bool,
    /// Hidden, or only write-protected?
    pub hidden: bool,
}

/// What is known of the root directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootFacts {
    /// For each place where something is to be mounted, how many components of its path exist already.
    pub existing: BTreeMap<PathBuf, usize>,
    /// Those whose last component is a link that leads to nothing.
    pub dangling: BTreeSet<PathBuf>,
    /// Those in whose nearest existing directory the caller may make nothing, and whether no link leads there.
    pub closed: BTreeMap<PathBuf, bool>,
    /// What is mounted below the root directory, where an overlay would hide it.
    pub submounts: Vec<String>,
    /// May the caller make what is missing?
    pub writable: bool,
}

impl Facts {
    /// Looks at the machine, as far as `sandbox` makes it matter.
    ///
    /// # Errors
    /// The root can't be opened or isn't a directory.
    pub fn gather(sandbox: &Sandbox) -> io::Result<Self> {
        let initial = Id::own(Kind::User).is_some_and(Id::is_initial);
        // The kernel judges by the user namespace that owns the new mount namespace, and trusts the initial one.
        let judged = !initial || !sandbox.namespaces.is_shared(Kind::User);
        let mounts =
            if judged { mountinfo::read(Path::new("/proc/self/mountinfo")).unwrap_or_default() } else { String::new() };
        let private = sandbox.system == SystemMounts::Private;
        let joined = sandbox.namespaces.joined(Kind::User).map(JoinedUser::look);
        Ok(Self {
            uid: credential::geteuid().as_raw(),
            gid: credential::getegid().as_raw(),
            effective: effective_capabilities(),
            bounding: bounding_set(),
            unknown_capabilities: unknown_capabilities(),
            initial_user_namespace: initial,
            proc_fully_visible: !judged || visibility::fully_visible(&mounts, "proc", false),
            sysfs_fully_visible: !judged || visibility::fully_visible(&mounts, "sysfs", true),
            guarded: if private { guarded_paths() } else { Vec::new() },
            host_mqueue: Path::new("/dev/mqueue").is_dir(),
            denies_setgroups: !initial && JoinedUser::look(Path::new("/proc/self/ns/user")).denies_setgroups,
            joined_denies_setgroups: joined.is_some_and(|joined| joined.denies_setgroups),
            joined_has_root: joined.is_none_or(|joined| joined.has_root),
            has_terminals: has_terminals(sandbox),
            cgroups: match &sandbox.cgroup {
                ControlGroup::New(new) => Layout::look(new),
                ControlGroup::Caller | ControlGroup::Joined(_) | ControlGroup::Attached { .. } => Layout::default(),
            },
            frozen_group: sandbox.cgroup.named().filter(|group| is_frozen(group)),
            root: root_facts(sandbox)?,
        })
    }

    /// Does the caller hold this capability over its own user namespace?
    pub fn may(&self, capability: &str) -> bool {
        capability.parse::<Capability>().is_ok_and(|capability| self.effective.contains(capability))
    }
}

/// Looked for only where a terminal is wanted. In a mount namespace that no process stands for it is there, most likely.
fn has_terminals(sandbox: &Sandbox) -> bool {
    let Root::Caller(kept) = &sandbox.root else { return true };
    if sandbox.process.terminal == Terminal::Inherit {
        return true;
    }
    let joined = sandbox.namespaces.joined(Kind::Mount).filter(|path| path.ends_with("ns/mnt"));
    let of_process = joined.and_then(|path| path.ancestors().nth(2)).map(|process| process.join("root"));
    let root = kept.chroot.clone().or(of_process);
    root.is_none_or(|root| has_ptmx(&root))
}

/// In the root, whose links may be meant to lead out of it.
fn has_ptmx(root: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = openat(CWD, root, flags, Mode::empty()) else { return false };
    openat2(&root, "dev/ptmx", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), Resolve::InRoot.flags()).is_ok()
}

fn effective_capabilities() -> Capabilities {
    credential::capabilities(None).map_or(Capabilities::NONE, |sets| Capabilities::from_bits(bits(sets.effective)))
}

fn bits(set: CapabilitySet) -> u64 {
    set.bits()
}

fn bounding_set() -> Capabilities {
    Capability::all().filter(|capability| credential::in_bounding_set(capability.number()) == Ok(true)).collect()
}

/// A newer kernel has capabilities that this version has no name for.
fn unknown_capabilities() -> Vec<u8> {
    let first = u8::try_from(Capability::all().count()).unwrap_or(u8::MAX);
    (first..64).take_while(|&number| credential::in_bounding_set(number).is_ok()).collect()
}

/// What counts of a user namespace for who joins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedUser {
    /// Has it given setgroups(2) up?
    pub denies_setgroups: bool,
    /// Are user 0 and group 0 mapped?
    pub has_root: bool,
}

impl JoinedUser {
    /// Looks at the user namespace that this path leads to. Where nothing can be learnt it is an ordinary one with a root.
    pub fn look(namespace: &Path) -> Self {
        let usual = Self { denies_setgroups: false, has_root: true };
        if namespace.ends_with("ns/user") {
            // Its files stand beside it; of one that a file elsewhere stands for somebody has to go and look.
            let process = namespace.parent().and_then(Path::parent);
            return process.and_then(Self::of_process).unwrap_or(usual);
        }
        let id = open_namespace(namespace).ok().and_then(|opened| identify(opened.as_fd()).ok());
        match id.and_then(|id| contents::read(id, &Door::Path(namespace.to_owned()), &[], &[]).ok()) {
            Some(Contents::User(user)) => {
                let has_root = |map: &[IdRange]| map.iter().any(|range| range.inside == 0);
                Self { denies_setgroups: !user.setgroups, has_root: has_root(&user.uids) && has_root(&user.gids) }
            }
            _ => usual,
        }
    }

    fn of_process(dir: &Path) -> Option<Self> {
        let read = |name| std::fs::read_to_string(dir.join(name)).ok();
        let has_root = |name| {
            let map: Option<IdMap> = read(name)?.parse().ok();
            Some(map.is_none_or(|map| map.outside_of(0).is_some()))
        };
        let has_root = has_root("uid_map")? && has_root("gid_map")?;
        Some(Self { denies_setgroups: read("setgroups")?.trim() == "deny", has_root })
    }
}

/// A new procfs or sysfs has the same fixed entries as the caller's, so the caller's is asked.
fn guarded_paths() -> Vec<Guarded> {
    let hidden = MASKED.iter().map(|&path| (path, true));
    let kept = READ_ONLY.iter().map(|&path| (path, false));
    hidden
        .chain(kept)
        .filter_map(|(path, hidden)| {
            let mode = stat(path).ok()?.st_mode;
            let directory = FileType::from_raw_mode(mode) == FileType::Directory;
            Some(Guarded { path: path.to_owned(), directory, hidden })
        })
        .collect()
}

fn root_facts(sandbox: &Sandbox) -> io::Result<RootFacts> {
    let Root::Directory { path, writes } = &sandbox.root else {
        return Ok(RootFacts::default());
    };
    let root = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let existing: BTreeMap<_, _> =
        targets(sandbox).into_iter().map(|target| (target.clone(), existing_components(&root, &target))).collect();
    let missing = existing.iter().filter(|(target, count)| **count + 1 < target.iter().count());
    let dangling = missing.map(|(target, _)| target).filter(|target| is_link(&root, target)).cloned().collect();
    let closed =
        existing.iter().filter_map(|(target, count)| Some((target.clone(), is_closed(&root, target, *count)?)));
    Ok(RootFacts {
        closed: closed.collect(),
        dangling,
        submounts: if *writes == Writes::InPlace { Vec::new() } else { submounts(&root) },
        writable: *writes == Writes::InPlace && writable(&root),
        existing,
    })
}

/// Every place where something is mounted or a file provided.
fn targets(sandbox: &Sandbox) -> Vec<PathBuf> {
    let system = match sandbox.system {
        SystemMounts::None => &[][..],
        SystemMounts::Private | SystemMounts::Caller => &["/proc", "/dev", "/sys"],
    };
    let system = system.iter().map(PathBuf::from);
    let mounts = sandbox.mounts.iter().map(|mount| mount.target.clone());
    let files = sandbox.files.iter().map(|file| file.path.clone());
    system.chain(mounts).chain(files).collect()
}

/// Is what leads nowhere a link itself?
fn is_link(root: &OwnedFd, target: &Path) -> bool {
    let flags = OFlags::NOFOLLOW | OFlags::PATH | OFlags::CLOEXEC;
    openat2(root, in_root(target), flags, Mode::empty(), Resolve::InRoot.flags()).is_ok()
}

/// Is it missing, and may the caller make nothing in the nearest directory that exists? If so, has that no link in its path?
/// What is right below the root isn't judged: an overlay gives the root a directory of its own.
fn is_closed(root: &OwnedFd, target: &Path, existing: usize) -> Option<bool> {
    if existing == 0 || existing + 1 >= target.iter().count() {
        return None;
    }
    let nearest: PathBuf = target.iter().skip(1).take(existing).collect();
    let open = |resolve: Resolve| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(root, &nearest, flags, Mode::empty(), resolve.flags())
    };
    let dir = open(Resolve::InRoot).ok()?;
    (!writable(&dir)).then(|| open(Resolve::NoLinks).is_ok())
}

/// The mount points below the root directory.
fn submounts(root: &OwnedFd) -> Vec<String> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd())).unwrap_or_default();
    let mountinfo = mountinfo::read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let points = mountinfo.lines().filter_map(MountLine::parse).map(|line| line.point);
    points.filter(|point| Path::new(point).starts_with(&path) && Path::new(point) != path).map(str::to_owned).collect()
}

/// A path relative to the root.
fn in_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// How many leading components of an absolute path exist in the root.
fn existing_components(root: &OwnedFd, target: &Path) -> usize {
    let relative: Vec<&std::ffi::OsStr> = target.iter().skip(1).collect();
    (0..=relative.len())
        .rev()
        .find(|&count| {
            let path: PathBuf = relative[..count].iter().collect();
            count == 0
                || openat2(root, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), Resolve::InRoot.flags()).is_ok()
        })
        .unwrap_or(0)
}

/// May the caller make entries there? As the kernel would judge: read-only mounts and access rights are both seen.
fn writable(root: &OwnedFd) -> bool {
    accessat(root, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}
