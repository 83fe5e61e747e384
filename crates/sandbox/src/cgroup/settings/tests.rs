//! What single topics can't say alone: controllers, versions, refusals, and changes of a group that is there.

use super::*;
use crate::cgroup::{
    Bound, CpuLimits, CpuWeight, DeviceWeight, HugetlbLimit, IoLimits, IoWeight, NetworkLimits, Presence, RdmaLimit,
    Throttle,
};

mod change;
mod refusal;

fn v1(controller: Controller) -> Option<Version> {
    controller.name(Version::V1).map(|_| Version::V1)
}

fn v2(controller: Controller) -> Option<Version> {
    controller.name(Version::V2).map(|_| Version::V2)
}

/// `file=value`, in order.
fn written(limits: &Limits, on: &Hierarchies<'_>) -> Vec<String> {
    lines(limits.settings(on).unwrap().strict().unwrap())
}

fn lines(settings: Vec<Setting>) -> Vec<String> {
    settings.into_iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
}

fn cpu(limits: CpuLimits) -> Limits {
    Limits { cpu: limits, ..Limits::default() }
}

fn memory(limits: MemoryLimits) -> Limits {
    Limits { memory: limits, ..Limits::default() }
}

fn io(limits: IoLimits) -> Limits {
    Limits { io: limits, ..Limits::default() }
}

/// Something of everything that is on both versions.
fn everything() -> Limits {
    let throttle = |minor| vec![Throttle { device: (8, minor), rate: Bound::At(1024) }];
    Limits {
        cpu: CpuLimits {
            weight: Some(CpuWeight::Weight(100)),
            quota: Some(Bound::At(70_000)),
            burst: Some(1000),
            cpus: Some("0-1".parse().unwrap()),
            ..CpuLimits::default()
        },
        memory: MemoryLimits { limit: Some(Bound::At(4096)), swap: Some(Bound::At(8192)), ..MemoryLimits::default() },
        pids: Some(Bound::Max),
        io: IoLimits {
            weight: Some(IoWeight::Io(100)),
            read_bps: throttle(0),
            write_iops: throttle(0),
            write_bps: throttle(16),
            ..IoLimits::default()
        },
        hugetlb: vec![HugetlbLimit { page_size: "2MB".into(), limit: Bound::Max }],
        rdma: vec![RdmaLimit { device: "mlx5_0".into(), handles: Some(2), objects: None }],
        ..Limits::default()
    }
}

#[test]
fn nothing_needs_nothing() {
    assert!(Limits::default().controllers().is_empty());
    assert_eq!(Limits::default().settings(&|_| None), Ok(Lowered::default()));
    let only_how = memory(MemoryLimits { check_before_update: true, ..MemoryLimits::default() });
    assert!(only_how.controllers().is_empty());
}

#[test]
fn the_numbers_of_v2_on_v2() {
    let expected = [
        "cpu.weight=100",
        "cpu.max=70000 100000",
        "cpu.max.burst=1000",
        "cpuset.cpus=0-1",
        "memory.swap.max=4096",
        "memory.max=4096",
        "pids.max=max",
        "io.weight=100",
        "io.max=8:0 rbps=1024 wiops=1024",
        "io.max=8:16 wbps=1024",
        "hugetlb.2MB.max=max",
        "hugetlb.2MB.rsvd.max=max",
        "rdma.max=mlx5_0 hca_handle=2",
    ];
    assert_eq!(written(&everything(), &v2), expected);
}

#[test]
fn the_numbers_of_v2_on_v1() {
    let expected = [
        "cpu.shares=1024",
        "cpu.cfs_quota_us=70000",
        "cpu.cfs_burst_us=1000",
        "cpuset.cpus=0-1",
        "memory.limit_in_bytes=4096",
        "memory.memsw.limit_in_bytes=8192",
        "pids.max=max",
        "blkio.bfq.weight=100",
        "blkio.throttle.read_bps_device=8:0 1024",
        "blkio.throttle.write_bps_device=8:16 1024",
        "blkio.throttle.write_iops_device=8:0 1024",
        "hugetlb.2MB.limit_in_bytes=-1",
        "hugetlb.2MB.rsvd.limit_in_bytes=-1",
        "rdma.max=mlx5_0 hca_handle=2",
    ];
    assert_eq!(written(&everything(), &v1), expected);
}

