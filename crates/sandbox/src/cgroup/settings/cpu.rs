//! CPU time, and which CPUs. Documentation/scheduler/sched-bwc.rst, sched-rt-group.rst; cpuset(7).

use std::ops::RangeInclusive;

use super::LimitError;
use super::files::Files;
use super::range::{bound_within, within};
use crate::cgroup::{Bound, CpuLimits, CpuWeight, Version};

/// Of `tg_set_bandwidth` in kernel/sched/core.c, in microseconds.
const PERIOD: RangeInclusive<u64> = 1000..=1_000_000;
const QUOTA: RangeInclusive<u64> = 1000..=(1 << 44) - 1;
const DEFAULT_PERIOD: u64 = 100_000;
const DEFAULT_REALTIME_PERIOD: u64 = 1_000_000;

/// Is there anything for the `cpu` controller?
pub(super) fn is_limited(limits: &CpuLimits) -> bool {
    CpuLimits { cpus: None, mems: None, ..limits.clone() } != CpuLimits::default()
}

pub(super) fn check(limits: &CpuLimits) -> Result<(), LimitError> {
    match limits.weight {
        Some(CpuWeight::Shares(shares)) => within("CPU shares", shares, 2..=262_144)?,
        Some(CpuWeight::Weight(weight)) => within("a CPU weight", weight, 1..=10_000)?,
        None => {}
    }
    if limits.weight.is_some() && limits.idle == Some(true) {
        let problem = "a group that runs only when nobody else wants to (cpu.idle) has no CPU weight";
        return Err(LimitError::new(problem, "leave one of the two out"));
    }
    if let Some(period) = limits.period {
        within("a CPU period in µs", period, PERIOD)?;
    }
    bound_within("a CPU quota in µs", limits.quota, QUOTA)?;
    if let (Some(burst), Some(quota)) = (limits.burst, limits.quota) {
        burst_within(burst, quota)?;
    }
    if let Some(period) = limits.realtime_period {
        within("a realtime period in µs", period, 1..=*QUOTA.end())?;
    }
    if let Some(runtime) = limits.realtime_runtime {
        within("a realtime budget in µs", runtime, -1..=QUOTA.end().cast_signed())?;
    }
    realtime_within(limits.realtime_runtime, limits.realtime_period)
}

fn burst_within(burst: u64, quota: Bound) -> Result<(), LimitError> {
    match quota {
        Bound::At(quota) if burst > quota => {
            let problem = format!("a CPU burst of {burst} µs is more than the quota of {quota} µs");
            Err(LimitError::new(problem, format!("give a burst of 0 to {quota}")))
        }
        _ => Ok(()),
    }
}

