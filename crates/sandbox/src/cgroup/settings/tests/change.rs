//! Changes: what the kernel demands of values together holds after each write.

use super::*;

/// What a group's files say.
type Group = [(&'static str, &'static str)];

fn changed(limits: &Limits, on: &Hierarchies<'_>, group: &Group) -> Lowered {
    let file = |_, name: &str| group.iter().find(|(file, _)| *file == name).map(|(_, text)| format!("{text}\n"));
    limits.changes(on, &file).unwrap()
}

fn changes(limits: &Limits, on: &Hierarchies<'_>, group: &Group) -> Vec<String> {
    lines(changed(limits, on, group).strict().unwrap())
}

fn refusal(limits: &Limits, on: &Hierarchies<'_>, group: &Group) -> String {
    changed(limits, on, group).strict().unwrap_err().to_string()
}

fn sizes(limit: Option<u64>, swap: Option<u64>) -> Limits {
    memory(MemoryLimits { limit: limit.map(Bound::At), swap: swap.map(Bound::At), ..MemoryLimits::default() })
}

const OF_4_AND_8: &Group = &[("memory.limit_in_bytes", "4"), ("memory.memsw.limit_in_bytes", "8")];
const OF_4_AND_4: &Group = &[("memory.max", "4"), ("memory.swap.max", "4")];

#[test]
fn v1_swap_grows_before_memory_and_shrinks_after() {
    let [limit, memsw] = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
    assert_eq!(changes(&sizes(Some(10), Some(12)), &v1, OF_4_AND_8), [format!("{memsw}=12"), format!("{limit}=10")]);
    assert_eq!(changes(&sizes(Some(1), Some(2)), &v1, OF_4_AND_8), [format!("{limit}=1"), format!("{memsw}=2")]);
    assert_eq!(changes(&sizes(None, Some(5)), &v1, OF_4_AND_8), [format!("{memsw}=5")]);
    assert_eq!(changes(&sizes(Some(8), None), &v1, OF_4_AND_8), [format!("{limit}=8")]);
}

/// Every way from one pair to another: the kernel's rule (`mem_cgroup_resize_max`) holds after each write.
#[test]
fn v1_memory_is_never_above_memory_with_swap() {
    let pairs: Vec<(u64, u64)> = (1..5).flat_map(|limit| (limit..5).map(move |total| (limit, total))).collect();
    for (now, then) in pairs.iter().flat_map(|now| pairs.iter().map(move |then| (*now, *then))) {
        let text = |value: u64| value.to_string();
        let read = |_, file: &str| Some(text(if file == "memory.limit_in_bytes" { now.0 } else { now.1 }));
        let limits = sizes(Some(then.0), Some(then.1));
        let (mut limit, mut total) = now;
        for setting in limits.changes(&v1, &read).unwrap().strict().unwrap() {
            let place = if setting.file == "memory.limit_in_bytes" { &mut limit } else { &mut total };
            *place = setting.value.parse().unwrap();
            assert!(limit <= total, "{now:?} to {then:?}: {setting:?}");
        }
        assert_eq!((limit, total), then);
    }
}

