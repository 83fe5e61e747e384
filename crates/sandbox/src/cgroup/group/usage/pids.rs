//! Processes and threads: pids.* of both versions.

use crate::cgroup::group::interface::flat;
use crate::cgroup::group::{Group, GroupError};
use crate::cgroup::{Bound, Controller};

/// How many processes and threads a group has: each thread counts, and each that has ended and wasn't waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidsUsage {
    /// Now.
    pub current: Option<u64>,
    /// The most that there were. Linux 6.1.
    pub peak: Option<u64>,
    /// The most that there may be.
    pub limit: Option<Bound>,
    /// How often a new one was refused.
    pub refused: Option<u64>,
}

pub(super) fn read(group: &Group) -> Result<PidsUsage, GroupError> {
    let Some(directory) = group.of(Controller::Pids) else { return Ok(PidsUsage::default()) };
    Ok(PidsUsage {
        current: directory.number("pids.current")?,
        peak: directory.number("pids.peak")?,
        limit: directory.bound("pids.max")?,
        refused: directory.get("pids.events")?.and_then(|events| flat(&events, "max")),
    })
}
