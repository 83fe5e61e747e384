//! Memory and swap. OCI and v1 count both together (memsw), v2 counts swap by itself.

use super::LimitError;
use super::files::Files;
use super::range::{BYTES, bound_within, within};
use crate::cgroup::{Bound, MemoryLimits, Version};

pub(super) fn check(limits: &MemoryLimits) -> Result<(), LimitError> {
    bound_within("a memory limit in bytes", limits.limit, 1..=*BYTES.end())?;
    bound_within("a limit of memory and swap in bytes", limits.swap, 1..=*BYTES.end())?;
    bound_within("a memory reservation in bytes", limits.reservation, BYTES)?;
    bound_within("a limit of TCP buffers in bytes", limits.kernel_tcp, BYTES)?;
    if let Some(swappiness) = limits.swappiness {
        within("swappiness", swappiness, 0..=100)?;
    }
    if let (Some(limit), Some(swap)) = (limits.limit, limits.swap) {
        together(limit, swap)?;
    }
    match (limits.reservation, limits.limit) {
        (Some(Bound::At(reservation)), Some(Bound::At(limit))) if reservation > limit => {
            let problem = format!("a memory reservation of {reservation} bytes is more than the limit of {limit}");
            Err(LimitError::new(problem, "reserve at most as much as the limit"))
        }
        _ => Ok(()),
    }
}

/// Memory and swap together are at least the memory: else v1 answers EINVAL, and there would be a negative swap on v2.
fn together(limit: Bound, total: Bound) -> Result<(), LimitError> {
    match (limit, total) {
        (Bound::Max, Bound::At(total)) => {
            let problem =
                format!("memory and swap together can't be limited to {total} bytes where memory is not limited");
            Err(LimitError::new(problem, format!("limit memory too, to at most {total}")))
        }
        (Bound::At(limit), Bound::At(total)) if total < limit => {
            let problem = format!(
                "a limit of {total} bytes of memory and swap together is less than the {limit} of memory alone"
            );
            let remedy = format!("give at least {limit}, which means no swap at all: swap counts memory too");
            Err(LimitError::new(problem, remedy))
        }
        _ => Ok(()),
    }
}

pub(super) fn lower(limits: &MemoryLimits, files: &mut Files<'_>) {
    let sizes = Sizes::of(limits, files);
    match sizes.check(limits, files) {
        Err(error) => files.refuse(error.problem, error.remedy),
        Ok(()) => match files.version {
            Version::V1 => sizes.on_v1(limits, files),
            Version::V2 => sizes.on_v2(limits, files),
        },
    }
    let reservation = match files.version {
        Version::V1 => "memory.soft_limit_in_bytes",
        Version::V2 => "memory.low",
    };
    write_bound(reservation, limits.reservation, files);
    match files.version {
        Version::V1 => only_v1(limits, files),
        Version::V2 => not_on_v2(limits, files),
    }
}

fn write_bound(file: &str, bound: Option<Bound>, files: &mut Files<'_>) {
    if let Some(bound) = bound {
        let value = files.bound(bound);
        files.write(file, value);
    }
}

/// Memory as it is limited now, and memory and memory with swap as they will be.
struct Sizes {
    limit_now: Bound,
    limit: Bound,
    total: Bound,
}

impl Sizes {
    fn of(limits: &MemoryLimits, files: &Files<'_>) -> Self {
        let (limit_now, total_now) = match files.version {
            Version::V1 => (files.bound_now("memory.limit_in_bytes"), files.bound_now("memory.memsw.limit_in_bytes")),
            Version::V2 => {
                let (memory, swap) = (files.bound_now("memory.max"), files.bound_now("memory.swap.max"));
                (memory, sum(memory, swap))
            }
        };
        let total = limits.swap.or(limits.limit.filter(|limit| *limit == Bound::Max)).unwrap_or(total_now);
        Self { limit_now, limit: limits.limit.unwrap_or(limit_now), total }
    }

