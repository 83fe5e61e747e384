//! What is written to a group's files, as properties: systemd.resource-control(5).

use super::property::{Property, Value};
use crate::cgroup::{NumberList, Presence, Setting, Version};

/// The largest number that a CPU or a memory node can have: CONFIG_NR_CPUS is 8192 at most.
const MOST_BITS: u32 = 8192;

/// What systemd can be asked for of what is to be written to a scope's files on cgroup v2, in the same order: those properties that runc asks for, and
/// those of block devices. A file that has no property is passed over: systemd leaves it alone. So is a value that no property can say.
///
/// systemd knows a quota in whole per cents of a CPU only, so the files have to be written too, after it; the kernel then says what it thinks
/// of a value.
///
/// ```
/// use izba_sandbox::cgroup::systemd::{Value, properties};
/// use izba_sandbox::cgroup::{Bound, Limits, Version};
/// # fn main() -> Result<(), izba_sandbox::cgroup::LimitError> {
/// let limits = Limits { pids: Some(Bound::At(64)), ..Limits::default() };
/// let properties = properties(&limits.settings(&|_| Some(Version::V2))?.strict()?);
/// assert_eq!((properties[0].name, &properties[0].value), ("TasksMax", &Value::Number(64)));
/// # Ok(())
/// # }
/// ```
pub fn properties<'a>(settings: impl IntoIterator<Item = &'a Setting>) -> Vec<Property> {
    let mut all = Vec::new();
    for setting in settings.into_iter().filter(|setting| setting.version == Version::V2) {
        let (file, value) = (setting.file.as_str(), setting.value.trim());
        all.extend(of_file(file, value).into_iter().flatten());
        // systemd writes BFQ's file whenever it writes the other one.
        debug_assert!(!matches!(&setting.presence, Presence::Twin { file, .. } if file != "io.bfq.weight"));
    }
    all
}

/// `None` where there is no such property, or it can't have this value.
fn of_file(file: &str, value: &str) -> Option<Vec<Property>> {
    let one = |name, value| Some(vec![Property::new(name, value)]);
    match file {
        "cpu.max" => quota(value),
        "cpu.weight" => one("CPUWeight", Value::Number(natural(value)?)),
        "cpuset.cpus" => one("AllowedCPUs", bits(&value.parse().ok()?)?),
        "cpuset.mems" => one("AllowedMemoryNodes", bits(&value.parse().ok()?)?),
        "memory.min" => one("MemoryMin", Value::Number(bytes(value)?)),
        "memory.low" => one("MemoryLow", Value::Number(bytes(value)?)),
        "memory.high" => one("MemoryHigh", Value::Number(bytes(value)?)),
        "memory.max" => one("MemoryMax", Value::Number(bytes(value)?)),
        "memory.swap.max" => one("MemorySwapMax", Value::Number(bytes(value)?)),
        "pids.max" => one("TasksMax", Value::Number(bound(value)?)),
        "io.weight" => io_weight(value).map(|property| vec![property]),
        "io.max" => io_max(value),
        _ => None,
    }
}

/// systemd has no bound as the largest number.
fn bound(word: &str) -> Option<u64> {
    if word == "max" { Some(u64::MAX) } else { natural(word) }
}

/// With a suffix, as memparse() of the kernel takes it in either case.
fn bytes(word: &str) -> Option<u64> {
    let unit = word.bytes().last().and_then(|last| b"KMGT".iter().position(|&unit| unit == last.to_ascii_uppercase()));
    match unit {
        None => bound(word),
        Some(unit) => natural(&word[..word.len() - 1])?.checked_mul(1 << (10 * (unit + 1))),
    }
}