#[test]
fn on_hybrid_each_controller_has_its_own_version() {
    let hybrid = |controller| if controller == Controller::Hugetlb { v2(controller) } else { v1(controller) };
    let settings = everything().settings(&hybrid).unwrap().strict().unwrap();
    let on_v2 = settings.iter().filter(|setting| setting.version == Version::V2);
    assert!(on_v2.map(|setting| setting.file.as_str()).eq(["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"]));
}

#[test]
fn only_controllers_that_are_needed_are_asked_for() {
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let limits = Limits { unified: vec![("misc.max".into(), "x 1".into())], ..everything() };
    let on = |controller| {
        asked.borrow_mut().insert(controller);
        v2(controller)
    };
    limits.settings(&on).unwrap();
    assert_eq!(asked.into_inner(), limits.controllers());
    assert!(!limits.controllers().contains(&Controller::Devices));
}

#[test]
fn weights_of_devices_are_told_to_whoever_is_in_charge() {
    let weight = DeviceWeight { device: (8, 0), weight: Some(IoWeight::Blkio(1000)), leaf_weight: None };
    let limits = io(IoLimits { weight_devices: vec![weight], ..IoLimits::default() });
    let [setting] = &limits.settings(&v2).unwrap().strict().unwrap()[..] else { panic!("one setting") };
    assert_eq!((setting.file.as_str(), setting.value.as_str()), ("io.weight", "8:0 10000"));
    assert_eq!(setting.presence, Presence::Twin { file: "io.bfq.weight".into(), value: "8:0 1000".into() });
    assert_eq!(written(&limits, &v1), ["blkio.bfq.weight_device=8:0 1000"]);
}

#[test]
fn a_rate_without_bound_takes_a_limit_away() {
    let limits = io(IoLimits { read_bps: vec![Throttle { device: (8, 0), rate: Bound::Max }], ..IoLimits::default() });
    assert_eq!(written(&limits, &v1), ["blkio.throttle.read_bps_device=8:0 0"]);
    assert_eq!(written(&limits, &v2), ["io.max=8:0 rbps=max"]);
}

#[test]
fn what_only_v1_has() {
    let limits = Limits {
        cpu: CpuLimits { realtime_runtime: Some(500), realtime_period: Some(2_000_000), ..CpuLimits::default() },
        memory: MemoryLimits {
            reservation: Some(Bound::Max),
            kernel_tcp: Some(Bound::At(4096)),
            swappiness: Some(0),
            disable_oom_killer: true,
            ..MemoryLimits::default()
        },
        network: NetworkLimits { class_id: Some(0x10_0001), priorities: vec![("eth0".into(), 5)] },
        ..Limits::default()
    };
    let expected = [
        "cpu.rt_period_us=2000000",
        "cpu.rt_runtime_us=500",
        "memory.soft_limit_in_bytes=-1",
        "memory.kmem.tcp.limit_in_bytes=4096",
        "memory.oom_control=1",
        "memory.swappiness=0",
        "net_cls.classid=1048577",
        "net_prio.ifpriomap=eth0 5",
    ];
    assert_eq!(written(&limits, &v1), expected);
    assert_eq!(limits.settings(&v2).unwrap().refused.len(), 7);
}

#[test]
fn unlimited_memory_is_unlimited_swap_where_swap_is_counted() {
    let limits = memory(MemoryLimits { limit: Some(Bound::Max), ..MemoryLimits::default() });
    for (on, file) in [(&v1 as &Hierarchies<'_>, "memory.memsw.limit_in_bytes"), (&v2, "memory.swap.max")] {
        let settings = limits.settings(on).unwrap().strict().unwrap();
        assert_eq!((settings[0].file.as_str(), &settings[0].presence), (file, &Presence::Optional));
        assert_eq!(settings[1].presence, Presence::Required);
    }
}

#[test]
fn files_by_name_come_last() {
    let unified = vec![("memory.high".into(), "1M".into()), ("cgroup.max.depth".into(), "1".into())];
    let limits = Limits { unified, pids: Some(Bound::At(1)), ..Limits::default() };
    assert_eq!(written(&limits, &v2), ["pids.max=1", "memory.high=1M", "cgroup.max.depth=1"]);
    let settings = limits.settings(&v2).unwrap().settings;
    let controllers = settings.iter().map(|setting| setting.controller);
    assert!(controllers.eq([Some(Controller::Pids), Some(Controller::Memory), None]));
}
