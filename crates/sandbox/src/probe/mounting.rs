//! File systems: which can this caller mount, each tried in a child's own namespaces.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::mount::{
    FsMountFlags, FsOpenFlags, MountAttributes, MountChange, MoveMountFlags, OpenTreeFlags, Propagation, fchdir,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_setattr, move_mount, open_tree,
};
use izba_sys::namespace::CloneFlags;
use izba_sys::path::{CWD, Mode, mkdirat};

use super::attempt::{Refused, in_child, way_in};
use super::refusal::{self, Circumstances};
use super::{Finding, Hint, State, text};
use crate::visibility;

/// One file system to try, and the namespace whose view it shows.
struct Trial {
    name: &'static str,
    namespaces: CloneFlags,
    work: &'static dyn Fn() -> Result<(), Errno>,
    otherwise: &'static str,
}

const NEWNS: CloneFlags = CloneFlags::NEWNS;

/// A new mount of each, as `izba run` needs it.
pub(super) fn findings(around: &Circumstances) -> Vec<Finding> {
    let user = way_in(&around.caller).contains(CloneFlags::NEWUSER);
    let overlay: &'static dyn Fn() -> Result<(), Errno> =
        if user { &|| mount_overlay(true) } else { &|| mount_overlay(false) };
    let trials = [
        Trial { name: "tmpfs", namespaces: NEWNS, work: &|| mount(c"tmpfs"), otherwise: "no root without it" },
        Trial { name: "proc", namespaces: NEWNS | CloneFlags::NEWPID, work: &|| mount(c"proc"), otherwise: BOUND },
        Trial {
            name: "sysfs",
            namespaces: NEWNS | CloneFlags::NEWNET,
            work: &|| mount_read_only(c"sysfs"),
            otherwise: BOUND,
        },
        Trial { name: "mqueue", namespaces: NEWNS | CloneFlags::NEWIPC, work: &|| mount(c"mqueue"), otherwise: BOUND },
        Trial { name: "devpts", namespaces: NEWNS, work: &|| mount(c"devpts"), otherwise: "no terminals without it" },
        Trial {
            name: "overlay",
            namespaces: NEWNS,
            work: overlay,
            otherwise: "no throw-away writes on a directory without it",
        },
    ];
    let mut findings: Vec<Finding> = trials.iter().map(|trial| finding(trial, around)).collect();
    findings.push(idmapped(around));
    findings
}

const BOUND: &str = "izba binds the caller's instead, where it can";

fn finding(trial: &Trial, around: &Circumstances) -> Finding {
    let essential = trial.name == "tmpfs";
    let state = if trial.otherwise == BOUND { State::Limited } else { State::Missing };
    let finding = match in_child(trial.namespaces | way_in(&around.caller), trial.work) {
        Ok(()) => Finding::works(trial.name, "can be mounted"),
        Err(Refused::Clone(_)) => Finding::new(trial.name, State::Missing, super::UNTRIED),
        Err(Refused::Within(errno)) => {
            let hint = explain(trial.name, errno, around);
            Finding::refused(
                trial.name,
                state,
                Hint::new(format!("{errno}: {}; {}", hint.cause, trial.otherwise), hint.remedy),
            )
        }
    };
    if essential { finding.essential() } else { finding }
}

/// Why a file system could not be mounted.
pub fn explain(fstype: &str, errno: Errno, around: &Circumstances) -> Hint {
    match errno {
        Errno::NODEV => Hint::new(
            format!("this kernel has no {fstype} file system, or its module isn't loaded"),
            format!("let root load it: modprobe {fstype}"),
        ),
        Errno::PERM if matches!(fstype, "proc" | "sysfs") => hidden(fstype),
        Errno::NOSPC => Hint::new(
            "the limit fs.mount-max of a mount namespace is reached",
            "let root raise it: sysctl fs.mount-max",
        ),
        Errno::BUSY if fstype == "overlay" => Hint::new(
            "its upper or work directory is in use by another overlay",
            "give each run a directory of its own",
        ),
        Errno::OVERFLOW => {
            Hint::new("the caller's own ids aren't mapped", "map the user and the group that izba runs as")
        }
        Errno::INVAL if around.chrooted == Some(true) => {
            Hint::new("the caller is in a chroot, whose root isn't a mount", "run izba outside of the chroot")
        }
        Errno::INVAL if fstype == "overlay" => Hint::new(
            "a layer is on a file system that overlayfs can't use (no xattrs, no d_type, or an overlay itself)",
            "keep the writes in memory, or put them on ext4, xfs, btrfs or tmpfs; dmesg names the layer",
        ),
        Errno::PERM | Errno::ACCESS => refusal::powerless(errno, around),
        _ => Hint::new("none of the known settings explains it", "look at dmesg"),
    }
}

