//! Control groups: pure layouts of v2, v1 and hybrid machines.

use super::*;
use crate::cgroup::{Above, Controller, DeviceWeight, Disk, Hierarchy, IoWeight, Layout, Version, Weighing};

fn above(path: &str) -> Above {
    Above { path: path.into(), exists: true, handed_on: BTreeSet::new(), writable: true, occupied: false }
}

fn hierarchy(version: Version, controllers: &[Controller], above: Vec<Above>) -> Hierarchy {
    let cpus = Some("0-3".parse().unwrap());
    let mems = Some("0".parse().unwrap());
    Hierarchy { version, controllers: controllers.iter().copied().collect(), above, writable: true, cpus, mems }
}

pub(super) fn unified() -> Layout {
    let controllers = [Controller::Memory, Controller::Pids, Controller::Cpu, Controller::Cpuset, Controller::Io];
    let top = Above { handed_on: [Controller::Pids].into(), ..above("/sys/fs/cgroup") };
    Layout {
        unified: Some(hierarchy(Version::V2, &controllers, vec![top, above("/sys/fs/cgroup/a")])),
        ..Layout::default()
    }
}

pub(super) fn hybrid() -> Layout {
    let v1 =
        |name: &str, controller| hierarchy(Version::V1, &[controller], vec![above(&format!("/sys/fs/cgroup/{name}"))]);
    Layout {
        unified: Some(hierarchy(Version::V2, &[], vec![above("/sys/fs/cgroup/unified")])),
        v1: vec![v1("memory", Controller::Memory), v1("pids", Controller::Pids), v1("cpuset", Controller::Cpuset)],
        ..Layout::default()
    }
}

fn on(layout: Layout) -> Facts {
    Facts { cgroups: layout, ..privileged() }
}

fn grouped(change: impl Fn(&mut NewGroup)) -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.cgroup = new_group();
    let ControlGroup::New(group) = &mut sandbox.cgroup else { unreachable!() };
    change(group);
    sandbox
}

/// A group is made with the mark of ours, and locked.
fn making(dir: &str) -> String {
    format!(
        "mkdirat(AT_FDCWD, \"{dir}\", 01755); openat(AT_FDCWD, \"{dir}\", O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_DIRECTORY); \
         fchmod({{group}}, 01755); flock({{group}}, LOCK_EX|LOCK_NB); fcntl({{group}}, F_DUPFD_CLOEXEC, 0)"
    )
}

fn before_texts(plan: &Plan) -> Vec<String> {
    plan.before.iter().flat_map(|step| plan.calls(step)).collect()
}

#[test]
fn on_v2_the_group_is_limited_before_the_first_process_is_made_in_it() {
    let plan = plan(&grouped(|_| ()), &on(unified()));
    assert_eq!(
        plan.before.iter().map(|step| step.shell.as_deref().unwrap()).collect::<Vec<_>>(),
        [
            "echo +memory > /sys/fs/cgroup/cgroup.subtree_control",
            "echo +memory +pids > /sys/fs/cgroup/a/cgroup.subtree_control",
            "mkdir /sys/fs/cgroup/a/izba-7",
            "echo 67108864 > /sys/fs/cgroup/a/izba-7/memory.max",
            "echo 100 > /sys/fs/cgroup/a/izba-7/pids.max",
        ]
    );
    assert!(plan.calls(&plan.clone)[0].contains("CLONE_INTO_CGROUP, cgroup={group /sys/fs/cgroup/a/izba-7}"));
    assert!(!has(&plan, "tasks"), "nothing is moved");
}

#[test]
fn on_a_hybrid_machine_v1_limits_and_v2_has_a_group_for_the_rest() {
    let plan = plan(&grouped(|_| ()), &on(hybrid()));
    let made: Vec<String> = before_texts(&plan).into_iter().filter(|text| text.starts_with("mkdirat")).collect();
    assert_eq!(made, ["unified", "memory", "pids"].map(|name| making(&format!("/sys/fs/cgroup/{name}/izba-7"))));
    for name in ["memory", "pids"] {
        // By the thread itself, which needs no lock.
        assert!(has(&plan, &format!("\"/sys/fs/cgroup/{name}/izba-7/tasks\"")), "{name}");
    }
    assert!(position(&plan, "/tasks") < position(&plan, "unshare(CLONE_NEWCGROUP)"), "its groups are its root");
    assert!(plan.calls(&plan.clone)[0].contains("cgroup={group /sys/fs/cgroup/unified/izba-7}"));
}

