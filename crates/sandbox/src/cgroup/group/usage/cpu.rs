//! CPU time: cpu.stat; cpuacct.usage, cpuacct.stat and cpu.stat of v1.

use std::time::Duration;

use izba_sys::process::clock_ticks_per_second;

use crate::cgroup::group::interface::{flat, number};
use crate::cgroup::group::{Group, GroupError};
use crate::cgroup::{Controller, Version};

/// CPU time that a group has used, over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuUsage {
    /// All of it.
    pub total: Option<Duration>,
    /// In user mode. On v1 in hundredths of a second.
    pub user: Option<Duration>,
    /// In the kernel. On v1 in hundredths of a second.
    pub system: Option<Duration>,
    /// How it is held back by its quota.
    pub throttling: Option<Throttling>,
}

/// What a quota of CPU time did. On v1 without that of sub-groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which the group wanted to run.
    pub periods: u64,
    /// Those in which it used its quota up.
    pub throttled_periods: u64,
    /// How long it was held back.
    pub throttled: Duration,
}

pub(super) fn read(group: &Group) -> Result<CpuUsage, GroupError> {
    let v2 = group.unified.as_ref().map_or(Ok(None), |directory| directory.get("cpu.stat"))?.unwrap_or_default();
    let mut usage = of_v2(&v2);
    if let Some(cpuacct) = group.v1(Controller::Cpuacct) {
        let (total, stat) = (cpuacct.get("cpuacct.usage")?, cpuacct.get("cpuacct.stat")?);
        usage = of_cpuacct(&total.unwrap_or_default(), &stat.unwrap_or_default(), clock_ticks_per_second());
    }
    if let Some(cpu) = group.v1(Controller::Cpu) {
        usage.throttling = throttling(&cpu.get("cpu.stat")?.unwrap_or_default(), Version::V1);
    }
    Ok(usage)
}

pub(super) fn of_v2(stat: &str) -> CpuUsage {
    let time = |key| flat(stat, key).map(Duration::from_micros);
    CpuUsage {
        total: time("usage_usec"),
        user: time("user_usec"),
        system: time("system_usec"),
        throttling: throttling(stat, Version::V2),
    }
}

pub(super) fn of_cpuacct(usage: &str, stat: &str, ticks_per_second: u64) -> CpuUsage {
    let nanoseconds_per_tick = 1_000_000_000 / ticks_per_second.max(1);
    let time = |key| flat(stat, key).map(|ticks| Duration::from_nanos(ticks.saturating_mul(nanoseconds_per_tick)));
    CpuUsage {
        total: number(usage).map(Duration::from_nanos),
        user: time("user"),
        system: time("system"),
        throttling: None,
    }
}

pub(super) fn throttling(stat: &str, version: Version) -> Option<Throttling> {
    let throttled = match version {
        Version::V1 => Duration::from_nanos(flat(stat, "throttled_time")?),
        Version::V2 => Duration::from_micros(flat(stat, "throttled_usec")?),
    };
    Some(Throttling { periods: flat(stat, "nr_periods")?, throttled_periods: flat(stat, "nr_throttled")?, throttled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same_in_other_units() {
        let v2 = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnice_usec 0\n\
                  nr_periods 9\nnr_throttled 4\nthrottled_usec 2500\nnr_bursts 0\nburst_usec 0\n";
        let v1 = CpuUsage {
            throttling: throttling("nr_periods 9\nnr_throttled 4\nthrottled_time 2500000\n", Version::V1),
            ..of_cpuacct("1500000000\n", "user 100\nsystem 50\n", 100)
        };
        assert_eq!(of_v2(v2), v1);
        assert_eq!(v1.total, Some(Duration::from_millis(1500)));
        assert_eq!(v1.throttling.unwrap().throttled, Duration::from_micros(2500));
    }

    #[test]
    fn without_the_controller_nothing_is_said_about_throttling() {
        assert_eq!(of_v2("usage_usec 0\nuser_usec 0\nsystem_usec 0\n").throttling, None);
        assert_eq!(of_v2(""), CpuUsage::default());
    }
}
