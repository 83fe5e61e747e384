//! Plans whose namespaces are shared, joined or refused, and what that means for the rest.

use super::*;

/// Every kind but user and mount, each with what a shared one changes.
#[test]
fn a_shared_namespace_is_neither_made_nor_changed() {
    for kind in [Kind::Pid, Kind::Net, Kind::Ipc, Kind::Uts, Kind::Cgroup, Kind::Time] {
        let mut sandbox = sandbox();
        sandbox.namespaces.share(kind);
        sandbox.hostname = None;
        let plan = plan(&sandbox, &privileged());
        assert!(!plan.clone_flags.contains(kind.clone_flag()), "{kind}");
        assert!(!has(&plan, &format!("unshare({})", kind.clone_flag().names())), "{kind}");
        assert_eq!(has(&plan, "SIOCSIFFLAGS"), kind != Kind::Net, "{kind}");
        assert_eq!(has(&plan, "PR_SET_PDEATHSIG"), kind == Kind::Pid, "{kind}");
        assert_eq!(plan.notes.iter().any(|note| note.contains("PID namespace is shared")), kind == Kind::Pid, "{kind}");
        assert!(has(&plan, "fsopen(\"proc\"") && has(&plan, "fsopen(\"sysfs\""), "root may mount them anew: {kind}");
    }
}

/// A new user namespace doesn't own what is shared: the caller's mounts are bound instead, with the same masks.
#[test]
fn what_a_user_namespace_does_not_own_is_bound() {
    for (kind, path, fstype) in
        [(Kind::Pid, "/proc", "proc"), (Kind::Net, "/sys", "sysfs"), (Kind::Ipc, "/dev/mqueue", "mqueue")]
    {
        let mut sandbox = with_user(own_ids());
        sandbox.namespaces.share(kind);
        let plan = plan(&sandbox, &ordinary());
        assert!(copied(&inside(&plan)).contains(&path.to_owned()), "{kind}");
        assert!(!has(&plan, &format!("fsopen(\"{fstype}\"")), "{kind}");
        assert!(titles(&plan).contains(&"hide /proc/kcore") && titles(&plan).contains(&"hide /sys/firmware"), "{kind}");
    }
}

#[test]
fn a_bound_sys_is_read_only_and_inert() {
    let mut sandbox = with_user(own_ids());
    sandbox.namespaces.share(Kind::Net);
    let plan = plan(&sandbox, &ordinary());
    let flags = "{attr_set=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC";
    assert!(
        has(&plan, &format!("mount_setattr({{the caller's /sys}}, \"\", AT_EMPTY_PATH|AT_RECURSIVE, {flags}")),
        "{:#?}",
        texts(&plan)
    );
}

#[test]
fn without_a_mqueue_to_bind_there_is_none() {
    let mut sandbox = with_user(own_ids());
    sandbox.namespaces.share(Kind::Ipc);
    let plan = plan(&sandbox, &Facts { host_mqueue: false, ..ordinary() });
    assert!(!has(&plan, "mqueue"));
}

#[test]
fn a_masked_proc_is_refused_with_the_option_that_helps() {
    let masked = Facts { proc_fully_visible: false, ..ordinary() };
    let error = refusal(&with_user(own_ids()), &masked);
    assert!(error.problem.contains("/proc") && error.problem.contains("hidden"), "{error}");
    assert!(error.remedy.unwrap().contains("--share pid"));
    let mut shared = with_user(own_ids());
    shared.namespaces.share(Kind::Pid);
    assert!(copied(&inside(&plan(&shared, &masked))).contains(&"/proc".to_owned()));
}

#[test]
fn a_masked_sysfs_is_bound() {
    let plan = plan(&with_user(own_ids()), &Facts { sysfs_fully_visible: false, ..ordinary() });
    assert!(copied(&inside(&plan)).contains(&"/sys".to_owned()) && !has(&plan, "fsopen(\"sysfs\""));
}

