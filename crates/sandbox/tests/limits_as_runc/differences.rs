//! Where izba means to differ from runc 1.1.5, and why. Each is asserted: where it applies izba does otherwise, and it applies somewhere.

use std::fmt::Display;

use crate::case::Case;

/// Of which files a group consists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V1,
    /// Without the BFQ scheduler.
    V2,
    V2WithBfq,
}

pub(crate) type Writes = Vec<(String, String)>;

/// What is different.
pub(crate) enum Effect {
    /// izba refuses all of it, runc none.
    Refused(fn(&Case, Kind) -> bool),
    /// runc refuses all of it, izba nothing.
    Accepted(fn(&Case, Kind) -> bool),
    /// izba names so many limits that this kind of group can't have, where runc says nothing, or fails later.
    Named(fn(&Case, Kind) -> usize),
    /// Only izba writes these.
    More(fn(&Case, Kind) -> Writes),
    /// Only runc writes these.
    Less(fn(&Case, Kind) -> Writes),
}

use Effect::{Accepted, Less, More, Named, Refused};

pub(crate) const DIFFERENCES: &[(&str, Effect)] = &[
    (
        "the kernel moves shares into 2..=262144 (v1; runc fails when it reads them back), or refuses what becomes of them (v2)",
        Refused(|case, _| out(case.shares, 2, 262_144)),
    ),
    (
        "the kernel answers EINVAL to periods outside of 1 ms to 1 s",
        Refused(|case, _| out(case.period, 1000, 1_000_000)),
    ),
    (
        "the kernel answers EINVAL to quotas below 1 ms or above 44 bits",
        Refused(|case, _| out(positive(case.quota), 1000, MOST_TIME)),
    ),
    (
        "the kernel answers EINVAL to realtime budgets and periods above 44 bits",
        Refused(|case, _| {
            out(case.realtime_period, 1, MOST_TIME) || out(positive(case.realtime_runtime), 1, MOST_TIME)
        }),
    ),
    (
        "the kernel answers EINVAL to a realtime budget above its period",
        Refused(|case, _| {
            case.realtime_period.is_some_and(|period| {
                period != 0 && positive(case.realtime_runtime).is_some_and(|budget| budget > period)
            })
        }),
    ),
    ("memory with swap is never less than memory; runc lets v1 find out", Refused(|case, _| swap_is_less(case))),
    ("what is reserved beyond the limit isn't there", Refused(|case, _| reserves_more(case))),
    (
        "swappiness is 0 to 100; runc doesn't look on v2",
        Refused(|case, _| case.swappiness.is_some_and(|swappiness| swappiness > 100)),
    ),
    (
        "pids.max takes no more than the kernel's largest process id",
        Refused(|case, _| out(positive(case.pids), 1, 4 << 20)),
    ),
    (
        "the kernel answers EINVAL or ERANGE to weights outside of 10..=1000 that OCI allows, or they become nonsense on v2",
        Refused(|case, _| {
            let devices = case.weight_devices.iter().flat_map(|device| [Some(device.1), Some(device.2)]);
            devices.chain([case.weight, case.leaf_weight]).any(|weight| out(weight.map(u64::from), 10, 1000))
        }),
    ),
    (
        "a device that is given twice for one kind of limit contradicts itself",
        Refused(|case, _| {
            twice(case.weight_devices.iter().map(|device| device.0))
                || case.throttles.iter().any(|list| twice(list.iter().map(|it| it.0)))
        }),
    ),
    (
        "v1 cuts operations in a second to 32 bits",
        Refused(|case, _| case.throttles[2..].iter().flatten().any(|it| it.1 > u32::MAX.into())),
    ),
    (
        "no file belongs to such a page size",
        Refused(|case, _| case.hugetlb.iter().any(|it| ["2M", "0MB"].contains(&it.0))),
    ),
    (
        "a page size that is given twice contradicts itself",
        Refused(|case, _| twice(case.hugetlb.iter().map(|it| it.0))),
    ),
    (
        "the kernel counts pages in a signed long",
        Refused(|case, _| case.hugetlb.iter().any(|it| it.1 > i64::MAX.cast_unsigned())),
    ),
    (
        "an RDMA device without any limit limits nothing",
        Refused(|case, _| case.rdma.iter().any(|it| it.1.is_none() && it.2.is_none())),
    ),
    (
        "no interface has such a name",
        Refused(|case, _| case.priorities.iter().any(|it| it.0.is_empty() || it.0.len() > 15)),
    ),
    (
        "an interface that is given twice contradicts itself",
        Refused(|case, _| twice(case.priorities.iter().map(|it| it.0))),
    ),
    (
        "unified sets limits by the names that the kernel has, and moves no process",
        Refused(|case, _| {
            case.unified.iter().any(|it| ["cgroup.procs", "nothing.max", "memory", "../memory.max"].contains(&it.0))
        }),
    ),
    (
        "a file by its name and a limit that is written there have one value; in runc the name wins without a word",
        Refused(|case, kind| kind != Kind::V1 && contradicts(case)),
    ),
    (
        "cgroup.max.depth is a file of the unified group that a hybrid system has beside v1",
        Accepted(|case, kind| {
            let other_limits =
                swap_alone(case).len() + case.unified.iter().filter(|it| it.0 != "cgroup.max.depth").count();
            kind == Kind::V1 && !case.unified.is_empty() && other_limits == 0
        }),
    ),
    (
        "realtime budgets are v1's: runc drops them without a word",
        Named(|case, kind| {
            let given =
                [case.realtime_runtime.is_some_and(|it| it != 0), case.realtime_period.is_some_and(|it| it != 0)];
            if kind == Kind::V1 { 0 } else { given.into_iter().filter(|given| *given).count() }
        }),
    ),
    (
        "TCP buffers, swappiness and the OOM killer's switch are v1's: runc drops them without a word",
        Named(|case, kind| {
            let given = [case.kernel_tcp.is_some(), case.swappiness.is_some(), case.disable_oom_killer];
            if kind == Kind::V1 { 0 } else { given.into_iter().filter(|given| *given).count() }
        }),
    ),
    (
        "leaf weights are v1's: runc drops them without a word",
        Named(|case, kind| {
            let devices = case.weight_devices.iter().map(|it| it.2).filter(|leaf| *leaf != 0).count();
            if kind == Kind::V1 { 0 } else { devices + usize::from(case.leaf_weight.is_some_and(|leaf| leaf != 0)) }
        }),
    ),
    (
        "marks of packets are v1's: runc drops them without a word",
        Named(|case, kind| {
            if kind == Kind::V1 {
                0
            } else {
                case.priorities.len() + usize::from(case.class_id.is_some_and(|class| class != 0))
            }
        }),
    ),
    ("the kernel answers EINVAL to a limit of both where memory has none", Named(|case, _| swap_alone(case).len())),
    ("the same", Less(|case, kind| if kind == Kind::V1 { swap_alone(case) } else { Writes::new() })),
    (
        "TCP buffers are limited as long as the kernel has the file",
        More(|case, kind| match case.kernel_tcp {
            Some(bytes) if kind == Kind::V1 => one("memory.kmem.tcp.limit_in_bytes", bytes),
            _ => Writes::new(),
        }),
    ),
    (
        "reserved huge pages are limited with those in use, as in runc 1.2",
        More(|case, kind| {
            let name = if kind == Kind::V1 { "limit_in_bytes" } else { "max" };
            case.hugetlb
                .iter()
                .map(|(size, limit)| (format!("hugetlb.{size}.rsvd.{name}"), limit.to_string()))
                .collect()
        }),
    ),
    (
        "whether BFQ is in charge of a device its file doesn't say, so io.weight is told too",
        More(|case, kind| match case.weight {
            Some(weight) if weight != 0 && kind == Kind::V2WithBfq => one("io.weight", linear(weight)),
            _ => Writes::new(),
        }),
    ),
    (
        "io.weight takes single devices too",
        More(|case, kind| {
            let weights = case.weight_devices.iter().filter(|it| it.1 != 0 && kind != Kind::V1);
            weights.map(|it| ("io.weight".into(), format!("8:{} {}", it.0, linear(it.1)))).collect()
        }),
    ),
    (
        "a device's weight that isn't given is no weight of 0",
        Less(|case, kind| {
            let unset = case.weight_devices.iter().filter(|it| it.1 == 0 && kind == Kind::V2WithBfq);
            unset.map(|it| ("io.bfq.weight".into(), format!("8:{} 0", it.0))).collect()
        }),
    ),
    ("a rate of 0 takes a limit away on v1, and is ERANGE on v2", Less(|case, kind| rates_of_0(case, kind, "0"))),
    ("which is \"max\" there", More(|case, kind| rates_of_0(case, kind, "max"))),
    (
        "lists of CPUs are written as the kernel does",
        Less(|case, _| if case.cpus == "0,1" { one("cpuset.cpus", "0,1") } else { Writes::new() }),
    ),
    ("so", More(|case, _| if case.cpus == "0,1" { one("cpuset.cpus", "0-1") } else { Writes::new() })),
];

