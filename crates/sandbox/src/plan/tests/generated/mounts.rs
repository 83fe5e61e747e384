//! What is mounted, from where, and that nothing of it leads out.

use super::*;
use crate::call::{Resolve, Slot};

fn host_path(call: &Call) -> Option<&CStr> {
    match call {
        Call::OpenTree { from: At::Host(path), .. }
        | Call::MountSetattr { at: At::Host(path), .. }
        | Call::MoveMount { target: At::Host(path), .. }
        | Call::Open { at: At::Host(path), .. }
        | Call::WriteSetting { at: At::Host(path), .. } => Some(path),
        _ => None,
    }
}

/// The two that are documented: the staging area over the old /proc, the new root over the old "/".
#[test]
fn no_path_of_the_host_is_used_once_the_root_is_open() {
    on_every_plan(|sandbox, _, plan| {
        if sandbox.root.is_callers() {
            return;
        }
        let calls = inside(plan);
        let is_source =
            |call: &&Call| matches!(call, Call::OpenTree { from: At::Host(_), .. } | Call::AwaitParent { .. });
        let opened = calls.iter().rposition(is_source).unwrap_or(0);
        let staged =
            calls.iter().position(|call| matches!(call, Call::FsOpen { fstype, .. } if fstype.as_bytes() == b"tmpfs"));
        assert!(staged.is_some());
        let end = calls.iter().position(|call| matches!(call, Call::PivotRoot | Call::Chroot)).unwrap();
        let named: Vec<&Call> =
            calls[opened + 1..end].iter().copied().filter(|call| host_path(call).is_some()).collect();
        let attached: Vec<&[u8]> = named
            .iter()
            .filter(|call| matches!(call, Call::MoveMount { .. }))
            .filter_map(|call| host_path(call).map(CStr::to_bytes))
            .collect();
        assert_eq!(attached, [b"/proc".as_slice(), b"/"]);
        let others = named.iter().filter(|call| !matches!(call, Call::MoveMount { .. }));
        // An assembled root of directories only opens nothing of the host's, so that making "/" private comes after.
        assert!(
            others.into_iter().all(|call| matches!(
                call,
                Call::MountSetattr { propagation: Some(Propagation::Private), .. }
            ) || matches!(call, Call::WriteSetting { .. } | Call::Open { .. })
                && calls.iter().position(|known| std::ptr::eq(*known, *call)) < staged),
            "{named:?}"
        );
    });
}

#[test]
fn the_root_is_the_last_thing_that_is_opened_on_the_host() {
    on_every_plan(|sandbox, _, plan| {
        if let Root::Directory { path, .. } = &sandbox.root {
            let copied = [copied(&outside(plan)), copied(&inside(plan))];
            let holder =
                copied.iter().find(|paths| paths.iter().any(|copied| path.as_os_str() == copied.as_str())).unwrap();
            assert_eq!(holder.last().map(String::as_str), path.to_str());
        }
    });
}

#[test]
fn in_the_root_links_never_lead_out() {
    on_every_plan(|_, _, plan| {
        for call in inside(plan) {
            if let Call::Open { at: At::In(dir, _), resolve, .. } = call {
                let callers = plan.slots[usize::from(dir.0)] == super::super::super::caller::CALLERS_PROC;
                assert!(!callers || *resolve == Resolve::Freely, "the caller's own procfs is no root");
                if callers {
                    continue;
                }
                assert_ne!(*resolve, Resolve::Freely, "{call:?}");
            }
        }
    });
}

#[test]
fn propagation_is_cut_before_anything_is_mounted() {
    on_every_plan(|sandbox, _, plan| {
        let calls = inside(plan);
        let first = calls
            .iter()
            .position(|call| matches!(call, Call::MoveMount { .. } | Call::FsMount { .. } | Call::OpenTree { .. }));
        let private = calls.iter().position(|call| {
            matches!(call, Call::MountSetattr { at: At::Host(path), recursive: true, propagation: Some(Propagation::Private), .. } if path.as_bytes() == b"/")
        });
        assert!(sandbox.root.is_callers() || private.is_some());
        assert!(sandbox.root.is_callers() || first.is_none() || private < first);
        // What the parent copies is a peer of its source until it is cut off.
        for (index, call) in outside(plan).iter().enumerate() {
            if let Call::OpenTree { to, .. } = call {
                let cut = |next: &&Call| matches!(next, Call::MountSetattr { at: At::Slot(slot), propagation: Some(Propagation::Private), .. } if slot == to);
                assert!(outside(plan)[index + 1..].iter().take(2).any(cut), "{call:?}");
            }
        }
    });
}

#[test]
fn every_wanted_mount_is_made_with_its_attributes() {
    on_every_plan(|sandbox, _, plan| {
        if sandbox.root.is_callers() {
            return;
        }
        for mount in &sandbox.mounts {
            let name = format!("mount for {}", mount.target.display());
            let slot = Slot(u16::try_from(plan.slots.iter().position(|slot| *slot == name).unwrap()).unwrap());
            let calls = inside(plan);
            let attached =
                calls.iter().position(|call| matches!(call, Call::MoveMount { mount, .. } if *mount == slot)).unwrap();
            let protected = calls[..attached].iter().any(|call| match call {
                Call::MountSetattr { at: At::Slot(at), set, recursive: true, .. } => {
                    *at == slot && set.contains(mount.attributes)
                }
                Call::FsMount { to, attributes, .. } => *to == slot && attributes.contains(mount.attributes),
                _ => false,
            });
            assert!(protected || mount.attributes.is_empty(), "{mount:?}");
        }
        for file in &sandbox.files {
            assert!(plan.inside.iter().any(|step| step.title == format!("provide {}", file.path.display())));
        }
    });
}

#[test]
fn devices_of_a_foreign_root_are_dead() {
    on_every_plan(|sandbox, _, plan| {
        if sandbox.system != SystemMounts::Private || sandbox.root.is_callers() {
            return;
        }
        let calls = inside(plan);
        let attached = calls.iter().find_map(|call| match call {
            Call::MoveMount { mount, target: At::Host(path) } if path.as_bytes() == b"/" => Some(*mount),
            _ => None,
        });
        let root = attached.unwrap();
        let dead = calls.iter().any(|call| match call {
            Call::MountSetattr { at: At::Slot(slot), set, .. } => {
                *slot == root && set.contains(MountAttributes::MOUNT_ATTR_NODEV)
            }
            Call::FsMount { to, attributes, .. } => {
                *to == root && attributes.contains(MountAttributes::MOUNT_ATTR_NODEV)
            }
            _ => false,
        });
        assert!(dead);
    });
}

#[test]
fn the_new_root_replaces_the_old_one_whole() {
    on_every_plan(|sandbox, _, plan| {
        let calls = inside(plan);
        let pivot = place(&calls, |call| *call == Call::PivotRoot);
        assert_eq!(pivot.is_some(), !sandbox.root.is_callers() && !sandbox.no_pivot);
        if let Some(pivot) = pivot {
            assert!(matches!(calls[pivot - 1], Call::Fchdir { .. }));
            assert_eq!(calls[pivot + 1], &Call::DetachOldRoot);
            let mounted_later =
                calls[pivot..].iter().any(|call| matches!(call, Call::MoveMount { .. } | Call::OpenTree { .. }));
            assert!(!mounted_later);
        }
        let chroot = place(&calls, |call| *call == Call::Chroot);
        let wanted = match &sandbox.root {
            Root::Caller(kept) => kept.chroot.is_some(),
            _ => sandbox.no_pivot,
        };
        assert_eq!(chroot.is_some(), wanted);
    });
}