#[test]
fn without_limits_only_the_unified_group_is_made() {
    let unlimited = grouped(|group| group.limits = Limits::default());
    let made = before_texts(&plan(&unlimited, &on(hybrid())));
    assert_eq!(made, [making("/sys/fs/cgroup/unified/izba-7")]);
    let mut closed = hybrid();
    closed.unified.as_mut().unwrap().writable = false;
    let plan = plan(&unlimited, &on(closed));
    assert!(plan.before.is_empty() && plan.group.is_none() && plan.notes.is_empty(), "and nobody misses it");
}

#[test]
fn a_parent_that_was_asked_for_is_not_passed_over() {
    let mut closed = hybrid();
    closed.unified.as_mut().unwrap().writable = false;
    closed.v1.clear();
    let facts = on(closed);
    let unlimited = |enforcement| {
        grouped(|group| {
            group.limits = Limits::default();
            group.driver = Driver::Files(Parent::Path("/theirs".into()));
            group.enforcement = enforcement;
        })
    };
    let cause = "no group can be made below /theirs";
    assert!(refusal(&unlimited(Enforcement::Required), &facts).problem.starts_with(cause));
    let best = plan(&unlimited(Enforcement::BestEffort), &facts);
    assert!(best.before.is_empty() && best.notes.iter().any(|note| note.contains(cause)), "{:?}", best.notes);
}

#[test]
fn a_cpuset_of_v1_gets_what_the_limits_do_not_say() {
    let cpuset = grouped(|group| {
        group.limits = Limits::default();
        group.limits.cpu.cpus = Some("1".parse().unwrap());
    });
    let cpuset = Sandbox { cgroup: below("/new", cpuset.cgroup), ..sandbox() };
    let mut layout = hybrid();
    layout.v1[2].above.push(Above { exists: false, ..above("/sys/fs/cgroup/cpuset/new") });
    let texts = before_texts(&plan(&cpuset, &on(layout)));
    let set = |file: &str, value: &str| texts.iter().any(|text| text.contains(file) && text.contains(value));
    assert!(set("\"/sys/fs/cgroup/cpuset/new/cpuset.cpus\"", "\"0-3\""), "{texts:#?}");
    assert!(set("{group /sys/fs/cgroup/cpuset/new/izba-7}, \"cpuset.mems\"", "\"0\""), "{texts:#?}");
    assert!(set("{group /sys/fs/cgroup/cpuset/new/izba-7}, \"cpuset.cpus\"", "\"1\""), "{texts:#?}");
    assert!(!set("izba-7}, \"cpuset.cpus\"", "\"0-3\""), "{texts:#?}");
}

fn below(parent: &str, mut cgroup: ControlGroup) -> ControlGroup {
    let ControlGroup::New(group) = &mut cgroup else { unreachable!() };
    group.driver = Driver::Files(Parent::Path(parent.into()));
    cgroup
}

#[test]
fn a_named_group_above_is_made_though_it_exists_as_another_run_may_remove_it() {
    let named = Sandbox { cgroup: below("/a", new_group()), ..sandbox() };
    let mut layout = unified();
    layout.unified.as_mut().unwrap().above[1].handed_on = [Controller::Memory, Controller::Pids].into();
    let shells = |plan: &Plan| plan.before.iter().map(|step| step.shell.clone().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        shells(&plan(&named, &on(layout.clone())))[..3],
        [
            "mkdir -p /sys/fs/cgroup/a",
            "echo +memory > /sys/fs/cgroup/cgroup.subtree_control",
            "echo +memory +pids > /sys/fs/cgroup/a/cgroup.subtree_control",
        ]
    );
    // Somebody else's, who has handed it on.
    layout.unified.as_mut().unwrap().above[1].writable = false;
    assert!(!shells(&plan(&named, &on(layout))).iter().any(|shell| shell.contains("a/cgroup.subtree_control")));
}