#[test]
fn a_root_without_a_mount_namespace_is_refused() {
    for mount in [Namespace::Share, Namespace::Join("/proc/7/ns/mnt".into())] {
        let mut sandbox = sandbox();
        sandbox.namespaces.mount = mount;
        assert!(refusal(&sandbox, &privileged()).problem.contains("mount namespace"));
        sandbox.root = Root::Caller(CallerRoot::default());
        sandbox.system = SystemMounts::None;
        let plan = plan(&sandbox, &privileged());
        assert!(!has(&plan, "move_mount(") && !has(&plan, "pivot_root(") && !has(&plan, "mount_setattr("));
    }
}

#[test]
fn the_host_name_of_others_is_not_changed() {
    let mut sandbox = sandbox();
    sandbox.namespaces.share(Kind::Uts);
    assert!(refusal(&sandbox, &privileged()).remedy.unwrap().contains("host name"));
    sandbox.hostname = None;
    sandbox.domainname = Some(c"nis".to_owned());
    assert!(refusal(&sandbox, &privileged()).problem.contains("UTS"));
}

#[test]
fn joined_namespaces_are_all_opened_before_the_first_is_entered() {
    let mut sandbox = sandbox();
    for kind in [Kind::Net, Kind::Ipc, Kind::Pid] {
        sandbox.namespaces.join(kind, format!("/proc/7/ns/{kind}").into());
    }
    let plan = plan(&sandbox, &privileged());
    let calls = inside(&plan);
    let last_open = calls
        .iter()
        .rposition(|call| matches!(call, Call::Open { at: At::Host(path), .. } if starts(path, "/proc/7")))
        .unwrap();
    let first_join = calls.iter().position(|call| matches!(call, Call::Setns { .. })).unwrap();
    assert!(last_open < first_join);
    // Only a child enters a PID namespace that was joined.
    assert_eq!(forks(&plan), [&Call::Fork { namespaces: CloneFlags::empty(), group: None }]);
    assert!(position(&plan, "setns(") < position(&plan, "clone3("));
}

fn starts(path: &CStr, prefix: &str) -> bool {
    path.to_bytes().starts_with(prefix.as_bytes())
}

#[test]
fn a_joined_user_namespace_owns_what_is_made_new() {
    for (facts, first) in [(privileged(), false), (ordinary(), true)] {
        let mut sandbox = sandbox();
        sandbox.namespaces.join(Kind::User, "/proc/7/ns/user".into());
        sandbox.namespaces.join(Kind::Uts, "/proc/7/ns/uts".into());
        sandbox.hostname = None;
        let plan = plan(&sandbox, &facts);
        assert_eq!(plan.clone_flags, CloneFlags::empty());
        let made = CloneFlags::NEWNS | CloneFlags::NEWPID | CloneFlags::NEWNET | CloneFlags::NEWIPC;
        assert_eq!(forks(&plan)[0], &Call::Fork { namespaces: made, group: None });
        let user = position(&plan, "setns({user namespace}, CLONE_NEWUSER)");
        assert_eq!(
            user < position(&plan, "setns({uts namespace}, CLONE_NEWUTS)"),
            first,
            "who has rights enters it last"
        );
    }
}

#[test]
fn a_time_namespace_is_set_before_it_is_entered_and_shares_no_memory() {
    let mut sandbox = sandbox();
    sandbox.namespaces.time = Namespace::New(ClockOffsets { monotonic: 5, boottime: -7 });
    let plan = plan(&sandbox, &privileged());
    let made = position(&plan, "unshare(CLONE_NEWTIME)");
    assert!(texts(&plan)[made + 1].contains("/proc/self/timens_offsets"));
    assert!(texts(&plan)[made + 1].contains("monotonic 5 0\\nboottime -7 0\\n"));
    assert_eq!(forks(&plan), [&Call::Fork { namespaces: CloneFlags::empty(), group: None }]);
    assert!(!plan.clone_flags.contains(CloneFlags::NEWTIME));
}
