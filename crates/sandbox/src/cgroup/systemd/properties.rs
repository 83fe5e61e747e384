//! Limits as properties: systemd.resource-control(5), with the values that runc gives them.

use super::devices;
use super::property::{Property, Value};
use super::unified;
use crate::cgroup::{
    Bound, CpuLimits, CpuWeight, DeviceWeight, IoLimits, IoWeight, LimitError, Limits, MemoryLimits, NumberList,
    Throttle,
};

/// The kernel's own period: "CPU Interface Files" of cgroup-v2.rst.
const PERIOD: u64 = 100_000;

/// The largest number that a CPU or a memory node can have: CONFIG_NR_CPUS is 8192 at most.
const MOST_BITS: u32 = 8192;

/// What systemd can be asked for of the limits, in the order in which it is to be asked. `devices` is what /proc/devices says.
///
/// What has no property isn't there: burst, idle and realtime of the CPU, hugetlb, rdma, network marks, most files of `unified`. systemd
/// doesn't touch those files of a scope. Neither are rules for devices that systemd can't say: then it allows all, and the caller's own
/// program decides. systemd rounds a quota up to whole per cents of a CPU, so the exact value has to be written too.
///
/// # Errors
/// A value that no group can have.
pub fn properties(limits: &Limits, devices: &str) -> Result<Vec<Property>, LimitError> {
    let mut all = devices::properties(&limits.devices, devices);
    all.extend(memory(&limits.memory)?);
    all.extend(cpu(&limits.cpu)?);
    all.extend(limits.pids.map(|bound| Property::new("TasksMax", number(bound))));
    all.extend(io(&limits.io));
    all.extend(unified::properties(&limits.unified)?);
    Ok(all)
}

/// systemd has no limit as the largest number.
pub fn number(bound: Bound) -> Value {
    Value::Number(match bound {
        Bound::Max => u64::MAX,
        Bound::At(value) => value,
    })
}

fn memory(limits: &MemoryLimits) -> Result<Vec<Property>, LimitError> {
    let bounds = [
        ("MemoryMax", limits.limit),
        ("MemoryLow", limits.reservation),
        ("MemorySwapMax", swap_alone(limits.limit, limits.swap)?),
    ];
    let wanted = bounds.into_iter().filter_map(|(name, bound)| Some((name, bound?)));
    Ok(wanted.map(|(name, bound)| Property::new(name, number(bound))).collect())
}

/// cgroup v2 counts swap alone, where OCI and v1 count memory and swap together.
fn swap_alone(memory: Option<Bound>, both: Option<Bound>) -> Result<Option<Bound>, LimitError> {
    match (memory, both) {
        (Some(Bound::Max), None) | (_, Some(Bound::Max)) => Ok(Some(Bound::Max)),
        (_, None) => Ok(None),
        (Some(Bound::At(memory)), Some(Bound::At(both))) => match both.checked_sub(memory) {
            Some(swap) => Ok(Some(Bound::At(swap))),
            None => Err(LimitError {
                problem: format!("{both} bytes of memory and swap together are less than {memory} bytes of memory"),
                remedy: "count the memory in: the limit of swap is that of both".to_owned(),
            }),
        },
        (_, Some(Bound::At(both))) => Err(LimitError {
            problem: format!("{both} bytes of memory and swap together, and no limit of memory"),
            remedy: "limit the memory too".to_owned(),
        }),
    }
}

fn cpu(limits: &CpuLimits) -> Result<Vec<Property>, LimitError> {
    let mut all: Vec<Property> = limits.weight.map(cpu_weight).into_iter().collect();
    all.extend(quota(limits.quota, limits.period)?);
    for (name, list) in [("AllowedCPUs", &limits.cpus), ("AllowedMemoryNodes", &limits.mems)] {
        if let Some(list) = list {
            all.push(Property::new(name, bits(list)?));
        }
    }
    Ok(all)
}

/// runc's line from [2, 262144] to [1, 10000].
fn cpu_weight(weight: CpuWeight) -> Property {
    let weight = match weight {
        CpuWeight::Shares(shares) => 1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142,
        CpuWeight::Weight(weight) => weight,
    };
    Property::new("CPUWeight", Value::Number(weight))
}