fn realtime_within(runtime: Option<i64>, period: Option<u64>) -> Result<(), LimitError> {
    match (runtime.and_then(|runtime| u64::try_from(runtime).ok()), period) {
        (Some(runtime), Some(period)) if runtime > period => {
            let problem = format!("a realtime budget of {runtime} µs is more than its period of {period} µs");
            Err(LimitError::new(problem, format!("give a budget of 0 to {period}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn lower(limits: &CpuLimits, files: &mut Files<'_>) {
    share(limits, files);
    bandwidth(limits, files);
    match files.version {
        Version::V1 => realtime(limits, files),
        Version::V2 => no_realtime(limits, files),
    }
}

pub(super) fn lower_sets(limits: &CpuLimits, files: &mut Files<'_>) {
    for (file, numbers) in [("cpuset.cpus", &limits.cpus), ("cpuset.mems", &limits.mems)] {
        if let Some(numbers) = numbers {
            files.write(file, numbers);
        }
    }
}

/// An idle group takes no weight: EINVAL. So it is woken first.
fn share(limits: &CpuLimits, files: &mut Files<'_>) {
    if let Some(idle) = limits.idle {
        files.write("cpu.idle", u8::from(idle));
    }
    let Some(weight) = limits.weight else { return };
    if limits.idle.is_none() && files.number("cpu.idle") == Some(1) {
        let problem = "the group runs only when nobody else wants to (cpu.idle is 1), and so has no CPU weight";
        return files.refuse(problem, "switch that off in the same change");
    }
    match files.version {
        Version::V1 => files.write("cpu.shares", weight.shares()),
        Version::V2 => files.write("cpu.weight", weight.weight()),
    }
}

/// What a group has now, or a fresh one.
struct Bandwidth {
    quota: Bound,
    period: u64,
    burst: u64,
}

impl Bandwidth {
    fn read(files: &Files<'_>) -> Self {
        match files.version {
            Version::V1 => Self {
                quota: files.bound_now("cpu.cfs_quota_us"),
                period: files.number("cpu.cfs_period_us").unwrap_or(DEFAULT_PERIOD),
                burst: files.number("cpu.cfs_burst_us").unwrap_or(0),
            },
            Version::V2 => {
                let max = files.text("cpu.max").unwrap_or_default();
                let (quota, period) = max.split_once(' ').unwrap_or(("max", ""));
                Self {
                    quota: Bound::of_file(quota).unwrap_or(Bound::Max),
                    period: period.parse().unwrap_or(DEFAULT_PERIOD),
                    burst: files.number("cpu.max.burst").unwrap_or(0),
                }
            }
        }
    }
}

/// The burst may never be more than the quota, so it shrinks before and grows after.
fn bandwidth(limits: &CpuLimits, files: &mut Files<'_>) {
    let now = Bandwidth::read(files);
    let burst = limits.burst.unwrap_or(now.burst);
    if let Err(error) = burst_within(burst, limits.quota.unwrap_or(now.quota)) {
        return files.refuse(error.problem, error.remedy);
    }
    let file = match files.version {
        Version::V1 => "cpu.cfs_burst_us",
        Version::V2 => "cpu.max.burst",
    };
    if limits.burst.is_some() && burst < now.burst {
        files.write(file, burst);
    }
    quota(limits, &now, files);
    if limits.burst.is_some() && burst >= now.burst {
        files.write(file, burst);
    }
}

fn quota(limits: &CpuLimits, now: &Bandwidth, files: &mut Files<'_>) {
    if limits.quota.is_none() && limits.period.is_none() {
        return;
    }
    match files.version {
        Version::V1 => {
            let quota = limits.quota.map(|quota| files.bound(quota));
            let names = ["cpu.cfs_period_us", "cpu.cfs_quota_us"];
            period_and_part(names, (limits.period, now.period), quota, files);
        }
        Version::V2 => {
            let quota = files.bound(limits.quota.unwrap_or(now.quota));
            files.write("cpu.max", format!("{quota} {}", limits.period.unwrap_or(now.period)));
        }
    }
}

/// The kernel holds each write's part of the period against the parent's, and a realtime budget against its period: what is half written must not be a larger
/// part than both what was and what will be. So a period grows before its part is written, and shrinks after.
fn period_and_part(
    [period_file, part_file]: [&str; 2],
    (period, now): (Option<u64>, u64),
    part: Option<String>,
    files: &mut Files<'_>,
) {
    let grows = period.filter(|period| *period >= now);
    let shrinks = period.filter(|period| *period < now);
    let writes = [(period_file, grows.map(|period| period.to_string())), (part_file, part)];
    for (file, value) in writes.into_iter().chain([(period_file, shrinks.map(|period| period.to_string()))]) {
        if let Some(value) = value {
            files.write(file, value);
        }
    }
}

fn realtime(limits: &CpuLimits, files: &mut Files<'_>) {
    let period = files.number("cpu.rt_period_us").unwrap_or(DEFAULT_REALTIME_PERIOD);
    let runtime = files.text("cpu.rt_runtime_us").and_then(|text| text.parse().ok());
    if limits.realtime_runtime.is_none() && limits.realtime_period.is_none() {
        return;
    }
    let then = (limits.realtime_runtime.or(runtime), limits.realtime_period.unwrap_or(period));
    if let Err(error) = realtime_within(then.0, Some(then.1)) {
        return files.refuse(error.problem, error.remedy);
    }
    let names = ["cpu.rt_period_us", "cpu.rt_runtime_us"];
    period_and_part(names, (limits.realtime_period, period), limits.realtime_runtime.map(|us| us.to_string()), files);
}

/// runc leaves these out without a word.
fn no_realtime(limits: &CpuLimits, files: &mut Files<'_>) {
    let remedy = "leave it out; processes with realtime scheduling belong to the root group's budget on v2";
    if let Some(runtime) = limits.realtime_runtime {
        files.refuse_on_v2(format!("realtime budget ({runtime} µs)"), remedy);
    }
    if let Some(period) = limits.realtime_period {
        files.refuse_on_v2(format!("realtime period ({period} µs)"), remedy);
    }
}
