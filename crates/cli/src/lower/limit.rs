//! Limits: what the options mean together. Of the machine only its memory and the disks that are named are looked at.

use izba_sandbox::cgroup::device::standard;
use izba_sandbox::cgroup::{
    Bound, CpuLimits, CpuWeight, DeviceRule, DeviceWeight, IoLimits, IoWeight, Limits, MemoryLimits, NetworkLimits,
    Throttle,
};

use super::{disk, memory};
use crate::args::limit::{CpuArgs, IoArgs, LimitArgs, MemoryArgs};
use crate::failure::{Failure, Result};
use crate::parse::block_device::{Rate, Weight};
use crate::parse::bound::{LEAST_QUOTA, SizeBound};
use crate::parse::cpus::Cpus;

/// The kernel's own: Documentation/scheduler/sched-bwc.rst.
const PERIOD: u64 = 100_000;

/// Of a new group.
pub fn lower(args: &LimitArgs) -> Result<Limits> {
    let limits = change(args)?;
    burst_has_quota(&limits, false)?;
    Ok(limits)
}

/// The kernel takes a burst without a quota, of which alone something can be left over: it would have no effect.
pub fn burst_has_quota(limits: &Limits, now: bool) -> Result<()> {
    let Some(burst @ 1..) = limits.cpu.burst else { return Ok(()) };
    let is_bounded = limits.cpu.quota.map_or(now, |quota| quota != Bound::Max);
    let by_name = limits.unified.iter().any(|(file, value)| file == "cpu.max" && !value.starts_with("max"));
    if is_bounded || by_name {
        return Ok(());
    }
    let problem = format!("--cpu-burst {burst}: without a quota there is nothing that could be saved up");
    Err(Failure::new(problem).remedy("--cpus N or --cpu-quota MICROSECONDS, too"))
}

