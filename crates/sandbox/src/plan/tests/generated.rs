//! What holds for every plan, shown on thousands of generated intents. The generator is deterministic, so a failure repeats;
//! its number is in the message.

use std::collections::BTreeSet;

use super::*;
use crate::call::{Resolve, Slot};
use crate::capability::Capability;

const PLANS: u64 = 6000;

/// xorshift64*: Vigna 2016.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next()).unwrap() % from.len()].clone()
    }

    fn some<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        from.iter().filter(|_| self.one_in(3)).cloned().collect()
    }
}

fn any_namespaces(random: &mut Random) -> Namespaces {
    let mut namespaces = Namespaces::isolated();
    namespaces.user = match random.next() % 4 {
        0 => Namespace::Share,
        1 => own_ids(),
        2 => range(100_000, MapWriter::Helpers),
        _ => range(0, MapWriter::Direct),
    };
    if random.one_in(4) {
        namespaces.time = Namespace::New(ClockOffsets { monotonic: 1, boottime: 2 });
    }
    for kind in Kind::ALL {
        match random.next() % 8 {
            0 => namespaces.share(kind),
            1 => namespaces.join(kind, format!("/proc/7/ns/{kind}").into()),
            _ => {}
        }
    }
    namespaces
}

fn any_root(random: &mut Random) -> Root {
    let path = PathBuf::from("/srv/root");
    let entries = vec![
        Entry::Bind { source: "/usr".into(), path: "/usr".into(), directory: true },
        Entry::Bind { source: "/etc/fstab".into(), path: "/etc/a/fstab".into(), directory: false },
        Entry::Symlink { target: "usr/bin".into(), path: "/bin".into() },
        Entry::Directory { path: "/tmp".into(), mode: 0o1777, owner: None },
    ];
    match random.next() % 7 {
        0 => Root::Caller(any_caller_root(random)),
        1 | 2 => Root::Assembled { entries, size: 1 << 20 },
        3 => Root::Directory { path, writes: Writes::Refused },
        4 => Root::Directory { path, writes: Writes::DiscardedFromMemory { size: 1 << 20 } },
        5 => Root::Directory { path, writes: Writes::DiscardedFromDisk { dir: "/scratch".into() } },
        _ => Root::Directory { path, writes: Writes::InPlace },
    }
}

fn any_caller_root(random: &mut Random) -> CallerRoot {
    CallerRoot {
        chroot: random.pick(&[None, Some("/proc/7/root".into())]),
        propagation: random.pick(&[None, Some(Propagation::Slave)]),
        proc: random.one_in(3),
    }
}

fn any_mounts(random: &mut Random) -> Vec<Mount> {
    let tmpfs = MountSource::Filesystem {
        fstype: "tmpfs".into(),
        source: "tmpfs".into(),
        options: vec![("size".into(), Some("1m".into())), ("ro".into(), None)],
    };
    let shifted = MountSource::Bind { path: "/data".into(), directory: true, recursive: false, idmap: true };
    let mounts = [
        bind("/work", "/home/ann", true),
        bind("/work/deep/file", "/etc/motd", false),
        Mount { target: "/a/b".into(), source: tmpfs, attributes: MountAttributes::MOUNT_ATTR_NOSUID },
        Mount { target: "/data".into(), source: shifted, attributes: MountAttributes::MOUNT_ATTR_RDONLY },
        bind("/proc/sys/kernel/x", "/etc/motd", false),
    ];
    random.some(&mounts)
}

