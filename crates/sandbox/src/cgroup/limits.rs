//! What a group is limited to: `linux.resources` of the OCI runtime specification (config-linux.md), as typed data. Nothing is limited by default.

use std::fmt;
use std::str::FromStr;

/// What a group is limited to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time and CPUs.
    pub cpu: CpuLimits,
    /// Memory and swap.
    pub memory: MemoryLimits,
    /// How many processes and threads: `pids.max`.
    pub pids: Option<Bound>,
    /// Block devices.
    pub io: IoLimits,
    /// Huge pages, by their size.
    pub hugetlb: Vec<HugetlbLimit>,
    /// RDMA devices.
    pub rdma: Vec<RdmaLimit>,
    /// Marks of network packets (v1).
    pub network: NetworkLimits,
    /// Which devices may be used, in order: a later rule overrides. Without any, every device is left to the file system's own access rights.
    pub devices: Vec<DeviceRule>,
    /// Files of cgroup v2 and what is written to them: `unified`.
    pub unified: Vec<(String, String)>,
}

/// An upper bound in the limit's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// No bound: `max` on v2, `-1` on v1.
    Max,
    /// This much.
    At(u64),
}

/// v1 says the largest number of pages that the kernel can count, in bytes, for no bound: with 64 KiB pages this much, with smaller ones more.
const UNBOUNDED_V1: u64 = i64::MAX.unsigned_abs() >> 16 << 16;

impl Bound {
    /// What a file of a group says: `max`, `-1` or a number.
    pub(super) fn of_file(text: &str) -> Option<Self> {
        match text.trim() {
            "max" | "-1" => Some(Self::Max),
            number => number.parse().ok().map(|value| if value >= UNBOUNDED_V1 { Self::Max } else { Self::At(value) }),
        }
    }
}

/// CPU time and CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuLimits {
    /// The share of CPU time where there isn't enough.
    pub weight: Option<CpuWeight>,
    /// Microseconds of CPU time in each period.
    pub quota: Option<Bound>,
    /// The period's length in microseconds; the kernel's own default is 100,000.
    pub period: Option<u64>,
    /// How many unused microseconds may be saved up for later periods.
    pub burst: Option<u64>,
    /// Microseconds of realtime scheduling in each realtime period (v1).
    pub realtime_runtime: Option<i64>,
    /// The realtime period's length in microseconds (v1).
    pub realtime_period: Option<u64>,
    /// Run only when nobody else wants to: `cpu.idle`.
    pub idle: Option<bool>,
    /// Which CPUs: cpuset(7).
    pub cpus: Option<NumberList>,
    /// Which memory nodes.
    pub mems: Option<NumberList>,
}

/// A share of CPU time, in either version's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuWeight {
    /// v1's `cpu.shares`: 2 to 262144, 1024 by default. OCI's `shares`.
    Shares(u64),
    /// v2's `cpu.weight`: 1 to 10000, 100 by default.
    Weight(u64),
}

/// Memory and swap, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Most memory.
    pub limit: Option<Bound>,
    /// Most memory and swap together, as OCI and v1 count. [`Bound::Max`] is unlimited swap.
    pub swap: Option<Bound>,
    /// What is left alone when memory is short: v1's soft limit, `memory.low` on v2.
    pub reservation: Option<Bound>,
    /// Most memory of TCP buffers (v1).
    pub kernel_tcp: Option<Bound>,
    /// How readily the kernel swaps, 0 to 100 (v1).
    pub swappiness: Option<u64>,
    /// Let processes wait for memory instead of ending them (v1).
    pub disable_oom_killer: bool,
    /// Refuse a change to less than what is used now.
    pub check_before_update: bool,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoLimits {
    /// The share of every device's time, of those that something divides: see [`super::Weighing`].
    pub weight: Option<IoWeight>,
    /// The same for processes beside sub-groups (v1, without a scheduler that knows it any more): 10 to 1000.
    pub leaf_weight: Option<u16>,
    /// Of single devices.
    pub weight_devices: Vec<DeviceWeight>,
    /// Bytes read in a second.
    pub read_bps: Vec<Throttle>,
    /// Bytes written in a second.
    pub write_bps: Vec<Throttle>,
    /// Reads in a second.
    pub read_iops: Vec<Throttle>,
    /// Writes in a second.
    pub write_iops: Vec<Throttle>,
}

