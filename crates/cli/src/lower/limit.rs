//! Limits: what the options mean together. Of the machine only its memory and the disks that are named are looked at.

use izba_sandbox::cgroup::{
    Bound, CpuLimits, CpuWeight, DeviceWeight, IoLimits, IoWeight, Limits, MemoryLimits, NetworkLimits, Throttle,
};

use super::{disk, memory};
use crate::args::limit::{CpuArgs, IoArgs, LimitArgs, MemoryArgs};
use crate::failure::{Failure, Result};
use crate::parse::block_device::{Rate, Weight};
use crate::parse::bound::SizeBound;
use crate::parse::cpus::Cpus;

/// The kernel's own: Documentation/scheduler/sched-bwc.rst.
const PERIOD: u64 = 100_000;
/// The least quota, min_cfs_quota_period in kernel/sched/core.c: 1 ms.
const LEAST_QUOTA: u64 = 1000;

pub fn lower(args: &LimitArgs) -> Result<Limits> {
    Ok(Limits {
        cpu: cpu(&args.cpu)?,
        memory: memory(&args.memory),
        pids: args.memory.pids_limit,
        io: io(&args.io)?,
        hugetlb: args.memory.hugetlb.clone(),
        rdma: args.other.rdma.clone(),
        network: NetworkLimits { class_id: args.other.net_class, priorities: args.other.net_prio.clone() },
        devices: Vec::new(),
        unified: args.other.cgroup_conf.clone(),
    })
}

fn cpu(args: &CpuArgs) -> Result<CpuLimits> {
    let mut limits = CpuLimits {
        weight: args.cpu_weight.map(CpuWeight::Weight).or(args.cpu_shares.map(CpuWeight::Shares)),
        quota: args.cpu_quota,
        period: args.cpu_period,
        burst: args.cpu_burst,
        realtime_runtime: args.cpu_rt_runtime,
        realtime_period: args.cpu_rt_period,
        idle: args.cpu_idle,
        cpus: args.cpuset_cpus.clone(),
        mems: args.cpuset_mems.clone(),
    };
    if let Some(cpus) = args.cpus {
        // What a run has had before may be another period.
        let period = args.cpu_period.unwrap_or(PERIOD);
        limits.period = Some(period);
        limits.quota = Some(quota(cpus, period)?);
    }
    Ok(limits)
}

fn quota(cpus: Cpus, period: u64) -> Result<Bound> {
    let problem = |why: String| Failure::new(format!("--cpus {cpus}: {why}"));
    match cpus.quota(period) {
        None => Err(problem("so much CPU time can't be counted".to_owned()).remedy("--cpus max")),
        Some(Bound::At(quota)) if quota < LEAST_QUOTA => Err(problem(format!(
            "that is {quota} microseconds in a period of {period}, and the kernel takes {LEAST_QUOTA} at least"
        ))
        .remedy("more, or a longer period: --cpu-period 1000000")),
        Some(quota) => Ok(quota),
    }
}

fn memory(args: &MemoryArgs) -> MemoryLimits {
    MemoryLimits {
        limit: args.memory.map(bytes),
        swap: args.memory_swap.map(bytes),
        reservation: args.memory_reservation.map(bytes),
        swappiness: args.memory_swappiness,
        disable_oom_killer: args.oom_kill_disable,
        ..MemoryLimits::default()
    }
}

fn bytes(bound: SizeBound) -> Bound {
    match bound {
        SizeBound::Max => Bound::Max,
        SizeBound::At(size) => Bound::At(memory::bytes(Some(size))),
    }
}

fn io(args: &IoArgs) -> Result<IoLimits> {
    let own_scale = weights("--io-weight-device", &args.io_weight_device, IoWeight::Io)?;
    let blkio_scale = weights("--blkio-weight-device", &args.blkio_weight_device, IoWeight::Blkio)?;
    Ok(IoLimits {
        weight: args.io_weight.map(IoWeight::Io).or(args.blkio_weight.map(IoWeight::Blkio)),
        leaf_weight: None,
        weight_devices: own_scale.into_iter().chain(blkio_scale).collect(),
        read_bps: throttles("--device-read-bps", &args.device_read_bps)?,
        write_bps: throttles("--device-write-bps", &args.device_write_bps)?,
        read_iops: throttles("--device-read-iops", &args.device_read_iops)?,
        write_iops: throttles("--device-write-iops", &args.device_write_iops)?,
    })
}

fn weights(option: &str, weights: &[Weight], scale: fn(u16) -> IoWeight) -> Result<Vec<DeviceWeight>> {
    let weight = |Weight { device, weight }: &Weight| {
        Ok(DeviceWeight { device: disk::number(option, device)?, weight: Some(scale(*weight)), leaf_weight: None })
    };
    weights.iter().map(weight).collect()
}

fn throttles(option: &str, rates: &[Rate]) -> Result<Vec<Throttle>> {
    let throttle = |Rate { device, rate }: &Rate| Ok(Throttle { device: disk::number(option, device)?, rate: *rate });
    rates.iter().map(throttle).collect()
}
