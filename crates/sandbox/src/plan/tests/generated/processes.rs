//! Which process makes which call, and in which namespaces.

use super::*;

#[test]
fn the_parent_makes_the_parents_calls_and_the_child_none_of_them() {
    let parents = |call: &Call| {
        matches!(
            call,
            Call::WriteMap { .. }
                | Call::RunMapHelper { .. }
                | Call::OpenChildNamespace { .. }
                | Call::ReleaseChild { .. }
        )
    };
    let either = |call: &Call| {
        matches!(call, Call::OpenTree { from: At::Host(_), .. } | Call::MountSetattr { at: At::Slot(_), .. })
    };
    on_every_plan(|sandbox, _, plan| {
        assert!(outside(plan).into_iter().all(|call| parents(call) || either(call)));
        assert!(!inside(plan).into_iter().any(parents));
        if sandbox.namespaces.is_new(Kind::User) {
            let Some(Call::ReleaseChild { send }) = outside(plan).last().copied() else {
                panic!("the child is never let go")
            };
            let waits: Vec<&Call> =
                inside(plan).into_iter().filter(|call| matches!(call, Call::AwaitParent { .. })).collect();
            assert_eq!(waits, [&Call::AwaitParent { receive: send.clone() }]);
            assert_eq!(*inside(plan)[0], *waits[0], "before the ids are mapped nothing can be done");
        } else {
            assert!(outside(plan).is_empty());
        }
    });
}

#[test]
fn the_program_is_executed_last_and_once() {
    on_every_plan(|_, _, plan| {
        let calls = inside(plan);
        assert_eq!(calls.iter().filter(|call| matches!(call, Call::Exec)).count(), 1);
        assert_eq!(calls.last(), Some(&&Call::Exec));
    });
}

#[test]
fn exactly_the_wanted_namespaces_are_made_and_joined() {
    on_every_plan(|sandbox, _, plan| {
        let mut made = plan.clone_flags;
        let mut joined = CloneFlags::empty();
        for call in inside(plan) {
            match call {
                Call::Fork { namespaces, .. } | Call::Unshare(namespaces) => {
                    assert!((made & *namespaces).is_empty(), "made twice");
                    made |= *namespaces;
                }
                Call::Setns { kind, .. } => joined |= *kind,
                _ => {}
            }
        }
        let flags = |wanted: &dyn Fn(Kind) -> bool| {
            Kind::ALL
                .into_iter()
                .filter(|&kind| wanted(kind))
                .fold(CloneFlags::empty(), |flags, kind| flags | kind.clone_flag())
        };
        assert_eq!(made, flags(&|kind| sandbox.namespaces.is_new(kind)));
        assert_eq!(joined, flags(&|kind| sandbox.namespaces.joined(kind).is_some()));
    });
}

/// clone(2), EINVAL: a process that enters another time namespace shares no memory.
#[test]
fn memory_is_shared_only_with_a_child_in_the_same_time() {
    on_every_plan(|sandbox, _, plan| {
        let forks = forks(plan);
        let vforks = forks.iter().filter(|call| matches!(call, Call::Vfork)).count();
        assert!(vforks <= 1 && !forks.is_empty() && forks.len() <= 2);
        assert!(vforks == 0 || sandbox.namespaces.is_shared(Kind::Time));
        // Our init is PID 1 and ends everything with itself; elsewhere the kernel is asked to.
        let supervised = sandbox.namespaces.is_new(Kind::Pid) && sandbox.process.init == Init::Builtin;
        let last_fork = place(&inside(plan), |call| matches!(call, Call::Fork { .. } | Call::Vfork)).unwrap();
        let dies = place(&inside(plan), |call| *call == Call::DieWithParent);
        assert!(supervised || dies > Some(last_fork), "the program outlives its supervisor");
    });
}
