//! Plans of hand-made intents and facts: nothing here asks the kernel.

mod caller;
mod generated;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::PathBuf;

use izba_sys::mount::{MountAttributes, Propagation};
use izba_sys::namespace::CloneFlags;

use super::{Plan, PlanError};
use crate::call::{At, Call};
use crate::capability::Capabilities;
use crate::facts::{Facts, Guarded, RootFacts};
use crate::idmap::{IdMap, IdMaps, IdRange, MapWriter};
use crate::namespace::{ClockOffsets, Kind, Namespace, Namespaces};
use crate::rootfs::{CallerRoot, Entry, Mount, MountSource, Root, SystemMounts, Writes};
use crate::sandbox::{Ids, Init, Process, ProvidedFile, Sandbox, Sysctl, Terminal, User, WorkingDirectory};

/// What root gets without an option.
fn sandbox() -> Sandbox {
    let root = Root::Directory { path: "/srv/root".into(), writes: Writes::InPlace };
    let mut sandbox = Sandbox::new(root, c"/bin/sh", &[c"sh"]);
    sandbox.hostname = Some(c"box".to_owned());
    sandbox
}

fn existing(targets: &[(&str, usize)]) -> BTreeMap<PathBuf, usize> {
    targets.iter().map(|(path, count)| (PathBuf::from(path), *count)).collect()
}

/// The host's root, in a directory that has all mount points.
fn privileged() -> Facts {
    let guarded = |path: &str, directory, hidden| Guarded { path: path.to_owned(), directory, hidden };
    Facts {
        uid: 0,
        gid: 0,
        effective: Capabilities::all(),
        bounding: Capabilities::all(),
        unknown_capabilities: vec![41],
        initial_user_namespace: true,
        proc_fully_visible: true,
        sysfs_fully_visible: true,
        guarded: vec![
            guarded("/proc/acpi", true, true),
            guarded("/proc/kcore", false, true),
            guarded("/proc/sys", true, false),
            guarded("/sys/firmware", true, true),
        ],
        host_mqueue: true,
        denies_setgroups: false,
        joined_denies_setgroups: false,
        joined_has_root: true,
        has_terminals: true,
        root: RootFacts {
            existing: existing(&[("/proc", 1), ("/dev", 1), ("/sys", 1)]),
            writable: true,
            ..RootFacts::default()
        },
    }
}

/// An ordinary user.
fn ordinary() -> Facts {
    Facts { uid: 1000, gid: 1000, effective: Capabilities::NONE, ..privileged() }
}

fn own_ids() -> Namespace<IdMaps> {
    Namespace::New(IdMaps::own_ids((0, 0), (1000, 1000)))
}

fn range(outside: u32, writer: MapWriter) -> Namespace<IdMaps> {
    let map = || IdMap::new(vec![IdRange { inside: 0, outside, count: 65_536 }]).unwrap();
    Namespace::New(IdMaps { uids: map(), gids: map(), writer, deny_setgroups: false })
}

fn with_user(user: Namespace<IdMaps>) -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.namespaces.user = user;
    sandbox
}

fn plan(sandbox: &Sandbox, facts: &Facts) -> Plan {
    Plan::new(sandbox, facts).unwrap()
}

fn refusal(sandbox: &Sandbox, facts: &Facts) -> PlanError {
    Plan::new(sandbox, facts).unwrap_err()
}

fn inside(plan: &Plan) -> Vec<&Call> {
    plan.inside.iter().flat_map(|step| &step.calls).collect()
}

fn outside(plan: &Plan) -> Vec<&Call> {
    plan.outside.iter().flat_map(|step| &step.calls).collect()
}

fn titles(plan: &Plan) -> Vec<&str> {
    plan.inside.iter().map(|step| step.title.as_str()).collect()
}

/// The texts of all calls after the clone, the parent's first.
fn texts(plan: &Plan) -> Vec<String> {
    plan.steps().skip(1).flat_map(|(_, step)| plan.calls(step)).collect()
}

#[track_caller]
fn position(plan: &Plan, text: &str) -> usize {
    let texts = texts(plan);
    texts.iter().position(|call| call.contains(text)).unwrap_or_else(|| panic!("no {text} in {texts:#?}"))
}

fn has(plan: &Plan, text: &str) -> bool {
    texts(plan).iter().any(|call| call.contains(text))
}

