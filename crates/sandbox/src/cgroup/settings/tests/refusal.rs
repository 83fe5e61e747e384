//! What is wrong by itself, and what can't be had here.

use super::*;

/// Limits that have what is named, for one reason each.
#[test]
fn wrong_values_are_named_with_what_is_allowed() {
    for (limits, problem, remedy) in wrong() {
        let error = limits.check().unwrap_err();
        assert!(error.problem.contains(problem), "{}", error.problem);
        assert!(error.remedy.contains(remedy), "{}", error.remedy);
        assert_eq!(limits.settings(&v2).unwrap_err(), error);
    }
}

fn wrong() -> Vec<(Limits, &'static str, &'static str)> {
    let mut wrong = wrong_memory();
    wrong.extend(wrong_cpu());
    wrong.extend(wrong_io());
    wrong.extend(wrong_others());
    wrong
}

fn wrong_cpu() -> Vec<(Limits, &'static str, &'static str)> {
    let of = |change: fn(&mut CpuLimits)| {
        let mut limits = CpuLimits::default();
        change(&mut limits);
        cpu(limits)
    };
    vec![
        (of(|cpu| cpu.weight = Some(CpuWeight::Shares(1))), "1 is no value for CPU shares", "2 to 262144"),
        (of(|cpu| cpu.weight = Some(CpuWeight::Weight(0))), "0 is no value for a CPU weight", "1 to 10000"),
        (of(|cpu| (cpu.weight, cpu.idle) = (Some(CpuWeight::Weight(1)), Some(true))), "cpu.idle", "leave one"),
        (of(|cpu| cpu.quota = Some(Bound::At(999))), "999 is no value for a CPU quota in µs", "1000 to"),
        (of(|cpu| cpu.period = Some(1_000_001)), "1000001 is no value for a CPU period", "1000 to 1000000"),
        (of(|cpu| (cpu.quota, cpu.burst) = (Some(Bound::At(5000)), Some(5001))), "burst of 5001", "0 to 5000"),
        (of(|cpu| cpu.realtime_runtime = Some(-2)), "-2 is no value for a realtime budget", "-1 to"),
        (of(|cpu| (cpu.realtime_runtime, cpu.realtime_period) = (Some(2), Some(1))), "its period of 1", "0 to 1"),
    ]
}

fn wrong_memory() -> Vec<(Limits, &'static str, &'static str)> {
    let of = |limit, swap, reservation| memory(MemoryLimits { limit, swap, reservation, ..MemoryLimits::default() });
    let swappy = memory(MemoryLimits { swappiness: Some(101), ..MemoryLimits::default() });
    let at = |bytes| Some(Bound::At(bytes));
    vec![
        (of(at(0), None, None), "0 is no value for a memory limit", "or no bound"),
        (of(at(1 << 63), None, None), "9223372036854775808 is no value", "1 to"),
        (of(at(5), at(4), None), "4 bytes of memory and swap together is less than the 5", "at least 5"),
        (of(Some(Bound::Max), at(4), None), "4 bytes where memory is not limited", "limit memory too"),
        (of(at(4), None, at(5)), "reservation of 5 bytes is more than the limit of 4", "at most"),
        (swappy, "101 is no value for swappiness", "0 to 100"),
    ]
}

fn wrong_io() -> Vec<(Limits, &'static str, &'static str)> {
    let throttled = |rates: &[u64]| {
        let throttle = |rate: &u64| Throttle { device: (8, 0), rate: Bound::At(*rate) };
        io(IoLimits { read_iops: rates.iter().map(throttle).collect(), ..IoLimits::default() })
    };
    let weighed = |weight| {
        let device = DeviceWeight { device: (8, 0), weight: Some(weight), leaf_weight: None };
        io(IoLimits { weight_devices: vec![device], ..IoLimits::default() })
    };
    vec![
        (throttled(&[0]), "0 is no value for reads in a second on 8:0", "1 to 4294967295, or no bound"),
        (throttled(&[1 << 32]), "4294967296 is no value for reads", "1 to 4294967295"),
        (throttled(&[1, 2]), "given twice for 8:0", "once"),
        (weighed(IoWeight::Blkio(9)), "9 is no value for the I/O weight of 8:0 in v1's scale", "10 to 1000"),
        (weighed(IoWeight::Io(0)), "0 is no value for the I/O weight of 8:0", "1 to 10000"),
        (io(IoLimits { leaf_weight: Some(1), ..IoLimits::default() }), "1 is no value for an I/O leaf weight", "10"),
    ]
}