fn any_process(random: &mut Random) -> Process {
    let mut process = sandbox().process;
    process.user = User::Become(Ids {
        uid: random.pick(&[0, 1000]),
        gid: random.pick(&[0, 1000]),
        groups: random.some(&[5, 60, 61]),
    });
    if random.one_in(4) {
        process.user = User::Kept;
    }
    process.cwd = random.pick(&[
        WorkingDirectory::Path("/work".into()),
        WorkingDirectory::Path("/".into()),
        WorkingDirectory::Kept,
        WorkingDirectory::Outside("/proc/7/cwd".into()),
    ]);
    process.capabilities = random.pick(&[Capabilities::NONE, Capabilities::small(), Capabilities::all()]);
    process.no_new_privs = !random.one_in(3);
    process.descriptors = random.some(&[3, 9]);
    process.terminal = random.pick(&[Terminal::Inherit, Terminal::New { rows: 1, columns: 2 }]);
    process.init = random.pick(&[Init::Builtin, Init::Builtin, Init::Program]);
    process.oom_score_adj = random.pick(&[None, Some(5)]);
    process.rlimits = random.some(&["nofile=5:6".parse().unwrap(), "core=0".parse().unwrap()]);
    process
}

fn any_sandbox(random: &mut Random) -> Sandbox {
    let namespaces = any_namespaces(random);
    Sandbox {
        root: any_root(random),
        no_pivot: random.one_in(8),
        system: random.pick(&[SystemMounts::Private, SystemMounts::Private, SystemMounts::Caller, SystemMounts::None]),
        mounts: any_mounts(random),
        files: random.some(
            &["/etc/hosts", "/etc/hostname"].map(|path| ProvidedFile { path: path.into(), content: b"x\n".to_vec() }),
        ),
        hostname: namespaces.is_new(Kind::Uts).then(|| c"box".to_owned()),
        domainname: None,
        sysctls: random.some(&[Sysctl { path: "kernel/domainname".into(), value: "x".into() }]),
        cgroups: random.some(&["/sys/fs/cgroup/a/cgroup.procs".into()]),
        requires: random.pick(&[None, Some(7)]),
        handed_out: random.some(&[Kind::Net, Kind::Pid]),
        process: any_process(random),
        namespaces,
    }
}

fn any_facts(random: &mut Random, sandbox: &Sandbox) -> Facts {
    let mut facts = random.pick(&[privileged(), ordinary()]);
    facts.initial_user_namespace = !random.one_in(4);
    facts.proc_fully_visible = !random.one_in(4);
    facts.sysfs_fully_visible = !random.one_in(4);
    facts.host_mqueue = !random.one_in(4);
    facts.bounding = random.pick(&[Capabilities::all(), Capabilities::all(), Capabilities::small()]);
    facts.root.writable = !random.one_in(3);
    facts.denies_setgroups = random.one_in(8);
    facts.joined_denies_setgroups = random.one_in(2);
    facts.joined_has_root = !random.one_in(4);
    facts.has_terminals = random.one_in(2);
    let wanted = sandbox.mounts.iter().map(|mount| &mount.target).chain(sandbox.files.iter().map(|file| &file.path));
    let targets: Vec<PathBuf> = wanted.cloned().chain(["/proc", "/dev", "/sys"].map(PathBuf::from)).collect();
    for target in targets {
        let depth = target.iter().count() - 1;
        let known = usize::try_from(random.next()).unwrap() % (depth + 1);
        facts.root.existing.insert(target, if random.one_in(2) { depth } else { known });
    }
    facts
}

/// Runs a check on every plan that there is; how many there were must stay high.
fn on_every_plan(check: impl Fn(&Sandbox, &Facts, &Plan)) {
    let mut plans = 0;
    for number in 1..=PLANS {
        let mut random = Random(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let sandbox = any_sandbox(&mut random);
        let facts = any_facts(&mut random, &sandbox);
        if let Ok(plan) = Plan::new(&sandbox, &facts) {
            plans += 1;
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&sandbox, &facts, &plan)));
            assert!(checked.is_ok(), "plan {number}: {sandbox:#?}\n{facts:#?}\n{:#?}", texts(&plan));
        }
    }
    assert!(plans > PLANS / 3, "only {plans} intents could be planned: the generator has lost its use");
}

