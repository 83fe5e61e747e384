//! Plans of root file systems: mount points, overlays, provided files, and how the old root is left.

use super::*;

#[test]
fn missing_mount_points_are_made_where_that_is_possible() {
    let mut facts = privileged();
    facts.root.existing = existing(&[("/proc", 0), ("/dev", 1), ("/sys", 1)]);
    let plan = plan(&sandbox(), &facts);
    assert!(position(&plan, "mkdirat({parent}, \"proc\", 0755)") < position(&plan, "openat2({root}, \"proc\""));
    assert!(!has(&plan, "overlay"));
}

#[test]
fn missing_parents_are_made_one_by_one() {
    let mut sandbox = sandbox();
    sandbox.mounts = vec![bind("/a/b/c/file", "/etc/fstab", false)];
    let mut facts = privileged();
    facts.root.existing.insert("/a/b/c/file".into(), 1);
    let plan = plan(&sandbox, &facts);
    let made: Vec<String> = texts(&plan).into_iter().filter(|call| call.contains("({parent},")).collect();
    assert_eq!(
        made,
        [
            "mkdirat({parent}, \"b\", 0755)",
            "mkdirat({parent}, \"c\", 0755)",
            "openat({parent}, \"file\", O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0644)",
        ]
    );
}

/// Where nothing can be made an overlay has them; there is no third way in which they could be left out.
#[test]
fn missing_mount_points_come_from_an_overlay_where_nothing_can_be_made() {
    let mut sandbox = sandbox();
    sandbox.files = vec![ProvidedFile { path: "/etc/hosts".into(), content: b"x".to_vec() }];
    for (writes, writable) in [(Writes::InPlace, false), (Writes::Refused, false), (Writes::Refused, true)] {
        sandbox.root = Root::Directory { path: "/srv/root".into(), writes };
        let mut facts = privileged();
        facts.root = RootFacts {
            existing: existing(&[("/proc", 0), ("/dev", 1), ("/sys", 1), ("/etc/hosts", 0)]),
            writable,
            ..RootFacts::default()
        };
        let plan = plan(&sandbox, &facts);
        assert!(has(&plan, "\"upperdir\", \"upper\""));
        assert!(has(&plan, "mkdirat({parent}, \"proc\", 0755)") && has(&plan, "mkdirat({parent}, \"etc\", 0755)"));
        assert!(has(&plan, "openat({parent}, \"hosts\", O_WRONLY|O_CREAT"));
        assert!(!has(&plan, "mkdirat({parent}, \"dev\""), "what is there isn't made");
        let protected = position(&plan, "mount_setattr({root}, \"\", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_RDONLY");
        assert!(position(&plan, "openat({parent}, \"hosts\"") < protected && protected < position(&plan, "pivot_root"));
    }
}

#[test]
fn a_read_only_root_is_read_only_before_it_is_attached() {
    let mut sandbox = sandbox();
    sandbox.root = Root::Directory { path: "/srv/root".into(), writes: Writes::Refused };
    let plan = plan(&sandbox, &privileged());
    let protected = position(
        &plan,
        "mount_setattr({root}, \"\", AT_EMPTY_PATH|AT_RECURSIVE, {attr_set=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NODEV",
    );
    assert_eq!(position(&plan, "move_mount({root}, \"\", AT_FDCWD, \"/\""), protected + 1);
}

#[test]
fn writes_to_memory_are_bounded_and_gone() {
    let mut sandbox = sandbox();
    sandbox.root = Root::Directory { path: "/srv/root".into(), writes: Writes::DiscardedFromMemory { size: 4096 } };
    let plan = plan(&sandbox, &privileged());
    assert!(has(&plan, "\"size\", \"4096\""));
    assert!(
        has(&plan, "\"upperdir\", \"upper\"")
            && has(&plan, "\"workdir\", \"work\"")
            && has(&plan, "\"lowerdir\", \"lower\"")
    );
    assert!(!has(&plan, "userxattr") && !has(&plan, "volatile"));
}

#[test]
fn writes_to_disk_go_to_the_scratch_directory() {
    let mut sandbox = with_user(own_ids());
    let writes = Writes::DiscardedFromDisk { dir: "/var/scratch:1".into() };
    sandbox.root = Root::Directory { path: "/srv/a:b,c".into(), writes };
    let plan = plan(&sandbox, &ordinary());
    let copied = copied(&inside(&plan));
    assert_eq!(copied[copied.len() - 2..], ["/var/scratch:1", "/srv/a:b,c"], "the root last");
    for option in [
        "\"upperdir\", \"disk/upper\"",
        "\"workdir\", \"disk/work\"",
        "FSCONFIG_SET_FLAG, \"volatile\"",
        "\"userxattr\"",
    ] {
        assert!(has(&plan, option), "{option}");
    }
    let options: Vec<String> = texts(&plan).into_iter().filter(|call| call.starts_with("fsconfig(")).collect();
    assert!(options.iter().all(|option| !option.contains("srv") && !option.contains("scratch")), "{options:?}");
}

