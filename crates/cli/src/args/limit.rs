//! What a run may use: options of `izba run` and `izba update`, and where a run's group is.

use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use izba_sandbox::cgroup::{Bound, DeviceRule, HugetlbLimit, NumberList, RdmaLimit};

use crate::parse::block_device::{self, Rate, Weight};
use crate::parse::bound::{self, SizeBound};
use crate::parse::cgroup::{self, Parent};
use crate::parse::cpus::Cpus;
use crate::parse::{hugetlb, packet_mark, rdma, weight};

// A negative number is a value that is refused, not an unknown option: hence allow_hyphen_values everywhere.
#[derive(Debug, Default, Args)]
pub struct LimitArgs {
    #[command(flatten)]
    pub cpu: CpuArgs,
    #[command(flatten)]
    pub memory: MemoryArgs,
    #[command(flatten)]
    pub io: IoArgs,
    #[command(flatten)]
    pub other: OtherArgs,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits of CPU time")]
pub struct CpuArgs {
    /// CPU time as a number of CPUs: 0.7 is 70 % of one.
    #[arg(long, value_name = "N|max", allow_hyphen_values = true, conflicts_with = "cpu_quota")]
    pub cpus: Option<Cpus>,
    /// Microseconds of CPU time in each period.
    #[arg(long, value_name = "MICROSECONDS|max", allow_hyphen_values = true, value_parser = bound::quota)]
    pub cpu_quota: Option<Bound>,
    /// The length of a period, 1000 to 1000000 microseconds: 100000 by default.
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true, value_parser = value_parser!(u64).range(1000..=1_000_000))]
    pub cpu_period: Option<u64>,
    /// How many microseconds that weren't used may be used later, at most the quota.
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    pub cpu_burst: Option<u64>,
    /// The share where CPU time is short, beside others with theirs: 1 to 10000, and 100 for who says nothing.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = weight::cpu, conflicts_with = "cpu_shares")]
    pub cpu_weight: Option<u64>,
    /// The same as docker and cgroup v1 count: 2 to 262144, and 1024 for who says nothing.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = weight::shares)]
    pub cpu_shares: Option<u64>,
    /// Run only when nobody else wants to (SCHED_IDLE).
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub cpu_idle: Option<bool>,
    /// Which CPUs: 0-3,5.
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub cpuset_cpus: Option<NumberList>,
    /// Which memory nodes.
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub cpuset_mems: Option<NumberList>,
    /// Microseconds of realtime scheduling in each realtime period (cgroup v1); -1 is all of it.
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true, value_parser = value_parser!(i64).range(-1..))]
    pub cpu_rt_runtime: Option<i64>,
    /// The length of a realtime period (cgroup v1).
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true, value_parser = value_parser!(u64).range(1..))]
    pub cpu_rt_period: Option<u64>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits of memory and processes")]
pub struct MemoryArgs {
    /// Memory: 64m, 1g, 10%. A run that needs more has its largest process ended.
    #[arg(short, long, value_name = "SIZE|max", allow_hyphen_values = true)]
    pub memory: Option<SizeBound>,
    /// Memory and swap together, so the same as --memory for no swap at all. By default swap isn't limited.
    #[arg(long, value_name = "SIZE|max", allow_hyphen_values = true)]
    pub memory_swap: Option<SizeBound>,
    /// How much is left alone when memory is short on the machine.
    #[arg(long, value_name = "SIZE|max", allow_hyphen_values = true, value_parser = bound::reservation)]
    pub memory_reservation: Option<SizeBound>,
    /// How readily the kernel swaps, 0 to 100 (cgroup v1).
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = value_parser!(u64).range(0..=100))]
    pub memory_swappiness: Option<u64>,
    /// Let processes wait for memory instead of ending them (cgroup v1).
    #[arg(long)]
    pub oom_kill_disable: bool,
    /// Processes and threads.
    #[arg(long, value_name = "N|max", allow_hyphen_values = true, value_parser = bound::count)]
    pub pids_limit: Option<Bound>,
    /// Huge pages of one size: 2MB=64m.
    #[arg(long, value_name = "PAGESIZE=SIZE", allow_hyphen_values = true, value_parser = hugetlb::parse)]
    pub hugetlb: Vec<HugetlbLimit>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits of devices")]