#[test]
fn what_cannot_be_enforced_is_an_error_or_is_said() {
    let mut absent = hybrid();
    absent.v1.remove(0);
    let mut closed = hybrid();
    closed.v1[0].writable = false;
    let mut undelegated = unified();
    undelegated.unified.as_mut().unwrap().above[0].writable = false;
    let mut occupied = unified();
    occupied.unified.as_mut().unwrap().above[1].occupied = true;
    for (layout, cause) in [
        (absent, "memory.max can't be set to \"67108864\": the memory controller can't be used here"),
        (closed, "the memory limits can't be enforced: you may not make groups in /sys/fs/cgroup/memory"),
        (undelegated, "the memory limits can't be enforced: /sys/fs/cgroup doesn't hand the memory controller on"),
        (occupied, "the memory limits can't be enforced: /sys/fs/cgroup/a has processes of its own"),
    ] {
        let facts = on(layout);
        let refused = refusal(&grouped(|_| ()), &facts);
        assert!(refused.problem.starts_with(cause), "{refused}");
        let best = plan(&grouped(|group| group.enforcement = Enforcement::BestEffort), &facts);
        assert!(
            best.notes.iter().any(|note| note.starts_with("left out: ") && note.contains(cause)),
            "{:?}",
            best.notes
        );
        assert!(!before_texts(&best).iter().any(|text| text.contains("memory")), "{:#?}", before_texts(&best));
    }
}

/// Weights of all disks and of one.
fn weighed(enforcement: Enforcement) -> Sandbox {
    grouped(|group| {
        let mut limits = Limits::default();
        limits.io.weight = Some(IoWeight::Io(50));
        let (device, weight) = ((8, 0), Some(IoWeight::Io(200)));
        limits.io.weight_devices = vec![DeviceWeight { device, weight, leaf_weight: None }];
        (group.limits, group.enforcement) = (limits, enforcement);
    })
}

fn with_disk(bfq: bool) -> Layout {
    let disks = [((8, 0), Disk { name: "sda".to_owned(), bfq })].into();
    Layout { weighing: Weighing { disks, cost: None }, ..unified() }
}

#[test]
fn a_weight_that_nothing_follows_is_an_error_or_is_said() {
    let facts = on(with_disk(false));
    let refused = refusal(&weighed(Enforcement::Required), &facts);
    let remedy = refused.remedy.unwrap();
    assert!(refused.problem.starts_with("nothing follows") && remedy.contains("--best-effort"), "{remedy}");
    let best = plan(&weighed(Enforcement::BestEffort), &facts);
    let [left_out, ineffective] = &best.notes[..] else { panic!("{:?}", best.notes) };
    assert!(left_out.starts_with("left out: nothing follows an I/O weight of the disk sda"), "{left_out}");
    assert!(ineffective.starts_with("without effect for now: nothing follows the I/O weight"), "{ineffective}");
    let written = before_texts(&best);
    assert!(written.iter().any(|text| text.contains("io.bfq.weight")), "for later: {written:#?}");
    assert!(!written.iter().any(|text| text.contains("8:0")), "the kernel wouldn't take it: {written:#?}");
}

#[test]
fn a_weight_that_bfq_follows_is_set() {
    let plan = plan(&weighed(Enforcement::Required), &on(with_disk(true)));
    let written = before_texts(&plan);
    let of_disk = |text: &&String| text.contains("io.bfq.weight") && text.contains("8:0 109");
    assert!(plan.notes.is_empty() && written.iter().filter(of_disk).count() == 1, "{written:#?}");
    // Where the controller can't be had at all that is what is said.
    let mut closed = with_disk(false);
    closed.unified.as_mut().unwrap().writable = false;
    let refused = refusal(&weighed(Enforcement::Required), &on(closed));
    assert!(refused.problem.starts_with("the io limits can't be enforced"), "{refused}");
}