/// The slots that a call needs, and those that it fills. Without a wildcard: a new call has to say so here.
#[allow(clippy::too_many_lines, reason = "one line for each call")]
fn slots_of(call: &Call) -> (Vec<Slot>, Vec<Slot>) {
    let at = |at: &At| match at {
        At::Host(_) => Vec::new(),
        At::Slot(slot) | At::In(slot, _) => vec![*slot],
    };
    match call {
        Call::OpenTree { from, to, .. } => (at(from), vec![*to]),
        Call::FsOpen { to, .. } => (Vec::new(), vec![*to]),
        Call::FsConfig { fs, .. } | Call::FsCreate { fs } => (vec![*fs], Vec::new()),
        Call::FsMount { fs, to, .. } => (vec![*fs], vec![*to]),
        Call::MountSetattr { at: what, idmap, .. } => (at(what).into_iter().chain(*idmap).collect(), Vec::new()),
        Call::MoveMount { mount, target } => (at(target).into_iter().chain([*mount]).collect(), Vec::new()),
        Call::Open { at: what, to, .. } => (at(what), vec![*to]),
        Call::WriteSetting { at: what, .. } | Call::Chown { at: what, .. } => (at(what), Vec::new()),
        Call::RefuseFilesystem { slot, .. }
        | Call::RequireDevice { slot, .. }
        | Call::SendToParent { slot, .. }
        | Call::AttachTerminal { slot } => (vec![*slot], Vec::new()),
        Call::Mkdir { dir, .. }
        | Call::Mknod { dir, .. }
        | Call::Symlink { dir, .. }
        | Call::Unlink { dir, .. }
        | Call::MakeFile { dir, .. }
        | Call::Fchdir { dir } => (vec![*dir], Vec::new()),
        Call::Setns { namespace, .. } => (vec![*namespace], Vec::new()),
        Call::AwaitParent { receive } => (Vec::new(), receive.clone()),
        Call::OpenChildNamespace { to, .. } => (Vec::new(), vec![*to]),
        Call::ReleaseChild { send } => (send.clone(), Vec::new()),
        Call::OpenTerminal { master, to, .. } => (vec![*master], vec![*to]),
        Call::PivotRoot
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
        | Call::Fork { .. }
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
        | Call::Exec => (Vec::new(), Vec::new()),
    }
}

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

#[test]
fn every_slot_is_filled_before_it_is_used() {
    on_every_plan(|_, _, plan| {
        for calls in [outside(plan), inside(plan)] {
            let mut filled = BTreeSet::new();
            for call in calls {
                let (used, fills) = slots_of(call);
                assert!(used.iter().all(|slot| filled.contains(slot)), "{call:?} uses what isn't there");
                assert!(fills.iter().all(|slot| usize::from(slot.0) < plan.slots.len()), "{call:?}");
                filled.extend(fills);
            }
        }
    });
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
                let callers = plan.slots[usize::from(dir.0)] == super::super::caller::CALLERS_PROC;
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

fn place(calls: &[&Call], wanted: impl Fn(&Call) -> bool) -> Option<usize> {
    calls.iter().rposition(|call| wanted(call))
}

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

#[test]
fn exactly_the_wanted_namespaces_are_made_and_joined() {
    on_every_plan(|sandbox, _, plan| {
        let mut made = plan.clone_flags;
        let mut joined = CloneFlags::empty();
        for call in inside(plan) {
            match call {
                Call::Fork { namespaces } | Call::Unshare(namespaces) => {
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

#[test]
fn a_plan_is_a_pure_function_and_every_call_has_a_text() {
    on_every_plan(|sandbox, facts, plan| {
        assert_eq!(Plan::new(sandbox, facts).as_ref(), Ok(plan));
        assert!(texts(plan).iter().all(|text| text.contains('(') || text.starts_with("new")), "{:#?}", texts(plan));
        assert!(!texts(plan).iter().any(|text| text.contains("{?}")), "{:#?}", texts(plan));
    });
}
