//! Plans whose root isn't new: what unshare(1) and nsenter(1) do.

use super::*;
use crate::namespace::Loopback;

/// `izba ns run` of these kinds.
fn unshared(kinds: &[Kind]) -> Sandbox {
    let mut sandbox = Sandbox::new(Root::Caller(CallerRoot::default()), c"/bin/sh", &[c"sh"]);
    sandbox.system = SystemMounts::None;
    sandbox.namespaces.net = Namespace::New(Loopback::Down);
    sandbox.namespaces.user = Namespace::New(IdMaps::none());
    Kind::ALL.into_iter().filter(|kind| !kinds.contains(kind)).for_each(|kind| sandbox.namespaces.share(kind));
    sandbox.process.user = User::Kept;
    sandbox.process.cwd = WorkingDirectory::Kept;
    sandbox.process.no_new_privs = false;
    sandbox.process.init = Init::Program;
    sandbox
}

fn kept(sandbox: &mut Sandbox) -> &mut CallerRoot {
    let Root::Caller(kept) = &mut sandbox.root else { panic!("a new root") };
    kept
}

#[test]
fn nothing_changes_that_is_not_asked_for() {
    let plan = plan(&unshared(&[Kind::Net]), &privileged());
    for call in
        ["mount(", "chroot(", "chdir(", "setresuid(", "capset(", "PR_CAPBSET_DROP", "PR_SET_NO_NEW_PRIVS", "ioctl("]
    {
        assert!(!has(&plan, call), "{call}: {:#?}", texts(&plan));
    }
    assert_eq!(plan.clone_flags, CloneFlags::NEWNET);
    assert!(plan.notes.is_empty());
}

#[test]
fn a_user_namespace_without_maps_has_none_written() {
    let bare = plan(&unshared(&[Kind::User]), &ordinary());
    assert!(!has(&bare, "uid_map") && !has(&bare, "gid_map") && !has(&bare, "setgroups"));
    let mut sandbox = unshared(&[Kind::User]);
    sandbox.namespaces.user = own_ids();
    let mapped = plan(&sandbox, &ordinary());
    assert!(has(&mapped, "uid_map") && has(&mapped, "setgroups"));
    assert!(!has(&mapped, "setresuid("), "who is mapped has its ids already");
}

#[test]
fn mounts_travel_as_it_is_said() {
    let mut sandbox = unshared(&[Kind::Mount]);
    assert!(!has(&plan(&sandbox, &privileged()), "mount_setattr("));
    kept(&mut sandbox).propagation = Some(Propagation::Slave);
    assert!(has(&plan(&sandbox, &privileged()), "MS_SLAVE"));
    sandbox.namespaces.share(Kind::Mount);
    assert!(refusal(&sandbox, &privileged()).problem.contains("mount namespace"));
}

#[test]
fn a_new_proc_is_mounted_by_a_process_of_the_new_namespace() {
    let mut sandbox = unshared(&[Kind::Mount, Kind::Pid]);
    *kept(&mut sandbox) = CallerRoot { propagation: Some(Propagation::Private), proc: true, chroot: None };
    let first = plan(&sandbox, &privileged());
    assert!(position(&first, "CLONE_NEWPID") < position(&first, "fsopen(\"proc\""));
    assert!(position(&first, "MS_PRIVATE") < position(&first, "move_mount("));
    let hidden = Facts { proc_fully_visible: false, ..privileged() };
    assert!(refusal(&sandbox, &hidden).problem.contains("/proc"));
    sandbox.namespaces.user = own_ids();
    sandbox.namespaces.share(Kind::Pid);
    assert!(refusal(&sandbox, &ordinary()).remedy.unwrap().contains("--pid"));
}

#[test]
fn what_is_outside_is_opened_before_anything_is_joined() {
    let mut sandbox = unshared(&[]);
    for kind in Kind::ALL {
        sandbox.namespaces.join(kind, format!("/proc/7/ns/{kind}").into());
    }
    kept(&mut sandbox).chroot = Some("/proc/7/root".into());
    sandbox.process.cwd = WorkingDirectory::Outside("/proc/7/cwd".into());
    sandbox.cgroup = joined_groups();
    sandbox.requires = Some(9);
    sandbox.handed_out = vec![Kind::Net];
    let plan = plan(&sandbox, &privileged());
    let joined = texts(&plan).iter().position(|text| text.starts_with("setns(")).unwrap();
    for opened in ["\"/proc/7/root\"", "\"/proc/7/cwd\"", "/cpu/a/tasks", "\"/proc/7/ns/time\"", "\"/proc\""] {
        assert!(position(&plan, opened) < joined, "{opened}");
    }
    let same = position(&plan, "pidfd_send_signal(9, 0");
    assert!(
        position(&plan, "\"/proc/7/ns/time\"") < same && same < joined,
        "it is the same process that all were opened of"
    );
    assert!(joined < position(&plan, "chroot(\".\")"));
    assert!(position(&plan, "chroot(\".\")") < position(&plan, "\"self/ns/net\""));
}

#[test]
fn a_root_without_terminals_gets_one_of_the_callers() {
    let mut sandbox = unshared(&[]);
    sandbox.namespaces.join(Kind::Mount, "/proc/7/ns/mnt".into());
    sandbox.process.terminal = Terminal::New { rows: 1, columns: 2 };
    let inner = plan(&sandbox, &privileged());
    assert!(position(&inner, "setns(") < position(&inner, "/dev/ptmx"));
    let outer = plan(&sandbox, &Facts { has_terminals: false, ..privileged() });
    assert!(position(&outer, "/dev/ptmx") < position(&outer, "setns("));
}