/// The period comes first: systemd checks a quota against the period that it has.
pub fn quota(quota: Option<Bound>, period: Option<u64>) -> Result<Vec<Property>, LimitError> {
    let wrong = |problem: String| LimitError { problem, remedy: "give microseconds from 1000 to 1000000".to_owned() };
    if period == Some(0) {
        return Err(wrong("a CPU period of 0 microseconds".to_owned()));
    }
    let mut all: Vec<Property> =
        period.map(|period| Property::new("CPUQuotaPeriodUSec", Value::Number(period))).into_iter().collect();
    if quota.is_some() || period.is_some() {
        let in_a_second = match quota {
            Some(Bound::At(0)) => return Err(wrong("a CPU quota of 0 microseconds".to_owned())),
            Some(Bound::At(quota)) => in_a_second(quota, period.unwrap_or(PERIOD)),
            Some(Bound::Max) | None => u64::MAX,
        };
        all.push(Property::new("CPUQuotaPerSecUSec", Value::Number(in_a_second)));
    }
    Ok(all)
}

/// systemd keeps whole per cents: what is between two of them is rounded up, so that a sub-group can have as much as was asked for.
fn in_a_second(quota: u64, period: u64) -> u64 {
    let exact = u128::from(quota) * 1_000_000 / u128::from(period);
    u64::try_from(exact.next_multiple_of(10_000)).unwrap_or(u64::MAX)
}

/// The lowest bit of the first byte is number 0: cpu_set_from_dbus() of systemd. runc had the bytes the other way round up to 1.1.5.
pub fn bits(list: &NumberList) -> Result<Value, LimitError> {
    let most = list.ranges().last().map_or(0, |(_, last)| *last);
    if most >= MOST_BITS {
        return Err(LimitError {
            problem: format!("there is no CPU or memory node {most}: {list}"),
            remedy: "see `lscpu` for those that are there".to_owned(),
        });
    }
    let mut bytes = vec![0; most as usize / 8 + 1];
    for number in list.ranges().iter().flat_map(|&(first, last)| first..=last) {
        bytes[number as usize / 8] |= 1 << (number % 8);
    }
    Ok(Value::Bits(bytes))
}

fn io(limits: &IoLimits) -> Vec<Property> {
    let weight = limits.weight.map(|weight| Property::new("IOWeight", Value::Number(io_weight(weight))));
    let weights = limits.weight_devices.iter().filter_map(device_weight).collect();
    let rates = [
        ("IODeviceWeight", weights),
        ("IOReadBandwidthMax", rates(&limits.read_bps)),
        ("IOWriteBandwidthMax", rates(&limits.write_bps)),
        ("IOReadIOPSMax", rates(&limits.read_iops)),
        ("IOWriteIOPSMax", rates(&limits.write_iops)),
    ];
    // An empty list would take limits away that an update doesn't mention.
    let wanted = rates.into_iter().filter(|(_, rates)| !rates.is_empty());
    weight.into_iter().chain(wanted.map(|(name, rates)| Property::new(name, Value::Rates(rates)))).collect()
}

/// runc's line from [10, 1000] to [1, 10000].
fn io_weight(weight: IoWeight) -> u64 {
    match weight {
        IoWeight::Blkio(weight) => 1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990,
        IoWeight::Io(weight) => weight.into(),
    }
}

fn device_weight(device: &DeviceWeight) -> Option<(String, u64)> {
    Some((block_device(device.device), io_weight(device.weight?)))
}

fn rates(throttles: &[Throttle]) -> Vec<(String, u64)> {
    let rate = |throttle: &Throttle| match throttle.rate {
        Bound::Max => u64::MAX,
        Bound::At(rate) => rate,
    };
    throttles.iter().map(|throttle| (block_device(throttle.device), rate(throttle))).collect()
}