#[test]
fn systemd_is_told_of_the_weight_that_is_set() {
    let mut sandbox = weighed(Enforcement::BestEffort);
    let ControlGroup::New(group) = &mut sandbox.cgroup else { unreachable!() };
    let bus = crate::cgroup::systemd::Address::system(None).unwrap();
    group.driver = Driver::Systemd { bus, slice: None };
    let properties = |bfq| {
        let plan = plan(&sandbox, &on(with_disk(bfq)));
        let calls: Vec<&Call> = plan.outside.iter().flat_map(|step| &step.calls).collect();
        let Some(Call::StartScope { scope, .. }) = calls.first() else { panic!("{calls:?}") };
        let names: Vec<&str> = scope.properties.iter().map(|property| property.name).collect();
        let files = calls.iter().filter(|call| matches!(call, Call::WriteLimit { .. })).count();
        (names.into_iter().filter(|name| name.starts_with("IO")).collect::<Vec<_>>(), files)
    };
    assert_eq!(properties(true), (vec!["IOWeight", "IODeviceWeight"], 2));
    assert_eq!(properties(false), (vec!["IOWeight"], 1));
}

#[test]
fn device_rules_are_never_dropped_without_a_word() {
    let mut closed = unified();
    closed.unified.as_mut().unwrap().writable = false;
    for (layout, cause) in [
        (Layout::default(), "the device rules can't be enforced: neither"),
        (closed, "the devices limits can't be enforced: you may not make groups in /sys/fs/cgroup/a"),
    ] {
        let facts = on(layout);
        let ruled = |enforcement| {
            grouped(|group| {
                group.limits = Limits { devices: vec!["c 1:3 rw".parse().unwrap()], ..Limits::default() };
                group.enforcement = enforcement;
            })
        };
        let refused = refusal(&ruled(Enforcement::Required), &facts);
        assert!(refused.problem.starts_with(cause), "{refused}");
        let best = plan(&ruled(Enforcement::BestEffort), &facts);
        assert!(best.notes.iter().any(|note| note.contains(cause)), "{:?}", best.notes);
        assert!(!before_texts(&best).iter().any(|text| text.contains("bpf")), "{:#?}", before_texts(&best));
    }
}

#[test]
fn device_programs_take_one_of_two_sets_of_capabilities() {
    let ruled = grouped(|group| {
        group.limits = Limits { devices: vec!["c 1:3 rw".parse().unwrap()], ..Limits::default() };
    });
    let having = |names: &[&str]| {
        let effective = names.iter().map(|name| name.parse::<crate::capability::Capability>().unwrap()).collect();
        Facts { effective, ..on(unified()) }
    };
    for enough in [&["SYS_ADMIN"] as &[_], &["BPF", "NET_ADMIN"]] {
        assert!(Plan::new(&ruled, &having(enough)).is_ok_and(|plan| has_device_program(&plan)), "{enough:?}");
    }
    for less in [&["BPF"] as &[_], &["NET_ADMIN"], &[]] {
        assert!(refusal(&ruled, &having(less)).problem.contains("CAP_BPF"), "{less:?}");
    }
}

fn has_device_program(plan: &Plan) -> bool {
    before_texts(plan).iter().any(|text| text.contains("BPF_CGROUP_DEVICE"))
}

#[test]
fn cpus_that_are_not_there_are_refused() {
    let cpuset = grouped(|group| group.limits.cpu.cpus = Some("2-5".parse().unwrap()));
    for layout in [unified(), hybrid()] {
        let refused = refusal(&cpuset, &on(layout));
        assert!(refused.problem.contains("CPUs 2-5") && refused.problem.contains("0-3"), "{refused}");
    }
}

#[test]
fn joined_groups_are_entered_by_the_clone_and_by_the_child_itself() {
    let mut sandbox = sandbox();
    sandbox.cgroup = joined_groups();
    let plan = plan(&sandbox, &privileged());
    assert!(plan.calls(&plan.clone)[0].contains("CLONE_INTO_CGROUP, cgroup={cgroup}"));
    assert!(has(&plan, "\"/sys/fs/cgroup/cpu/a/tasks\""));
}

#[test]
fn nothing_is_started_in_a_frozen_group() {
    let facts = Facts { frozen_group: Some("/sys/fs/cgroup/a".into()), ..on(unified()) };
    let refused = refusal(&grouped(|_| ()), &facts);
    assert!(refused.problem.contains("/sys/fs/cgroup/a is frozen"), "{refused}");
}
