//! Plans of user namespaces: whose ids are mapped, and by whom.

use super::*;

#[test]
fn an_ordinary_user_maps_its_own_id_with_no_helper() {
    let plan = plan(&with_user(own_ids()), &ordinary());
    let expected = [
        Call::WriteMap { file: "setgroups", content: b"deny".to_vec() },
        Call::WriteMap { file: "uid_map", content: b"0 1000 1\n".to_vec() },
        Call::WriteMap { file: "gid_map", content: b"0 1000 1\n".to_vec() },
        Call::ReleaseChild { send: Vec::new() },
    ];
    assert_eq!(outside(&plan), expected.iter().collect::<Vec<_>>());
    assert_eq!(*inside(&plan)[0], Call::AwaitParent { receive: Vec::new() });
    assert!(plan.clone_flags.contains(CloneFlags::NEWUSER));
    assert!(!has(&plan, "setgroups("), "denied");
    assert!(!has(&plan, "mknodat("), "devices can't be made");
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let opened = position(&plan, &format!("open_tree(AT_FDCWD, \"/dev/{device}\""));
        assert!(texts(&plan)[opened + 1].starts_with("fstat("), "{device} is checked as soon as it is open");
    }
    assert!(!has(&plan, "\"gid\", \"5\""), "the tty group isn't mapped");
}

#[test]
fn a_full_range_is_mapped_by_the_helpers() {
    let plan = plan(&with_user(range(100_000, MapWriter::Helpers)), &ordinary());
    let args = ["0", "100000", "65536"].map(String::from).to_vec();
    assert_eq!(*outside(&plan)[0], Call::RunMapHelper { helper: "newuidmap", args: args.clone() });
    assert_eq!(*outside(&plan)[1], Call::RunMapHelper { helper: "newgidmap", args });
    assert!(has(&plan, "setgroups(0, [])") && has(&plan, "\"gid\", \"5\""));
    // Its own id isn't mapped, so it would make files that belong to nobody.
    assert!(position(&plan, "setresgid(0, 0, 0)") < position(&plan, "mount_setattr(AT_FDCWD, \"/\""));
    assert!(titles(&plan).contains(&"become root of the user namespace"));
}

#[test]
fn who_keeps_a_mapped_id_takes_none_for_set_up() {
    assert!(!titles(&plan(&with_user(own_ids()), &ordinary())).contains(&"become root of the user namespace"));
}

#[test]
fn in_a_user_namespace_of_root_the_parent_copies_the_mounts() {
    let mut sandbox = with_user(range(100_000, MapWriter::Direct));
    let bind = |target: &str, idmap| Mount {
        target: target.into(),
        source: MountSource::Bind { path: "/data".into(), directory: true, recursive: true, idmap },
        attributes: MountAttributes::MOUNT_ATTR_RDONLY,
    };
    sandbox.mounts = vec![bind("/shifted", true), bind("/as-it-is", false)];
    let plan = plan(&sandbox, &privileged());
    assert_eq!(copied(&outside(&plan)), ["/data", "/data", "/srv/root"]);
    assert!(copied(&inside(&plan)).iter().all(|path| path.starts_with("/dev/")), "{:?}", copied(&inside(&plan)));
    let changes: Vec<_> = outside(&plan)
        .into_iter()
        .filter_map(|call| match call {
            Call::MountSetattr { propagation, idmap, .. } => Some((*propagation, idmap.is_some())),
            _ => None,
        })
        .collect();
    let private = Some(Propagation::Private);
    assert_eq!(changes, [(private, true), (private, false), (private, true)]);
    let opened = outside(&plan).iter().filter(|call| matches!(call, Call::OpenChildNamespace { .. })).count();
    assert_eq!(opened, 1, "opened once for all");
    sent_is_received(&plan, 3);
    assert!(titles(&plan).contains(&"become root of the user namespace"));
}

#[track_caller]
fn sent_is_received(plan: &Plan, count: usize) {
    let Some(Call::ReleaseChild { send }) = outside(plan).last().copied() else { panic!("{:?}", outside(plan)) };
    let Call::AwaitParent { receive } = inside(plan)[0] else { panic!("{:?}", inside(plan)[0]) };
    assert_eq!((send, send.len()), (receive, count));
}