/// Of a group that is there already, and may have a quota.
pub fn change(args: &LimitArgs) -> Result<Limits> {
    Ok(Limits {
        cpu: cpu(&args.cpu)?,
        memory: memory(&args.memory),
        pids: args.memory.pids_limit,
        io: io(&args.io)?,
        hugetlb: args.memory.hugetlb.clone(),
        rdma: args.other.rdma.clone(),
        network: NetworkLimits { class_id: args.other.net_class, priorities: args.other.net_prio.clone() },
        devices: devices(&args.io.device_cgroup_rule),
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

/// None where no rule is given: else they come after those of the usual devices.
fn devices(rules: &[DeviceRule]) -> Vec<DeviceRule> {
    if rules.is_empty() { Vec::new() } else { standard().into_iter().chain(rules.iter().copied()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Verb};
    use clap::Parser;
    use izba_sandbox::cgroup::device::{NodeKind, allows};

    fn lowered(options: &[&str]) -> Result<Limits> {
        let line = ["izba", "update", "web"].into_iter().chain(options.iter().copied());
        let Verb::Update(args) = Cli::try_parse_from(line).unwrap().verb else { panic!("update") };
        change(&args.limits)
    }

    fn refused_by_parser(options: &[&str]) -> String {
        let line = ["izba", "update", "web"].into_iter().chain(options.iter().copied());
        Cli::try_parse_from(line).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_limited_by_default() {
        assert_eq!(lowered(&[]).unwrap(), Limits::default());
    }

    #[test]
    fn cpus_are_a_quota_of_a_period() {
        let cpu = |options: &[&str]| lowered(options).map(|limits| (limits.cpu.quota, limits.cpu.period));
        assert_eq!(cpu(&["--cpus", "0.7"]).unwrap(), (Some(Bound::At(70_000)), Some(100_000)));
        assert_eq!(cpu(&["--cpus", "0.7", "--cpu-period", "10000"]).unwrap(), (Some(Bound::At(7000)), Some(10_000)));
        assert_eq!(cpu(&["--cpus", "max"]).unwrap(), (Some(Bound::Max), Some(100_000)));
        assert_eq!(cpu(&["--cpu-quota", "-1"]).unwrap(), (Some(Bound::Max), None));
        let failure = cpu(&["--cpus", "0.001"]).unwrap_err();
        assert!(failure.problem.starts_with("--cpus 0.001: that is 100 microseconds"), "{failure}");
    }

    #[test]
    fn a_burst_is_of_a_quota() {
        let check = |options: &[&str], now| burst_has_quota(&lowered(options).unwrap(), now);
        for (options, now) in [
            (&["--cpu-burst", "1000"][..], true),
            (&["--cpu-burst", "0"], false),
            (&["--cpu-burst", "1000", "--cpus", "0.5"], false),
            (&["--cpu-burst", "1000", "--cpu-quota", "5000"], false),
            (&["--cpu-burst", "1000", "--cgroup-conf", "cpu.max=5000 10000"], false),
        ] {
            assert!(check(options, now).is_ok(), "{options:?}");
        }
        assert!(check(&["--cpu-burst", "1000"], false).unwrap_err().to_string().contains("try: --cpus"));
        assert!(check(&["--cpu-burst", "1000", "--cpus", "max"], true).is_err());
        assert!(check(&["--cpu-burst", "1000", "--cgroup-conf", "cpu.max=max 10000"], false).is_err());
    }

    #[test]
    fn memory_may_be_a_part_of_the_machines() {
        let limits =
            lowered(&["-m", "64M", "--memory-swap", "max", "--memory-reservation", "0", "--pids-limit", "5"]).unwrap();
        let memory = &limits.memory;
        assert_eq!((memory.limit, memory.swap), (Some(Bound::At(64 << 20)), Some(Bound::Max)));
        assert_eq!((memory.reservation, limits.pids), (Some(Bound::At(0)), Some(Bound::At(5))));
        let Some(Bound::At(half)) = lowered(&["-m", "50%"]).unwrap().memory.limit else { panic!("a limit") };
        assert!(half > 64 << 20);
    }

    #[test]
    fn rules_come_after_the_usual_devices() {
        assert!(lowered(&["--cpus", "1"]).unwrap().devices.is_empty());
        let rules =
            lowered(&["--device-cgroup-rule", "c 10:229 rw", "--device-cgroup-rule", "deny c 1:8 r"]).unwrap().devices;
        let may = |device, access: &str| allows(&rules, device, access.parse().unwrap());
        assert!(
            may((NodeKind::Char, 1, 3), "rwm")
                && may((NodeKind::Char, 136, 7), "rw")
                && may((NodeKind::Char, 10, 229), "rw")
        );
        // zero, full, random, urandom, tty, ptmx, net/tun: what other container engines allow, too.
        for (major, minor) in [(1, 5), (1, 7), (1, 9), (5, 0), (5, 2), (10, 200)] {
            assert!(may((NodeKind::Char, major, minor), "rwm"), "{major}:{minor}");
        }
        assert!(
            may((NodeKind::Block, 8, 0), "m")
                && !may((NodeKind::Block, 8, 0), "r")
                && !may((NodeKind::Char, 1, 8), "r")
        );
    }

    #[test]
    fn what_is_no_disk_is_named() {
        for (disk, why) in [
            ("/dev/null", "no block device"),
            ("/nonexistent", "isn't there"),
            ("4095:1048575", "no such block device"),
        ] {
            let failure = lowered(&["--device-read-bps", &format!("{disk}:1m")]).unwrap_err();
            assert!(
                failure.problem.starts_with(&format!("--device-read-bps {disk}: ")) && failure.problem.contains(why),
                "{failure}"
            );
        }
    }

    #[test]
    fn bad_values_are_named_with_their_options() {
        let mut words = Vec::new();
        for (option, values) in [
            ("--cpus", "0 -1 -0.5 nan 1e3 0.0000000001 99999999999999999999"),
            ("--cpu-quota", "0 -2 1.5 500 999 9223372036854775808"),
            ("--cpu-period", "0 999 1000001 -5"),
            ("--cpu-burst", "-1 x 18446744073709551616"),
            ("--cpu-weight", "0 10001 -5"),
            ("--cpu-shares", "1 262145 -5"),
            ("--cpuset-cpus", "-1 3-1 a 1,,2 4294967296"),
            ("--cpuset-mems", "0- x"),
            ("--cpu-rt-runtime", "-2 x"),
            ("--cpu-rt-period", "0 -1"),
            ("--memory", "0 -64M -2 1.5g 99999999t 101%"),
            ("--memory-swap", "0 -2 x"),
            ("--memory-reservation", "-5 x"),
            ("--memory-swappiness", "-1 101"),
            ("--pids-limit", "0 -2 1.5 99999999999999999999"),
            ("--hugetlb", "3MB=1m 2MB=-1m 2MB"),
            ("--io-weight", "0 10001 -1"),
            ("--blkio-weight", "9 1001 -1"),
            ("--device-read-bps", "/dev/sda 8:0:0 8:0:-5 sda:1m"),
            ("--device-write-iops", "8:0:1m 8:0:-5"),
            ("--rdma", "mlx5_0 mlx5_0:handles=-1"),
            ("--net-class", "-1 10000:1 4294967296"),
            ("--net-prio", "eth0=-1 eth0"),
            ("--device-cgroup-rule", "c x 1:3"),
            ("--cgroup-conf", "memory.max ../a.b=1 cgroup.procs=1 -x"),
        ] {
            words.extend(values.split(' ').map(|value| (option, value)));
        }
        for (option, value) in words {
            let error = refused_by_parser(&[option, value]);
            assert!(
                error.starts_with(&format!("error: invalid value '{value}' for '{option}")),
                "{option} {value}: {error}"
            );
        }
    }

    #[test]
    fn two_ways_of_saying_it_exclude_each_other() {
        for (one, other) in [
            (["--cpus", "1"], ["--cpu-quota", "1000"]),
            (["--cpu-weight", "1"], ["--cpu-shares", "2"]),
            (["--io-weight", "1"], ["--blkio-weight", "10"]),
            (["--io-weight-device", "8:0:1"], ["--blkio-weight-device", "8:0:10"]),
        ] {
            assert!(refused_by_parser(&[one, other].concat()).contains("cannot be used with"), "{one:?}");
        }
    }
}