/// A share of a device's time, in either version's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoWeight {
    /// v1's `blkio.weight` or `blkio.bfq.weight`: 10 to 1000. OCI's `weight`.
    Blkio(u16),
    /// v2's `io.weight`: 1 to 10000, 100 by default.
    Io(u16),
}

/// A share of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceWeight {
    /// Its major and minor number.
    pub device: (u32, u32),
    /// The share.
    pub weight: Option<IoWeight>,
    /// See [`IoLimits::leaf_weight`].
    pub leaf_weight: Option<u16>,
}

/// So much a second on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Its major and minor number.
    pub device: (u32, u32),
    /// How much; [`Bound::Max`] takes a limit away.
    pub rate: Bound,
}

/// Huge pages of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugetlbLimit {
    /// As the kernel writes it: `2MB`, `1GB`.
    pub page_size: String,
    /// Bytes.
    pub limit: Bound,
}

/// One RDMA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdmaLimit {
    /// Its name: `mlx5_1`.
    pub device: String,
    /// Most handles.
    pub handles: Option<u32>,
    /// Most objects.
    pub objects: Option<u32>,
}

/// Marks of network packets (v1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkLimits {
    /// `net_cls.classid`
    pub class_id: Option<u32>,
    /// Interfaces with their priorities: `net_prio.ifpriomap`.
    pub priorities: Vec<(String, u32)>,
}

/// Whether some devices may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// May they, or may they not?
    pub allow: bool,
    /// Of this kind.
    pub kind: DeviceKind,
    /// Of this major number; of any.
    pub major: Option<u32>,
    /// Of this minor number; of any.
    pub minor: Option<u32>,
    /// In these ways.
    pub access: DeviceAccess,
}

/// Kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// `a`: both.
    All,
    /// `c`
    Char,
    /// `b`
    Block,
}

/// Ways of using a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceAccess {
    /// `r`
    pub read: bool,
    /// `w`
    pub write: bool,
    /// `m`
    pub mknod: bool,
}

/// Numbers of CPUs or memory nodes, in ascending order: cpuset(7), "List Format".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberList(Vec<(u32, u32)>);

impl NumberList {
    /// First and last number of each range.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// Is every number of the other one here too?
    pub fn contains_all(&self, other: &Self) -> bool {
        let within = |&(first, last): &(u32, u32)| self.0.iter().any(|&(from, to)| from <= first && last <= to);
        other.0.iter().all(within)
    }
}

impl FromStr for NumberList {
    type Err = String;

    /// Takes `0-3,5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no list of numbers: write 0-3,5");
        let number = |word: &str| match word.bytes().all(|byte| byte.is_ascii_digit()) {
            true => word.parse::<u32>().map_err(|_| wrong()),
            false => Err(wrong()),
        };
        let mut ranges = Vec::new();
        for word in text.split(',') {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(wrong());
            }
            ranges.push((first, last));
        }
        ranges.sort_unstable();
        Ok(Self(merged(&ranges)))
    }
}

/// Ranges that touch or overlap become one.
fn merged(sorted: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut merged: Vec<(u32, u32)> = Vec::new();
    for &(first, last) in sorted {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

impl fmt::Display for NumberList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bound_has_several_spellings() {
        for text in ["max", "-1", "max\n", "9223372036854771712\n", "9223372036854710272\n", "9223372036854710272"] {
            assert_eq!(Bound::of_file(text), Some(Bound::Max), "{text}");
        }
        assert_eq!(Bound::of_file("4096\n"), Some(Bound::At(4096)));
        assert_eq!(Bound::of_file("4096"), Some(Bound::At(4096)));
        assert_eq!(Bound::of_file("0\n"), Some(Bound::At(0)));
        assert_eq!(Bound::of_file(""), None);
    }
}
