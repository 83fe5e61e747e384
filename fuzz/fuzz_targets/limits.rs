//! Arbitrary numbers and names as limits of a group whose files say arbitrary things: what is accepted becomes lines for plain files, on v1 and v2.
//! Arbitrary text as lists of CPUs.
#![no_main]

use izba_sandbox::cgroup::{
    Bound, CpuLimits, CpuWeight, DeviceWeight, HugetlbLimit, IoLimits, IoWeight, Limits, MemoryLimits, NetworkLimits,
    NumberList, RdmaLimit, Setting, Throttle, Version,
};
use libfuzzer_sys::fuzz_target;

type Numbers = (Option<u64>, Option<u64>, Option<u64>, Option<u64>);

/// Half of the bounds are none.
fn bound(number: u64) -> Bound {
    if number % 2 == 0 { Bound::Max } else { Bound::At(number / 2) }
}

fn cpu((weight, quota, period, burst): Numbers, list: Option<NumberList>) -> CpuLimits {
    let weight =
        weight.map(|weight| if weight % 2 == 0 { CpuWeight::Shares(weight) } else { CpuWeight::Weight(weight) });
    let (realtime_runtime, realtime_period) = (burst.map(u64::cast_signed), period);
    let quota = quota.map(bound);
    let idle = burst.map(|burst| burst % 2 == 0);
    CpuLimits { weight, quota, period, burst, realtime_runtime, realtime_period, idle, cpus: list.clone(), mems: list }
}

fn memory((limit, swap, reservation, swappiness): Numbers, flag: bool) -> MemoryLimits {
    let (limit, swap, reservation) = (limit.map(bound), swap.map(bound), reservation.map(bound));
    let (disable_oom_killer, check_before_update) = (flag, flag);
    MemoryLimits {
        limit,
        swap,
        reservation,
        kernel_tcp: reservation,
        swappiness,
        disable_oom_killer,
        check_before_update,
    }
}

fn io(device: (u32, u32), share: u16, rate: Option<u64>) -> IoLimits {
    let weight = Some(if share % 2 == 0 { IoWeight::Blkio(share) } else { IoWeight::Io(share) });
    let throttles: Vec<Throttle> = rate.into_iter().map(|rate| Throttle { device, rate: bound(rate) }).collect();
    IoLimits {
        weight,
        leaf_weight: Some(share),
        weight_devices: vec![DeviceWeight { device, weight, leaf_weight: None }],
        read_bps: throttles.clone(),
        write_iops: throttles,
        ..IoLimits::default()
    }
}

fn is_for_a_plain_file(setting: &Setting) -> bool {
    !setting.file.is_empty() && !setting.file.contains(['/', '\0']) && !setting.file.contains("..")
}

fn is_sound(list: &NumberList) -> bool {
    let ranges = list.ranges();
    let apart = ranges.windows(2).all(|pair| pair[0].1 < pair[1].0 - 1);
    apart && ranges.iter().all(|(first, last)| first <= last) && list.contains_all(list)
}

fuzz_target!(|input: (&str, &str, &str, (u32, u32), (u16, bool), Numbers, Numbers)| {
    let (name, file, current, device, (share, flag), of_cpu, of_memory) = input;
    let list = name.parse::<NumberList>().ok();
    if let Some(list) = &list {
        assert!(is_sound(list), "{list:?}");
        assert_eq!(list.to_string().parse().as_ref(), Ok(list));
    }
    let limits = |what: usize| {
        let mut limits = Limits::default();
        match what {
            0 => limits.cpu = cpu(of_cpu, list.clone()),
            1 => limits.memory = memory(of_memory, flag),
            2 => limits.io = io(device, share, of_cpu.0),
            3 => limits.hugetlb = vec![HugetlbLimit { page_size: name.into(), limit: bound(device.0.into()) }],
            4 => {
                let objects = flag.then_some(device.1);
                limits.rdma = vec![RdmaLimit { device: name.into(), handles: Some(device.0), objects }];
            }
            5 => limits.network = NetworkLimits { class_id: Some(device.0), priorities: vec![(name.into(), device.1)] },
            6 => limits.unified = vec![(file.into(), name.into())],
            _ => limits.pids = of_memory.0.map(bound),
        }
        limits
    };
    for limits in (0..8).map(limits) {
        for version in [Version::V1, Version::V2] {
            let changes = limits.changes(&|_| Some(version), &|_, _| Some(current.to_owned()));
            let Ok(lowered) = changes else { continue };
            assert!(lowered.settings.iter().all(is_for_a_plain_file), "{lowered:?}");
            // Each is one line for the kernel, but what was given as it is to be written.
            let lines = lowered.settings.iter().filter(|_| limits.unified.is_empty());
            assert!(lines.into_iter().all(|setting| !setting.value.contains(['\n', '\0'])), "{lowered:?}");
        }
    }
});