pub struct IoArgs {
    /// Bytes read from a disk in a second: /dev/sda:10m or 8:0:10m.
    #[arg(long, value_name = "DISK:SIZE|max", allow_hyphen_values = true, value_parser = block_device::bytes_rate)]
    pub device_read_bps: Vec<Rate>,
    /// Bytes written to a disk in a second.
    #[arg(long, value_name = "DISK:SIZE|max", allow_hyphen_values = true, value_parser = block_device::bytes_rate)]
    pub device_write_bps: Vec<Rate>,
    /// Reads from a disk in a second.
    #[arg(long, value_name = "DISK:N|max", allow_hyphen_values = true, value_parser = block_device::count_rate)]
    pub device_read_iops: Vec<Rate>,
    /// Writes to a disk in a second.
    #[arg(long, value_name = "DISK:N|max", allow_hyphen_values = true, value_parser = block_device::count_rate)]
    pub device_write_iops: Vec<Rate>,
    /// The share of every disk's time, where BFQ or io.cost divides it: 1 to 10000, and 100 for who says nothing.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = weight::io, conflicts_with = "blkio_weight")]
    pub io_weight: Option<u16>,
    /// The share of one disk's time.
    #[arg(long, value_name = "DISK:N", allow_hyphen_values = true, value_parser = block_device::io_weight, conflicts_with = "blkio_weight_device")]
    pub io_weight_device: Vec<Weight>,
    /// The same as docker and cgroup v1 count: 10 to 1000.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = weight::blkio)]
    pub blkio_weight: Option<u16>,
    /// The same of one disk.
    #[arg(long, value_name = "DISK:N", allow_hyphen_values = true, value_parser = block_device::blkio_weight)]
    pub blkio_weight_device: Vec<Weight>,
    /// Allow a device beside the usual ones (null, zero, tty, ...), and no other any more: 'c 10:229 rwm'.
    #[arg(long, value_name = "RULE", allow_hyphen_values = true)]
    pub device_cgroup_rule: Vec<DeviceRule>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Other limits")]
pub struct OtherArgs {
    /// Handles and objects of an RDMA device.
    #[arg(long, value_name = "DEVICE:handles=N,objects=N", allow_hyphen_values = true, value_parser = rdma::parse)]
    pub rdma: Vec<RdmaLimit>,
    /// Mark network packets with a class of tc(8): 10:1 (cgroup v1).
    #[arg(long, value_name = "MAJOR:MINOR", allow_hyphen_values = true, value_parser = packet_mark::class)]
    pub net_class: Option<u32>,
    /// The priority of packets on an interface (cgroup v1).
    #[arg(long, value_name = "INTERFACE=N", allow_hyphen_values = true, value_parser = packet_mark::priority)]
    pub net_prio: Vec<(String, u32)>,
    /// Write VALUE to a file of the group, as cgroup v2 has them: memory.high=100M.
    #[arg(long, value_name = "FILE=VALUE", allow_hyphen_values = true, value_parser = cgroup::setting)]
    pub cgroup_conf: Vec<(String, String)>,
}

/// Where a run's group is, and how it is made.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Control group")]
pub struct GroupArgs {
    /// Make the run's group below this one, or in this slice of systemd's. By default it is beside your own.
    #[arg(long, value_name = "PATH|SLICE")]
    pub cgroup_parent: Option<Parent>,
    /// Who makes the group: systemd, izba in the file system (cgroupfs), or nobody. By default systemd where it runs.
    #[arg(
        long,
        value_enum,
        value_name = "auto|systemd|cgroupfs|none",
        hide_possible_values = true,
        default_value = "auto",
        hide_default_value = true
    )]
    pub cgroup_manager: CgroupManager,
    /// Start without the limits that can't be enforced here, and say which.
    #[arg(long)]
    pub best_effort: bool,
    /// Write down at the end, as JSON, how the run has ended and what it has used: status, signal, oomKilled, ... It replaces FILE.
    #[arg(long, value_name = "FILE")]
    pub result: Option<PathBuf>,
}

/// Who makes groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CgroupManager {
    #[default]
    Auto,
    Systemd,
    Cgroupfs,
    None,
}