/// The host paths that the child copies, and those that the parent copies for it.
fn copied(calls: &[&Call]) -> Vec<String> {
    let path = |call: &&Call| match call {
        Call::OpenTree { from: At::Host(path), .. } => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    calls.iter().filter_map(path).collect()
}

#[test]
fn the_default_plan_of_root_is_this_one() {
    let plan = plan(&sandbox(), &privileged());
    assert_eq!(
        plan.clone_flags.names(),
        "CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWPID|CLONE_NEWNET"
    );
    assert!(plan.outside.is_empty(), "{:?}", plan.outside);
    assert_eq!(
        titles(&plan),
        [
            "leave the caller's session",
            "hear of children that end",
            "show no arguments of the caller's",
            "clear the umask",
            "hide from ptrace(2)",
            "make every mount private",
            "open the root /srv/root",
            "make a staging area that goes with the old root",
            "attach the root",
            "mount /dev",
            "make devices",
            "make links in /dev",
            "mount /dev/pts",
            "mount /dev/shm",
            "mount /dev/mqueue",
            "mount /proc",
            "mount /sys",
            "hide /proc/acpi",
            "hide /proc/kcore",
            "write-protect /proc/sys",
            "hide /sys/firmware",
            "set the host name",
            "set the loopback up",
            "make it the root, and let the old one go",
            "make the program's process; this one stays as its init",
            "start a new session",
            "join a new session keyring",
            "keep no descriptors but the standard streams",
            "enter the working directory",
            "shrink the bounding set",
            "become user 0 and group 0",
            "set the capabilities",
            "forbid new privileges",
            "restore the caller's umask and signal mask",
            "execute the program",
        ]
    );
    assert!(has(&plan, "mknodat({dev}, \"null\", S_IFCHR|0666, makedev(0x1, 0x3))"));
    assert!(has(&plan, "setgroups(0, [])"));
    assert!(!has(&plan, "mkdirat({parent}"), "nothing is made where everything is there");
}

#[test]
fn a_shell_command_stands_beside_what_has_one() {
    let plan = plan(&sandbox(), &privileged());
    let shell = |title: &str| plan.inside.iter().find(|step| step.title == title).unwrap().shell.as_deref();
    assert_eq!(shell("make every mount private"), Some("mount --make-rprivate /"));
    assert_eq!(shell("set the host name"), Some("hostname box"));
    assert_eq!(shell("hide /proc/kcore"), Some("mount --bind /dev/null /newroot/proc/kcore"));
}

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

fn bind(target: &str, path: &str, directory: bool) -> Mount {
    Mount {
        target: target.into(),
        source: MountSource::Bind { path: path.into(), directory, recursive: true, idmap: false },
        attributes: MountAttributes::empty(),
    }
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
fn a_program_that_is_pid_1_is_forked_early_and_once() {
    let mut sandbox = sandbox();
    sandbox.process.init = Init::Program;
    let plan = plan(&sandbox, &privileged());
    assert!(!plan.clone_flags.contains(CloneFlags::NEWPID));
    assert_eq!(forks(&plan), [&Call::Fork { namespaces: CloneFlags::NEWPID }]);
    assert!(position(&plan, "clone3(") < position(&plan, "mount_setattr("));
    assert!(has(&plan, "PR_SET_PDEATHSIG"));
}

fn forks(plan: &Plan) -> Vec<&Call> {
    inside(plan).into_iter().filter(|call| matches!(call, Call::Fork { .. } | Call::Vfork)).collect()
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
    assert_eq!(forks(&plan), [&Call::Fork { namespaces: CloneFlags::empty() }]);
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
        let made =
            CloneFlags::NEWNS | CloneFlags::NEWPID | CloneFlags::NEWNET | CloneFlags::NEWIPC | CloneFlags::NEWCGROUP;
        assert_eq!(forks(&plan)[0], &Call::Fork { namespaces: made });
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
    assert_eq!(forks(&plan), [&Call::Fork { namespaces: CloneFlags::empty() }]);
    assert!(!plan.clone_flags.contains(CloneFlags::NEWTIME));
}

#[test]
fn sysctls_are_written_through_our_own_proc_before_it_is_protected() {
    let mut sandbox = sandbox();
    sandbox.sysctls = vec![Sysctl { path: "net/ipv4/ip_forward".into(), value: "1".into() }];
    let plan = plan(&sandbox, &privileged());
    let written = inside(&plan).into_iter().find_map(|call| match call {
        Call::WriteSetting { at: At::In(slot, path), .. } => {
            Some((plan.slots[usize::from(slot.0)].as_str(), path.clone()))
        }
        _ => None,
    });
    assert_eq!(written, Some(("proc", CString::from(c"sys/net/ipv4/ip_forward"))));
    let titles = titles(&plan);
    let at = |title: &str| titles.iter().position(|known| *known == title).unwrap();
    assert!(
        at("mount /proc") < at("set the sysctl net/ipv4/ip_forward")
            && at("set the sysctl net/ipv4/ip_forward") < at("write-protect /proc/sys")
    );
    sandbox.system = SystemMounts::None;
    // Nothing is mounted that it could be written through; it must not be dropped in silence.
    assert!(Plan::new(&sandbox, &privileged()).is_err(), "a sysctl that is never written");
}

#[test]
fn an_ordinary_user_inside_holds_no_capability() {
    let mut sandbox = sandbox();
    sandbox.process.user = User::Become(Ids { uid: 1000, gid: 50, groups: vec![60, 61] });
    let plan = plan(&sandbox, &privileged());
    assert!(has(&plan, "{effective=0, permitted=0, inheritable=0}"));
    let order = [
        "setgroups(2, [60, 61])",
        "setresgid(50, 50, 50)",
        "setresuid(1000, 1000, 1000)",
        "capset(",
        "PR_SET_NO_NEW_PRIVS",
    ];
    let places = order.map(|text| position(&plan, text));
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_terminal_is_opened_through_our_own_devpts() {
    let mut sandbox = sandbox();
    sandbox.process.terminal = Terminal::New { rows: 24, columns: 80 };
    let plan = plan(&sandbox, &privileged());
    assert!(position(&plan, "openat2({devpts}, \"ptmx\"") < position(&plan, "sendmsg("));
    assert!(position(&plan, "setsid()") < position(&plan, "TIOCSCTTY"));
}

#[test]
fn a_path_with_a_nul_or_no_name_makes_no_other_plan() {
    let mut sandbox = sandbox();
    sandbox.mounts = vec![bind("/", "/etc", true)];
    // Over the root itself: an odd wish, but it has a meaning.
    let plan = plan(&sandbox, &privileged());
    assert!(has(&plan, "openat2({root}, \".\""));
}