fn natural(word: &str) -> Option<u64> {
    Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// `7000 10000`. Without a second number the period is the kernel's own: "CPU Interface Files" of cgroup-v2.rst.
fn quota(value: &str) -> Option<Vec<Property>> {
    let (quota, period) = value.split_once(char::is_whitespace).unwrap_or((value, "100000"));
    let period = natural(period.trim())?;
    let in_a_second = match bound(quota)? {
        u64::MAX => u64::MAX,
        quota => in_a_second(quota, period)?,
    };
    // The period comes first: systemd checks a quota against the period that it has.
    let both = [("CPUQuotaPeriodUSec", period), ("CPUQuotaPerSecUSec", in_a_second)];
    Some(both.map(|(name, number)| Property::new(name, Value::Number(number))).into())
}

/// What is between two per cents is rounded up, as runc does, so that a sub-group can have as much as was asked for.
fn in_a_second(quota: u64, period: u64) -> Option<u64> {
    let exact = (u128::from(quota) * 1_000_000).checked_div(period.into())?;
    u64::try_from(exact.next_multiple_of(10_000)).ok()
}

/// The lowest bit of the first byte is number 0: cpu_set_from_dbus() of systemd. runc 1.1.5 still has the bytes the other way round.
fn bits(list: &NumberList) -> Option<Value> {
    let most = list.ranges().last().map_or(0, |(_, last)| *last);
    if most >= MOST_BITS {
        return None;
    }
    let mut bytes = vec![0; most as usize / 8 + 1];
    for number in list.ranges().iter().flat_map(|&(first, last)| first..=last) {
        bytes[number as usize / 8] |= 1 << (number % 8);
    }
    Some(Value::Bits(bytes))
}

/// `100`, `default 100`, or `8:0 100` for one device.
fn io_weight(value: &str) -> Option<Property> {
    match value.split_once(char::is_whitespace) {
        None => Some(Property::new("IOWeight", Value::Number(natural(value)?))),
        Some(("default", weight)) => Some(Property::new("IOWeight", Value::Number(natural(weight.trim())?))),
        Some((device, weight)) => {
            let weights = vec![(block_device(device)?, natural(weight.trim())?)];
            Some(Property::new("IODeviceWeight", Value::Rates(weights)))
        }
    }
}

/// `8:0 rbps=1048576 wiops=max`
fn io_max(value: &str) -> Option<Vec<Property>> {
    let mut words = value.split_ascii_whitespace();
    let device = block_device(words.next().unwrap_or_default())?;
    words.map(|word| rate(&device, word)).collect()
}

fn rate(device: &str, word: &str) -> Option<Property> {
    let (key, rate) = word.split_once('=').unwrap_or((word, ""));
    let name = match key {
        "rbps" => "IOReadBandwidthMax",
        "wbps" => "IOWriteBandwidthMax",
        "riops" => "IOReadIOPSMax",
        "wiops" => "IOWriteIOPSMax",
        _ => return None,
    };
    Some(Property::new(name, Value::Rates(vec![(device.to_owned(), bound(rate)?)])))
}

/// systemd takes the numbers out of such a path, and needs no file there.
fn block_device(numbers: &str) -> Option<String> {
    let (major, minor) = numbers.split_once(':')?;
    Some(format!("/dev/block/{}:{}", natural(major)?, natural(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{Bound, Controller, CpuWeight, DeviceWeight, IoWeight, Limits, Throttle};

    fn of_limits(limits: &Limits) -> Vec<(&'static str, Value)> {
        let settings = limits.settings(&|_| Some(Version::V2)).unwrap().strict().unwrap();
        properties(&settings).into_iter().map(|property| (property.name, property.value)).collect()
    }

    /// Of one file, as `unified` has it.
    fn of(file: &str, value: &str) -> Vec<(&'static str, Value)> {
        let setting = Setting {
            controller: Some(Controller::Cpu),
            version: Version::V2,
            file: file.to_owned(),
            value: value.to_owned(),
            presence: Presence::Required,
        };
        properties(&[setting]).into_iter().map(|property| (property.name, property.value)).collect()
    }

    #[test]
    fn limits_become_the_properties_that_runc_gives_them() {
        assert_eq!(of_limits(&Limits::default()), []);
        let mut limits = Limits { pids: Some(Bound::Max), ..Limits::default() };
        limits.cpu.weight = Some(CpuWeight::Shares(512));
        limits.cpu.quota = Some(Bound::At(3333));
        limits.cpu.period = Some(10_000);
        limits.cpu.cpus = Some("0,2,9".parse().unwrap());
        limits.memory.limit = Some(Bound::At(100 << 20));
        limits.memory.swap = Some(Bound::At(150 << 20));
        limits.memory.reservation = Some(Bound::At(1 << 20));
        let expected = [
            ("CPUWeight", Value::Number(20)),
            ("CPUQuotaPeriodUSec", Value::Number(10_000)),
            ("CPUQuotaPerSecUSec", Value::Number(340_000)),
            ("AllowedCPUs", Value::Bits(vec![0b101, 0b10])),
            ("MemorySwapMax", Value::Number(50 << 20)),
            ("MemoryMax", Value::Number(100 << 20)),
            ("MemoryLow", Value::Number(1 << 20)),
            ("TasksMax", Value::Number(u64::MAX)),
        ];
        let mut all = of_limits(&limits);
        all.sort_by_key(|(name, _)| expected.iter().position(|(other, _)| other == name));
        assert_eq!(all, expected);
    }

    #[test]
    fn block_devices_are_named_by_their_numbers() {
        let throttle = |rate| Throttle { device: (8, 16), rate };
        let mut limits = Limits::default();
        limits.io.weight = Some(IoWeight::Blkio(10));
        limits.io.weight_devices =
            vec![DeviceWeight { device: (8, 0), weight: Some(IoWeight::Io(200)), leaf_weight: None }];
        limits.io.read_bps = vec![throttle(Bound::At(5))];
        limits.io.write_iops = vec![throttle(Bound::Max)];
        let rates = |device: &str, rate| Value::Rates(vec![(device.to_owned(), rate)]);
        let expected = [
            ("IOWeight", Value::Number(1)),
            ("IODeviceWeight", rates("/dev/block/8:0", 200)),
            ("IOReadBandwidthMax", rates("/dev/block/8:16", 5)),
            ("IOWriteIOPSMax", rates("/dev/block/8:16", u64::MAX)),
        ];
        assert_eq!(of_limits(&limits), expected);
    }

    #[test]
    fn files_by_name_are_no_different() {
        let number = |name, value| vec![(name, Value::Number(value))];
        assert_eq!(of("memory.high", " 5\n"), number("MemoryHigh", 5));
        assert_eq!(of("memory.max", "64M"), number("MemoryMax", 64 << 20));
        assert_eq!(of("memory.low", "3k"), number("MemoryLow", 3 << 10));
        assert_eq!(of("memory.swap.max", "1T"), number("MemorySwapMax", 1 << 40));
        assert_eq!(of("memory.min", "max"), number("MemoryMin", u64::MAX));
        assert_eq!(of("io.weight", "default 50"), number("IOWeight", 50));
        assert_eq!(of("cpuset.mems", "7-8"), vec![("AllowedMemoryNodes", Value::Bits(vec![0x80, 1]))]);
        let quota = |period, each| {
            vec![("CPUQuotaPeriodUSec", Value::Number(period)), ("CPUQuotaPerSecUSec", Value::Number(each))]
        };
        assert_eq!(of("cpu.max", "5000"), quota(100_000, 50_000));
        assert_eq!(of("cpu.max", "1 100000"), quota(100_000, 10_000));
        assert_eq!(of("cpu.max", "max  10000"), quota(10_000, u64::MAX));
        assert_eq!(of("memory.oom.group", "1"), []);
    }

    #[test]
    fn what_no_property_can_say_is_left_to_the_file() {
        for (file, value) in [
            ("cpu.max", ""),
            ("cpu.max", "1 2 3"),
            ("cpu.max", "1 0"),
            ("cpu.max", "18446744073709551614 1"),
            ("memory.max", "-1"),
            ("memory.max", "M"),
            ("memory.max", "1Mi"),
            ("memory.max", "16777216T"),
            ("pids.max", "1K"),
            ("pids.max", "+1"),
            ("cpuset.cpus", "a"),
            ("cpuset.cpus", "4000000000"),
            ("cpu.weight", "max"),
            ("io.weight", "8:0 x"),
            ("io.max", ""),
            ("io.max", "8:0 rbps"),
            ("io.max", "8:+0 rbps=1"),
            ("io.max", "8:0 speed=1"),
        ] {
            assert_eq!(of(file, value), [], "{file} {value}");
        }
    }
}