#[test]
fn provided_files_are_written_into_an_assembled_root_and_mounted_over_another() {
    let mut sandbox = sandbox();
    sandbox.files = vec![ProvidedFile { path: "/etc/hosts".into(), content: b"127.0.0.1 box\n".to_vec() }];
    let mut facts = privileged();
    facts.root.existing.insert("/etc/hosts".into(), 2);
    let over = plan(&sandbox, &facts);
    assert!(has(&over, "openat({staging}, \"file0\"") && !has(&over, "unlinkat("), "the directory's own file stays");
    sandbox.root = Root::Directory { path: "/srv/root".into(), writes: Writes::DiscardedFromMemory { size: 1 << 20 } };
    let overlaid = plan(&sandbox, &facts);
    assert!(has(&overlaid, "openat({staging}, \"file0\"") && !has(&overlaid, "unlinkat("));
    facts.root.existing.insert("/etc/hosts".into(), 1);
    facts.root.dangling.insert("/etc/hosts".into());
    let replaced = plan(&sandbox, &facts);
    assert!(has(&replaced, "unlinkat(") && !has(&replaced, "\"file0\""), "a link that leads to nothing is replaced");
    sandbox.root = Root::Assembled { entries: Vec::new(), size: 1 << 20 };
    let into = plan(&sandbox, &facts);
    assert!(has(&into, "unlinkat(") && !has(&into, "\"file0\""));
}

/// What can't be provided is said.
#[test]
fn a_file_that_has_no_place_is_left_out_with_a_note() {
    let mut sandbox = sandbox();
    sandbox.files = vec![ProvidedFile { path: "/etc/hosts".into(), content: b"x".to_vec() }];
    let mut facts = privileged();
    facts.root.existing.insert("/etc/hosts".into(), 1);
    facts.root.dangling.insert("/etc/hosts".into());
    let dangling = plan(&sandbox, &facts);
    facts.root.dangling.clear();
    facts.root.closed.insert("/etc/hosts".into(), false);
    for plan in [dangling, plan(&sandbox, &facts)] {
        assert!(
            !has(&plan, "hosts\"") && plan.notes.iter().any(|note| note.contains("/etc/hosts")),
            "{:?}",
            plan.notes
        );
    }
}

#[test]
fn the_root_of_the_host_is_assembled_read_only() {
    let mut sandbox = sandbox();
    let usr = Entry::Bind { source: "/usr".into(), path: "/usr".into(), directory: true };
    let bin = Entry::Symlink { target: "usr/bin".into(), path: "/bin".into() };
    let tmp = Entry::Directory { path: "/var/tmp".into(), mode: 0o1777, owner: None };
    sandbox.root = Root::Assembled { entries: vec![usr, bin, tmp], size: 1 << 20 };
    let plan = plan(&sandbox, &privileged());
    assert_eq!(copied(&inside(&plan)), ["/usr"]);
    assert!(has(
        &plan,
        "mount_setattr({/usr}, \"\", AT_EMPTY_PATH|AT_RECURSIVE, {attr_set=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NODEV"
    ));
    assert!(has(&plan, "symlinkat(\"usr/bin\", {root}, \"bin\")"));
    assert!(position(&plan, "mkdirat({root}, \"var\", 0755)") < position(&plan, "mkdirat({root}, \"var/tmp\", 01777)"));
}

#[test]
fn for_rescue_work_the_real_mounts_come_in_and_devices_open() {
    let mut sandbox = sandbox();
    sandbox.system = SystemMounts::Caller;
    let plan = plan(&sandbox, &privileged());
    assert_eq!(copied(&inside(&plan)), ["/proc", "/dev", "/sys", "/srv/root"]);
    assert!(!has(&plan, "attr_set=MOUNT_ATTR_NODEV"), "the devices of the disk's own system can be used");
    assert!(!titles(&plan).iter().any(|title| title.starts_with("hide /") || title.starts_with("write-protect")));
}

#[test]
fn chroot_only_where_it_is_asked_for_and_with_a_warning() {
    let mut sandbox = sandbox();
    assert!(!has(&plan(&sandbox, &privileged()), "chroot("));
    sandbox.no_pivot = true;
    let plan = plan(&sandbox, &privileged());
    assert!(has(&plan, "chroot(\".\")") && !has(&plan, "pivot_root("));
    assert!(plan.notes.iter().any(|note| note.contains("old root")));
}

#[test]
fn a_path_with_a_nul_or_no_name_makes_no_other_plan() {
    let mut sandbox = sandbox();
    sandbox.mounts = vec![bind("/", "/etc", true)];
    // Over the root itself: an odd wish, but it has a meaning.
    let plan = plan(&sandbox, &privileged());
    assert!(has(&plan, "openat2({root}, \".\""));
}