fn wrong_others() -> Vec<(Limits, &'static str, &'static str)> {
    let none = Limits::default;
    let pages =
        |size: &str| Limits { hugetlb: vec![HugetlbLimit { page_size: size.into(), limit: Bound::At(1) }], ..none() };
    let rdma = |device: &str| Limits {
        rdma: vec![RdmaLimit { device: device.into(), handles: None, objects: None }],
        ..none()
    };
    let interface =
        |name: &str| Limits { network: NetworkLimits { class_id: None, priorities: vec![(name.into(), 1)] }, ..none() };
    let by_name = |file: &str| Limits { unified: vec![(file.into(), "1".into())], ..none() };
    let twice = Limits { unified: vec![("pids.max".into(), "1".into()); 2], ..none() };
    vec![
        (Limits { pids: Some(Bound::At(0)), ..none() }, "0 is no value for a limit of processes", "1 to 4194304"),
        (pages("2M"), "\"2M\" is no size of huge pages", "2MB"),
        (pages("0MB"), "\"0MB\"", "2MB"),
        (pages("../2MB"), "\"../2MB\"", "2MB"),
        (rdma("mlx5_0"), "nothing is limited", "handles"),
        (rdma("a b"), "\"a b\" is no name", "/sys/class/infiniband"),
        (rdma("a\0b"), "\"a\\0b\" is no name", "/sys/class/infiniband"),
        (interface("eth0 7\n"), "is no name of a network interface", "/sys/class/net"),
        (interface("eth\0"), "is no name of a network interface", "/sys/class/net"),
        (by_name("memory/max"), "\"memory/max\" can't be set: it is no plain file name", "CONTROLLER.PARAMETER"),
        (by_name(".."), "no plain file name", "CONTROLLER.PARAMETER"),
        (by_name("memory"), "names no controller", "CONTROLLER.PARAMETER"),
        (by_name("blkio.weight"), "cgroup v2 has no controller blkio", "CONTROLLER.PARAMETER"),
        (by_name("cgroup.procs"), "it is no limit", "CONTROLLER.PARAMETER"),
        (twice, "given twice for pids.max", "once"),
    ]
}

#[test]
fn a_limit_and_a_file_by_name_must_agree() {
    let both = |value: &str| Limits {
        pids: Some(Bound::At(7)),
        unified: vec![("pids.max".into(), value.into())],
        ..Limits::default()
    };
    assert!(both("8").settings(&v2).unwrap_err().problem.contains("both \"7\", by a limit, and \"8\""));
    assert!(both("7").settings(&v2).is_ok());
}

/// Best effort: each that can't be had is named, and the others stay.
#[test]
fn what_cannot_be_had_is_named_one_by_one() {
    let mut limits = everything();
    limits.memory.swappiness = Some(10);
    limits.cpu.realtime_runtime = Some(7);
    limits.network.class_id = Some(9);
    limits.unified = vec![("misc.max".into(), "x 1".into())];
    let without = |controller| v2(controller).filter(|_| ![Controller::Io, Controller::Misc].contains(&controller));
    let lowered = limits.settings(&without).unwrap();
    let problems: Vec<String> = lowered.refused.iter().map(ToString::to_string).collect();
    for part in [
        "no realtime budget (7 µs)",
        "no swappiness (10)",
        "io.weight can't be set to \"100\": the io controller can't be used here",
        "io.max can't be set to \"8:0 rbps=1024 wiops=1024\"",
        "io.max can't be set to \"8:16 wbps=1024\"",
        "net_cls.classid can't be set to \"9\": the net_cls controller can't be used here",
        "misc.max can't be set to \"x 1\"",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
    }
    assert_eq!(problems.len(), 7);
    assert!(lowered.settings.iter().any(|setting| setting.file == "memory.max"));
    assert_eq!(lowered.clone().strict(), Err(lowered.refused[0].clone()));
}