    fn check(&self, limits: &MemoryLimits, files: &Files<'_>) -> Result<(), LimitError> {
        if limits.limit.is_none() && limits.swap.is_none() {
            return Ok(());
        }
        together(self.limit, self.total)?;
        if limits.check_before_update { self.check_usage(files) } else { Ok(()) }
    }

    fn check_usage(&self, files: &Files<'_>) -> Result<(), LimitError> {
        let used = |file| files.number(file).unwrap_or(0);
        let (memory, total) = match files.version {
            Version::V1 => (used("memory.usage_in_bytes"), used("memory.memsw.usage_in_bytes")),
            Version::V2 => {
                let memory = used("memory.current");
                (memory, memory.saturating_add(used("memory.swap.current")))
            }
        };
        for (what, used, bound) in [("memory", memory, self.limit), ("memory and swap", total, self.total)] {
            if let Bound::At(bound) = bound
                && used > bound
            {
                let problem = format!("a limit of {bound} bytes of {what} is less than the {used} in use");
                return Err(LimitError::new(
                    problem,
                    "give more, or don't ask for the check: the kernel then reclaims and kills",
                ));
            }
        }
        Ok(())
    }

    /// The kernel answers EINVAL to a write that would leave memory above memory with swap, so what grows beyond the present memory limit comes first. As runc.
    fn on_v1(&self, limits: &MemoryLimits, files: &mut Files<'_>) {
        let swap_first = match limits.swap {
            Some(Bound::At(swap)) => !reaches(self.limit_now, swap),
            Some(Bound::Max) => true,
            None => false,
        };
        if limits.limit == Some(Bound::Max) && limits.swap.is_none() {
            files.write_if_there("memory.memsw.limit_in_bytes", "-1");
        }
        let mut writes = [("memory.limit_in_bytes", limits.limit), ("memory.memsw.limit_in_bytes", limits.swap)];
        if swap_first {
            writes.reverse();
        }
        for (file, bound) in writes {
            write_bound(file, bound, files);
        }
    }

    /// Swap is what is left of both together; it changes with the memory limit even if only that one is given.
    fn on_v2(&self, limits: &MemoryLimits, files: &mut Files<'_>) {
        match (self.limit, self.total) {
            (Bound::At(limit), Bound::At(total)) if limits.limit.is_some() || limits.swap.is_some() => {
                files.write("memory.swap.max", total - limit);
            }
            _ if limits.swap == Some(Bound::Max) => files.write("memory.swap.max", "max"),
            _ if limits.limit == Some(Bound::Max) => files.write_if_there("memory.swap.max", "max"),
            _ => {}
        }
        write_bound("memory.max", limits.limit, files);
    }
}

fn sum(memory: Bound, swap: Bound) -> Bound {
    match (memory, swap) {
        (Bound::At(memory), Bound::At(swap)) => Bound::At(memory.saturating_add(swap)),
        _ => Bound::Max,
    }
}

fn reaches(bound: Bound, value: u64) -> bool {
    match bound {
        Bound::At(bound) => bound >= value,
        Bound::Max => true,
    }
}

fn only_v1(limits: &MemoryLimits, files: &mut Files<'_>) {
    write_bound("memory.kmem.tcp.limit_in_bytes", limits.kernel_tcp, files);
    if limits.disable_oom_killer {
        files.write("memory.oom_control", 1);
    }
    if let Some(swappiness) = limits.swappiness {
        files.write("memory.swappiness", swappiness);
    }
}

/// runc leaves these out without a word.
fn not_on_v2(limits: &MemoryLimits, files: &mut Files<'_>) {
    if let Some(bound) = limits.kernel_tcp {
        let limit = format!("limit of TCP buffers ({} bytes)", files.bound(bound));
        files.refuse_on_v2(limit, "leave it out: they count as memory there");
    }
    if limits.disable_oom_killer {
        files.refuse_on_v2("way to switch the OOM killer off", "leave it out, or limit by memory.high in unified");
    }
    if let Some(swappiness) = limits.swappiness {
        files.refuse_on_v2(format!("swappiness ({swappiness})"), "leave it out, or limit swap itself");
    }
}
