//! Memory and swap: memory.* of v2, and of v1 (cgroup-v1/memory.rst).

use crate::cgroup::group::directory::Directory;
use crate::cgroup::group::interface::flat;
use crate::cgroup::group::{Group, GroupError, oom};
use crate::cgroup::{Bound, Controller, Version};

/// Memory of a group, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// All that is charged to it now.
    pub current: Option<u64>,
    /// The most that was.
    pub peak: Option<u64>,
    /// The most that may be.
    pub limit: Option<Bound>,
    /// What is swapped out.
    pub swap: Option<u64>,
    /// The most that may be. On v1: by how much the limit of memory and swap exceeds that of memory.
    pub swap_limit: Option<Bound>,
    /// Of `current`: memory of processes that isn't of files.
    pub anonymous: Option<u64>,
    /// Of `current`: the page cache, with tmpfs and shared memory.
    pub file: Option<u64>,
    /// Of `current`: the kernel's own.
    pub kernel: Option<u64>,
    /// What has happened.
    pub events: MemoryEvents,
}

/// How often something has happened to a group: memory.events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// Memory was taken from it though it was below memory.low (v2).
    pub low: Option<u64>,
    /// It was slowed down as it was over memory.high (v2).
    pub high: Option<u64>,
    /// It reached its limit, and memory had to be reclaimed. On v1: memory.failcnt.
    pub max: Option<u64>,
    /// Nothing could be reclaimed (v2).
    pub oom: Option<u64>,
    /// Processes that were killed for lack of memory, its own or the machine's.
    pub killed: Option<u64>,
}

pub(super) fn read(group: &Group) -> Result<MemoryUsage, GroupError> {
    match group.of(Controller::Memory) {
        Some(directory) if directory.version == Version::V1 => read_v1(directory),
        Some(directory) => read_v2(directory),
        None => Ok(MemoryUsage::default()),
    }
}

fn read_v2(directory: &Directory) -> Result<MemoryUsage, GroupError> {
    let stat = directory.get("memory.stat")?.unwrap_or_default();
    let events = directory.get("memory.events")?.unwrap_or_default();
    Ok(MemoryUsage {
        current: directory.number("memory.current")?,
        peak: directory.number("memory.peak")?,
        limit: directory.bound("memory.max")?,
        swap: directory.number("memory.swap.current")?,
        swap_limit: directory.bound("memory.swap.max")?,
        anonymous: flat(&stat, "anon"),
        file: flat(&stat, "file"),
        kernel: flat(&stat, "kernel"),
        events: events_v2(&events),
    })
}

pub(super) fn events_v2(events: &str) -> MemoryEvents {
    let count = |key| flat(events, key);
    MemoryEvents {
        low: count("low"),
        high: count("high"),
        max: count("max"),
        oom: count("oom"),
        killed: count("oom_kill"),
    }
}

fn read_v1(directory: &Directory) -> Result<MemoryUsage, GroupError> {
    let stat = directory.get("memory.stat")?.unwrap_or_default();
    let limit = directory.bound("memory.limit_in_bytes")?;
    let both = directory.get("memory.memsw.limit_in_bytes")?;
    Ok(MemoryUsage {
        current: directory.number("memory.usage_in_bytes")?,
        peak: directory.number("memory.max_usage_in_bytes")?,
        limit,
        swap: flat(&stat, "total_swap"),
        swap_limit: both.and_then(|both| beyond(limit?, Bound::of_file(&both)?)),
        anonymous: flat(&stat, "total_rss"),
        file: flat(&stat, "total_cache"),
        kernel: directory.number("memory.kmem.usage_in_bytes")?,
        events: MemoryEvents {
            max: directory.number("memory.failcnt")?,
            killed: oom::kills_v1(directory)?,
            ..MemoryEvents::default()
        },
    })
}

/// v1 limits memory and swap together.
fn beyond(memory: Bound, both: Bound) -> Option<Bound> {
    match (memory, both) {
        (_, Bound::Max) => Some(Bound::Max),
        (Bound::At(memory), Bound::At(both)) => Some(Bound::At(both.saturating_sub(memory))),
        // The kernel has it that memory alone isn't allowed more.
        (Bound::Max, Bound::At(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_isn_t_in_the_file_isn_t_counted() {
        let events = events_v2("low 0\nhigh 3\nmax 7\noom 1\noom_kill 2\noom_group_kill 0\n");
        let expected = MemoryEvents { low: Some(0), high: Some(3), max: Some(7), oom: Some(1), killed: Some(2) };
        assert_eq!(events, expected);
        assert_eq!(events_v2(""), MemoryEvents::default());
    }

    #[test]
    fn swap_is_what_v1_allows_beyond_memory() {
        assert_eq!(beyond(Bound::At(100), Bound::At(150)), Some(Bound::At(50)));
        assert_eq!(beyond(Bound::At(100), Bound::Max), Some(Bound::Max));
    }
}