/// mount_too_revealing() in the kernel: a new procfs must not show what the caller's own hides.
fn hidden(fstype: &str) -> Hint {
    let mountinfo = text("/proc/self/mountinfo");
    if visibility::fully_visible(&mountinfo, fstype, fstype == "sysfs") {
        let kind = if fstype == "proc" { "pid" } else { "net" };
        return Hint::new(
            format!("the {kind} namespace that a new {fstype} shows belongs to a user namespace outside"),
            format!("let the {kind} namespace be new too"),
        );
    }
    let over = visibility::hiding(&mountinfo, fstype);
    let what = match &over[..] {
        [] => format!("there is none that is whole{}", if fstype == "proc" { " and may be written" } else { "" }),
        [first] => format!("{first} hides a part of it"),
        [first, others @ ..] => format!("{first} and {} other mounts hide parts of it", others.len()),
    };
    Hint::new(
        format!("the caller's own {fstype} isn't fully visible, as in a container: {what}"),
        "start the container around izba with --security-opt unmask=ALL (Podman) or systempaths=unconfined (Docker)",
    )
}

/// A new mount, attached nowhere. Allocates nothing.
pub(super) fn new_mount(fstype: &CStr, attributes: MountAttributes) -> Result<OwnedFd, Errno> {
    let fs = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(fs.as_fd())?;
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Lays a mount over the root of the (own!) mount namespace, after cutting its ties to the others.
pub(super) fn attach_over_root(mount: &OwnedFd) -> Result<(), Errno> {
    let private = MountChange { set: MountAttributes::empty(), propagation: Some(Propagation::Private), idmap: None };
    mount_setattr(CWD, c"/", true, private)?;
    move_mount(mount, c"", CWD, c"/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn mount(fstype: &CStr) -> Result<(), Errno> {
    new_mount(fstype, MountAttributes::empty()).map(drop)
}

fn mount_read_only(fstype: &CStr) -> Result<(), Errno> {
    new_mount(fstype, MountAttributes::MOUNT_ATTR_RDONLY).map(drop)
}

/// An overlay of directories of a tmpfs. In a user namespace its marks are `user.` xattrs: overlayfs since Linux 5.11.
fn mount_overlay(user_xattr: bool) -> Result<(), Errno> {
    let tmpfs = new_mount(c"tmpfs", MountAttributes::empty())?;
    attach_over_root(&tmpfs)?;
    fchdir(&tmpfs)?;
    for name in [c"lower", c"upper", c"work"] {
        mkdirat(&tmpfs, name, Mode::RWXU)?;
    }
    let fs = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(fs.as_fd(), c"lowerdir", c"lower")?;
    fsconfig_set_string(fs.as_fd(), c"upperdir", c"upper")?;
    fsconfig_set_string(fs.as_fd(), c"workdir", c"work")?;
    if user_xattr {
        fsconfig_set_flag(fs.as_fd(), c"userxattr")?;
    }
    fsconfig_create(fs.as_fd())?;
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttributes::empty()).map(drop)
}

/// Can the ids of / be shifted by a mount? mount_setattr(2), "ID-mapped mounts".
fn idmapped(around: &Circumstances) -> Finding {
    let name = "id-mapped mounts";
    if !around.caller.is_privileged() || !around.initial {
        return Finding::new(
            name,
            State::Limited,
            "for the host's root only; others' ids are mapped by their user namespace",
        );
    }
    let Ok(sleeper) = super::attempt::user_namespace() else {
        return Finding::new(name, State::Missing, "no user namespace to take the map from");
    };
    match in_child(NEWNS, &|| shift_root(&sleeper)) {
        Ok(()) => Finding::works(name, "the root's file system has them"),
        Err(Refused::Within(Errno::INVAL)) => Finding::refused(
            name,
            State::Limited,
            Hint::new(
                "the root's file system doesn't have them: --userns works on others only",
                "keep root file systems on ext4, xfs, btrfs or tmpfs, or unpack them with the ids that are wanted",
            ),
        ),
        Err(Refused::Within(errno) | Refused::Clone(errno)) => {
            Finding::refused(name, State::Missing, explain("id-mapped", errno, around))
        }
    }
}

fn shift_root(user_namespace: &OwnedFd) -> Result<(), Errno> {
    let tree = open_tree(CWD, c"/", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let shift = MountChange { set: MountAttributes::empty(), propagation: None, idmap: Some(user_namespace.as_fd()) };
    mount_setattr(tree.as_fd(), c"", false, shift)
}
