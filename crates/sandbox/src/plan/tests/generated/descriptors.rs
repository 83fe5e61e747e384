//! Every descriptor that a call uses is one that a call before it has opened.

use std::collections::BTreeSet;

use super::*;
use crate::call::Slot;

fn at(place: &At) -> Vec<Slot> {
    match place {
        At::Host(_) => Vec::new(),
        At::Slot(slot) | At::In(slot, _) => vec![*slot],
    }
}

/// The slots that a call needs. Without a wildcard: a new call has to say so here.
#[allow(clippy::too_many_lines, reason = "one line for each call")]
fn used(call: &Call) -> Vec<Slot> {
    match call {
        Call::OpenTree { from: what, .. }
        | Call::Open { at: what, .. }
        | Call::WriteSetting { at: what, .. }
        | Call::Chown { at: what, .. } => at(what),
        Call::MountSetattr { at: what, idmap, .. } => at(what).into_iter().chain(*idmap).collect(),
        Call::MoveMount { mount, target } => at(target).into_iter().chain([*mount]).collect(),
        Call::ReleaseChild { send } => send.clone(),
        Call::FsConfig { fs: slot, .. }
        | Call::FsCreate { fs: slot }
        | Call::FsMount { fs: slot, .. }
        | Call::RefuseFilesystem { slot, .. }
        | Call::RequireDevice { slot, .. }
        | Call::SendToParent { slot, .. }
        | Call::AttachTerminal { slot }
        | Call::Mkdir { dir: slot, .. }
        | Call::Mknod { dir: slot, .. }
        | Call::Symlink { dir: slot, .. }
        | Call::Unlink { dir: slot, .. }
        | Call::MakeFile { dir: slot, .. }
        | Call::Fchdir { dir: slot }
        | Call::WriteLimit { group: slot, .. }
        | Call::AttachDevices { group: slot, .. }
        | Call::Setns { namespace: slot, .. }
        | Call::OpenTerminal { master: slot, .. } => vec![*slot],
        Call::Fork { group, .. } => group.iter().copied().collect(),
        Call::FsOpen { .. }
        | Call::AwaitParent { .. }
        | Call::OpenChildNamespace { .. }
        | Call::PivotRoot
        | Call::DetachOldRoot
        | Call::Chroot
        | Call::SetHostname(_)
        | Call::SetDomainname(_)
        | Call::LoopbackUp
        | Call::Unshare(_)
        | Call::WriteMap { .. }
        | Call::RunMapHelper { .. }
        | Call::SetDumpable(_)
        | Call::HearOfChildren
        | Call::Announce
        | Call::ReplaceArguments(_)
        | Call::ClearUmask
        | Call::RestoreUmask
        | Call::MakeGroupAbove { .. }
        | Call::FillGroupAbove { .. }
        | Call::MakeGroup { .. }
        | Call::StartScope { .. }
        | Call::AttachToUnit { .. }
        | Call::Vfork
        | Call::RequireRunning { .. }
        | Call::DieWithParent
        | Call::Setsid
        | Call::NewSessionKeyring
        | Call::SetRlimit { .. }
        | Call::DropFromBoundingSet(_)
        | Call::SetGroups(_)
        | Call::SetGid(_)
        | Call::SetUid(_)
        | Call::ClearAmbient
        | Call::SetCapabilities(_)
        | Call::NoNewPrivs
        | Call::CloseOnExec
        | Call::KeepOverExec(_)
        | Call::RestoreSignals
        | Call::Exec => Vec::new(),
    }
}

/// The slots that a call fills. Where one is forgotten here, whoever uses it fails.
fn filled_by(call: &Call) -> Vec<Slot> {
    match call {
        Call::OpenTree { to, .. }
        | Call::FsOpen { to, .. }
        | Call::FsMount { to, .. }
        | Call::Open { to, .. }
        | Call::OpenChildNamespace { to, .. }
        | Call::MakeGroup { to, .. }
        | Call::StartScope { to, .. }
        | Call::OpenTerminal { to, .. } => vec![*to],
        Call::AwaitParent { receive } => receive.clone(),
        _ => Vec::new(),
    }
}

#[test]
fn every_slot_is_filled_before_it_is_used() {
    on_every_plan(|_, _, plan| {
        for calls in [before(plan), outside(plan), inside(plan)] {
            let mut filled = BTreeSet::new();
            for call in calls {
                let fills = filled_by(call);
                assert!(used(call).iter().all(|slot| filled.contains(slot)), "{call:?} uses what isn't there");
                assert!(fills.iter().all(|slot| usize::from(slot.0) < plan.slots.len()), "{call:?}");
                filled.extend(fills);
            }
        }
    });
}