/// systemd takes the numbers out of such a path, and needs no file there.
fn block_device((major, minor): (u32, u32)) -> String {
    format!("/dev/block/{major}:{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(limits: &Limits) -> Vec<(&'static str, u64)> {
        let number = |property: Property| match property.value {
            Value::Number(number) => (property.name, number),
            other => panic!("{}: {other:?}", property.name),
        };
        properties(limits, "").unwrap().into_iter().map(number).collect()
    }

    fn cpu_of(quota: Option<Bound>, period: Option<u64>) -> Vec<(&'static str, u64)> {
        numbers(&Limits { cpu: CpuLimits { quota, period, ..CpuLimits::default() }, ..Limits::default() })
    }

    #[test]
    fn no_limits_are_no_properties() {
        assert_eq!(properties(&Limits::default(), ""), Ok(vec![]));
    }

    #[test]
    fn swap_is_counted_alone() {
        let memory = |limit, swap| {
            numbers(&Limits { memory: MemoryLimits { limit, swap, ..MemoryLimits::default() }, ..Limits::default() })
        };
        let at = |value| Some(Bound::At(value));
        assert_eq!(memory(at(100), at(150)), [("MemoryMax", 100), ("MemorySwapMax", 50)]);
        assert_eq!(memory(at(100), at(100)), [("MemoryMax", 100), ("MemorySwapMax", 0)]);
        assert_eq!(memory(at(100), Some(Bound::Max)), [("MemoryMax", 100), ("MemorySwapMax", u64::MAX)]);
        assert_eq!(memory(at(100), None), [("MemoryMax", 100)]);
        assert_eq!(memory(Some(Bound::Max), None), [("MemoryMax", u64::MAX), ("MemorySwapMax", u64::MAX)]);
        assert!(swap_alone(at(100), at(99)).unwrap_err().problem.contains("less than"));
        assert!(swap_alone(None, at(99)).unwrap_err().problem.contains("no limit of memory"));
        assert!(swap_alone(Some(Bound::Max), at(99)).is_err());
    }

    #[test]
    fn a_quota_is_rounded_up_to_whole_per_cents() {
        let at = |value| Some(Bound::At(value));
        assert_eq!(cpu_of(at(70_000), None), [("CPUQuotaPerSecUSec", 700_000)]);
        assert_eq!(cpu_of(at(3333), Some(10_000)), [("CPUQuotaPeriodUSec", 10_000), ("CPUQuotaPerSecUSec", 340_000)]);
        assert_eq!(cpu_of(at(1), None), [("CPUQuotaPerSecUSec", 0x2710)]);
        assert_eq!(cpu_of(Some(Bound::Max), None), [("CPUQuotaPerSecUSec", u64::MAX)]);
        assert_eq!(cpu_of(None, Some(5000)), [("CPUQuotaPeriodUSec", 5000), ("CPUQuotaPerSecUSec", u64::MAX)]);
        assert_eq!(cpu_of(at(u64::MAX), Some(1)).last(), Some(&("CPUQuotaPerSecUSec", u64::MAX)));
        assert!(quota(at(0), None).is_err() && quota(None, Some(0)).is_err());
    }

    #[test]
    fn shares_and_weights_are_runcs() {
        let weights = [(0, 1), (1, 1), (2, 1), (512, 20), (1024, 39), (262_144, 10_000), (u64::MAX, 10_000)];
        for (shares, weight) in weights {
            assert_eq!(cpu_weight(CpuWeight::Shares(shares)).value, Value::Number(weight), "{shares}");
        }
        assert_eq!(cpu_weight(CpuWeight::Weight(77)).value, Value::Number(77));
        for (blkio, io) in [(0, 1), (10, 1), (500, 4950), (1000, 10_000), (u16::MAX, 10_000)] {
            assert_eq!(io_weight(IoWeight::Blkio(blkio)), io, "{blkio}");
        }
    }

    #[test]
    fn the_first_byte_has_the_lowest_numbers() {
        let bits = |list: &str| bits(&list.parse().unwrap());
        assert_eq!(bits("0,2,9"), Ok(Value::Bits(vec![0b101, 0b10])));
        assert_eq!(bits("7-8"), Ok(Value::Bits(vec![0x80, 1])));
        assert_eq!(bits("16"), Ok(Value::Bits(vec![0, 0, 1])));
        assert!(bits("4000000000").unwrap_err().problem.contains("4000000000"));
    }

    #[test]
    fn block_devices_are_named_by_their_numbers() {
        let throttle = |rate| Throttle { device: (8, 16), rate };
        let weight = Some(IoWeight::Io(200));
        let limits = IoLimits {
            weight: Some(IoWeight::Blkio(10)),
            weight_devices: vec![DeviceWeight { device: (8, 0), weight, leaf_weight: None }],
            read_bps: vec![throttle(Bound::At(5)), throttle(Bound::Max)],
            ..IoLimits::default()
        };
        let path = "/dev/block/8:16".to_owned();
        let expected = [
            Property::new("IOWeight", Value::Number(1)),
            Property::new("IODeviceWeight", Value::Rates(vec![("/dev/block/8:0".to_owned(), 200)])),
            Property::new("IOReadBandwidthMax", Value::Rates(vec![(path.clone(), 5), (path, u64::MAX)])),
        ];
        assert_eq!(io(&limits), expected);
    }
}