const MOST_TIME: u64 = (1 << 44) - 1;

fn out(value: Option<u64>, first: u64, last: u64) -> bool {
    value.is_some_and(|value| value != 0 && !(first..=last).contains(&value))
}

fn positive(value: Option<i64>) -> Option<u64> {
    value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value != 0)
}

fn swap_is_less(case: &Case) -> bool {
    match (case.limit, positive(case.swap)) {
        (Some(-1), Some(_)) => true,
        (limit, Some(swap)) => positive(limit).is_some_and(|limit| swap < limit),
        _ => false,
    }
}

fn reserves_more(case: &Case) -> bool {
    positive(case.limit).zip(positive(case.reservation)).is_some_and(|(limit, reservation)| reservation > limit)
}

fn swap_alone(case: &Case) -> Writes {
    match positive(case.swap) {
        Some(swap) if case.limit.unwrap_or(0) == 0 => one("memory.memsw.limit_in_bytes", swap),
        _ => Writes::new(),
    }
}

fn contradicts(case: &Case) -> bool {
    let limits = [
        ("memory.max", case.limit.is_some_and(|limit| ![0, 4096].contains(&limit))),
        ("pids.max", case.pids.is_some_and(|limit| ![0, 7].contains(&limit))),
        ("cpu.weight", case.shares.is_some_and(|shares| shares > 28)),
    ];
    case.unified.iter().any(|(file, _)| limits.contains(&(file, true)))
}

fn rates_of_0(case: &Case, kind: Kind, value: &str) -> Writes {
    let keys = ["rbps", "wbps", "riops", "wiops"].iter().zip(&case.throttles);
    let zeros = keys.flat_map(|(key, list)| list.iter().filter(|it| it.1 == 0).map(move |it| (key, it.0)));
    let of_v2 = zeros.filter(|_| kind != Kind::V1);
    of_v2.map(|(key, minor)| ("io.max".into(), format!("8:{minor} {key}={value}"))).collect()
}

/// runc's own formula for `io.weight`.
fn linear(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

fn twice<T: PartialEq>(values: impl Iterator<Item = T>) -> bool {
    let all: Vec<T> = values.collect();
    (1..all.len()).any(|index| all[..index].contains(&all[index]))
}

fn one(file: &str, value: impl Display) -> Writes {
    vec![(file.into(), format!("{value}"))]
}