#[test]
fn memory_and_swap_that_do_not_fit_what_stays_are_refused() {
    for (on, group) in [(&v1 as &Hierarchies<'_>, OF_4_AND_8), (&v2, OF_4_AND_4)] {
        assert!(refusal(&sizes(Some(9), None), on, group).contains("less than the 9 of memory alone"));
        assert!(refusal(&sizes(None, Some(3)), on, group).contains("less than the 4 of memory alone"));
        assert!(refusal(&sizes(None, Some(3)), on, &[]).contains("where memory is not limited"));
    }
}

#[test]
fn v2_swap_is_what_is_left_of_both() {
    assert_eq!(changes(&sizes(None, Some(10)), &v2, OF_4_AND_4), ["memory.swap.max=6"]);
    assert_eq!(changes(&sizes(Some(6), None), &v2, OF_4_AND_4), ["memory.swap.max=2", "memory.max=6"]);
    assert_eq!(
        changes(&sizes(Some(6), None), &v2, &[("memory.max", "4"), ("memory.swap.max", "max")]),
        ["memory.max=6"]
    );
    let reserved = memory(MemoryLimits { reservation: Some(Bound::At(1)), ..MemoryLimits::default() });
    assert_eq!(changes(&reserved, &v2, OF_4_AND_4), ["memory.low=1"]);
}

#[test]
fn less_than_what_is_used_is_refused_if_that_is_asked_for() {
    let mut limits = sizes(Some(4), Some(6));
    let v1_used = [("memory.usage_in_bytes", "4"), ("memory.memsw.usage_in_bytes", "7")];
    let v2_used = [("memory.current", "5"), ("memory.swap.current", "0")];
    assert_eq!(changes(&limits, &v2, &v2_used).len(), 2);
    limits.memory.check_before_update = true;
    assert_eq!(refusal(&limits, &v1, &v1_used), "a limit of 6 bytes of memory and swap is less than the 7 in use");
    assert_eq!(refusal(&limits, &v2, &v2_used), "a limit of 4 bytes of memory is less than the 5 in use");
    assert_eq!(changes(&limits, &v2, &[("memory.current", "4")]).len(), 2);
}

#[test]
fn v2_what_is_not_given_of_a_quota_stays() {
    let period = cpu(CpuLimits { period: Some(50_000), ..CpuLimits::default() });
    let quota = cpu(CpuLimits { quota: Some(Bound::Max), ..CpuLimits::default() });
    let group = &[("cpu.max", "7000 20000")];
    assert_eq!(changes(&period, &v2, group), ["cpu.max=7000 50000"]);
    assert_eq!(changes(&quota, &v2, group), ["cpu.max=max 20000"]);
    assert_eq!(written(&period, &v2), ["cpu.max=max 50000"]);
}

/// The parent's quota is checked at each write on v1 (`tg_cfs_schedulable_down`): half written must not be more of the CPU than before and after.
#[test]
fn v1_a_period_grows_before_its_quota_and_shrinks_after() {
    let to = |quota, period| {
        let limits = cpu(CpuLimits { quota: Some(Bound::At(quota)), period: Some(period), ..CpuLimits::default() });
        changes(&limits, &v1, &[("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "100000")])
    };
    assert_eq!(to(400_000, 800_000), ["cpu.cfs_period_us=800000", "cpu.cfs_quota_us=400000"]);
    assert_eq!(to(5000, 10_000), ["cpu.cfs_quota_us=5000", "cpu.cfs_period_us=10000"]);
}

#[test]
fn a_burst_is_never_more_than_the_quota() {
    let bursting = |quota, burst| cpu(CpuLimits { quota: Some(Bound::At(quota)), burst, ..CpuLimits::default() });
    for (on, group, [quota, burst]) in [
        (
            &v1 as &Hierarchies<'_>,
            &[("cpu.cfs_quota_us", "5000"), ("cpu.cfs_burst_us", "4000")],
            ["cpu.cfs_quota_us=", "cpu.cfs_burst_us="],
        ),
        (&v2, &[("cpu.max", "5000 100000"), ("cpu.max.burst", "4000")], ["cpu.max=", "cpu.max.burst="]),
    ] {
        let order = |limits: &Limits| changes(limits, on, group);
        assert!(order(&bursting(9000, Some(8000)))[0].starts_with(quota));
        assert!(order(&bursting(3000, Some(2000)))[0].starts_with(burst));
        assert_eq!(order(&bursting(4000, None)).len(), 1);
        assert_eq!(
            refusal(&bursting(3000, None), on, group),
            "a CPU burst of 4000 µs is more than the quota of 3000 µs"
        );
    }
}

#[test]
fn a_realtime_budget_fits_its_period_all_the_while() {
    let to = |runtime, period| {
        let limits = CpuLimits { realtime_runtime: runtime, realtime_period: period, ..CpuLimits::default() };
        changed(&cpu(limits), &v1, &[("cpu.rt_runtime_us", "900"), ("cpu.rt_period_us", "1000")])
    };
    assert_eq!(lines(to(Some(90), Some(100)).settings), ["cpu.rt_runtime_us=90", "cpu.rt_period_us=100"]);
    assert_eq!(lines(to(Some(9000), Some(10_000)).settings), ["cpu.rt_period_us=10000", "cpu.rt_runtime_us=9000"]);
    assert_eq!(to(None, Some(100)).refused.len(), 1);
}

#[test]
fn an_idle_group_takes_no_weight() {
    let mut limits = cpu(CpuLimits { weight: Some(CpuWeight::Weight(50)), ..CpuLimits::default() });
    assert!(refusal(&limits, &v2, &[("cpu.idle", "1")]).contains("cpu.idle is 1"));
    limits.cpu.idle = Some(false);
    assert_eq!(changes(&limits, &v2, &[("cpu.idle", "1")]), ["cpu.idle=0", "cpu.weight=50"]);
    assert_eq!(changes(&limits, &v1, &[("cpu.idle", "1")]), ["cpu.idle=0", "cpu.shares=512"]);
}

#[test]
fn a_weight_of_the_group_leaves_the_disks_theirs() {
    let on_8_0 = DeviceWeight { device: (8, 0), weight: Some(IoWeight::Io(100)), leaf_weight: None };
    let weight = IoLimits { weight: Some(IoWeight::Io(50)), ..IoLimits::default() };
    let both = IoLimits { weight_devices: vec![on_8_0], ..weight.clone() };
    let shown = "default 100\n8:0 200\n8:16 300";
    let (unified, legacy) = ([("io.bfq.weight", shown)], [("blkio.bfq.weight_device", shown)]);
    assert_eq!(
        changes(&io(weight.clone()), &v2, &unified),
        ["io.weight=50", "io.bfq.weight=8:0 200", "io.bfq.weight=8:16 300"]
    );
    assert_eq!(changes(&io(both), &v2, &unified), ["io.weight=50", "io.bfq.weight=8:16 300", "io.weight=8:0 100"]);
    let device = |line: &str| format!("blkio.bfq.weight_device={line}");
    let lines = ["blkio.bfq.weight=50".to_owned(), device("8:0 200"), device("8:16 300")];
    assert_eq!(changes(&io(weight), &v1, &legacy), lines);
}
