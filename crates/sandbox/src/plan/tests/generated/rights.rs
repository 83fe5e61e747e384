//! Which rights are given up, in which order, and what of the caller the program never gets.

use std::collections::BTreeSet;

use super::*;
use crate::capability::Capability;

/// CVE-2022-29162, 2022-27650.
#[test]
fn rights_are_given_up_in_the_right_order() {
    on_every_plan(|sandbox, facts, plan| {
        let calls = inside(plan);
        if sandbox.process.user == User::Kept {
            return kept_rights_are_left_alone(sandbox, &calls);
        }
        let forked = place(&calls, |call| matches!(call, Call::Fork { .. } | Call::Vfork)).unwrap();
        let groups = place(&calls, |call| matches!(call, Call::SetGroups(_))).filter(|&groups| groups > forked);
        let gid = place(&calls, |call| matches!(call, Call::SetGid(_))).filter(|&gid| gid > forked);
        let uid = place(&calls, |call| matches!(call, Call::SetUid(_))).filter(|&uid| uid > forked);
        let dropped = place(&calls, |call| matches!(call, Call::DropFromBoundingSet(_)));
        let held = place(&calls, |call| matches!(call, Call::SetCapabilities(_))).unwrap();
        let ambient = place(&calls, |call| matches!(call, Call::ClearAmbient)).unwrap();
        assert!(groups.is_none() || groups < gid);
        assert_eq!(gid.is_some(), uid.is_some());
        assert!(uid.is_none() || (gid < uid && dropped < uid && uid < Some(held)));
        assert!(forked < ambient && ambient < held);
        let locked = place(&calls, |call| matches!(call, Call::NoNewPrivs));
        assert_eq!(locked.is_some(), sandbox.process.no_new_privs);
        assert!(locked.is_none() || locked > Some(held));
        if uid.is_some() {
            let denied = match &sandbox.namespaces.user {
                Namespace::New(maps) => maps.deny_setgroups,
                Namespace::Join(_) => facts.joined_denies_setgroups,
                Namespace::Share => false,
            };
            let denied = denied || facts.denies_setgroups;
            assert_eq!(groups.is_none(), denied, "groups are left as they were only where the kernel leaves no choice");
        }
        capabilities_are_those_asked_for(sandbox, facts, &calls);
    });
}

fn kept_rights_are_left_alone(sandbox: &Sandbox, calls: &[&Call]) {
    let changes = |call: &&&Call| {
        matches!(
            call,
            Call::SetGid(_)
                | Call::SetUid(_)
                | Call::SetCapabilities(_)
                | Call::ClearAmbient
                | Call::DropFromBoundingSet(_)
        )
    };
    assert_eq!(calls.iter().find(changes), None);
    // But for groups that no member of the joined user namespace may give up.
    let groups = calls.iter().filter(|call| matches!(call, Call::SetGroups(_))).count();
    assert!(groups == 0 || (groups == 1 && sandbox.namespaces.joined(Kind::User).is_some()));
    let locked = place(calls, |call| matches!(call, Call::NoNewPrivs));
    assert_eq!(locked.is_some(), sandbox.process.no_new_privs);
}

fn capabilities_are_those_asked_for(sandbox: &Sandbox, facts: &Facts, calls: &[&Call]) {
    // A user namespace starts with a full bounding set: capabilities(7).
    let available = if sandbox.namespaces.is_shared(Kind::User) { facts.bounding } else { Capabilities::all() };
    let kept = sandbox.process.capabilities.intersection(available);
    let held = calls.iter().find_map(|call| match call {
        Call::SetCapabilities(bits) => Some(*bits),
        _ => None,
    });
    let holds = if sandbox.namespaces.is_shared(Kind::User) { kept.intersection(facts.effective) } else { kept };
    let is_root = matches!(sandbox.process.user, User::Become(Ids { uid: 0, .. }));
    assert_eq!(held, Some(if is_root { holds.bits() } else { 0 }));
    let dropped: BTreeSet<u8> = calls
        .iter()
        .filter_map(|call| match call {
            Call::DropFromBoundingSet(number) => Some(*number),
            _ => None,
        })
        .collect();
    let known = available.iter().filter(|&one| !kept.contains(one)).map(Capability::number);
    let too_many: BTreeSet<u8> = known.chain(facts.unknown_capabilities.iter().copied()).collect();
    let may = !sandbox.namespaces.is_shared(Kind::User) || facts.may("SETPCAP");
    assert_eq!(dropped, if may { too_many } else { BTreeSet::new() });
}

/// CVE-2016-9962, CVE-2024-21626, CVE-2017-5226.
#[test]
fn nobody_looks_in_and_nothing_gets_out() {
    on_every_plan(|sandbox, _, plan| {
        let calls = inside(plan);
        let hidden = calls.iter().position(|call| **call == Call::SetDumpable(false));
        let mounted = calls.iter().position(|call| {
            matches!(
                call,
                Call::Setns { .. } | Call::MoveMount { .. } | Call::OpenTree { .. } | Call::Fork { .. } | Call::Vfork
            )
        });
        assert!(hidden.is_some() && hidden < mounted);
        let changed = place(&calls, |call| matches!(call, Call::SetUid(_)));
        assert!(place(&calls, |call| *call == Call::SetDumpable(false)) > changed, "a change of ids takes it back");
        let forked = place(&calls, |call| matches!(call, Call::Fork { .. } | Call::Vfork));
        let bound = place(&calls, |call| *call == Call::DieWithParent).filter(|bound| Some(*bound) > forked);
        assert!(bound.is_none() || bound > changed, "so it does with the signal at the parent's death");
        assert!(!calls.contains(&&Call::SetDumpable(true)));
        let forked = place(&calls, |call| matches!(call, Call::Fork { .. } | Call::Vfork)).unwrap();
        let closed = place(&calls, |call| *call == Call::CloseOnExec).unwrap();
        assert!(forked < closed);
        let kept: Vec<i32> = calls[closed..]
            .iter()
            .filter_map(|call| match call {
                Call::KeepOverExec(fd) => Some(*fd),
                _ => None,
            })
            .collect();
        assert_eq!(kept, sandbox.process.descriptors);
        assert!(forked < place(&calls, |call| *call == Call::Setsid).unwrap());
        assert!(forked < place(&calls, |call| *call == Call::NewSessionKeyring).unwrap());
        assert!(forked < place(&calls, |call| *call == Call::RestoreSignals).unwrap());
        let directory = place(&calls, |call| matches!(call, Call::Fchdir { .. }));
        let kept = sandbox.process.cwd == WorkingDirectory::Kept;
        assert!(kept || directory > Some(forked), "the working directory is set last, in the root");
    });
}
