//! What a group has used and uses.

mod cpu;
mod hugetlb;
mod io;
mod memory;
mod pids;
mod pressure;

use super::{Group, GroupError};
use crate::cgroup::Controller;
#[cfg(fuzzing)]
use crate::cgroup::{Bound, Version};
pub use cpu::{CpuUsage, Throttling};
pub use hugetlb::HugetlbUsage;
pub use io::DeviceIo;
pub use memory::{MemoryEvents, MemoryUsage};
pub use pids::PidsUsage;
pub use pressure::{Pressure, Pressures, Stall};

/// What a group counts, sub-groups included. `None` is everywhere: this group doesn't count it, for it is in no hierarchy with that controller,
/// the controller isn't on, or this kernel doesn't count it. Other names of one thing in v1 and v2 are one here; bytes are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub cpu: CpuUsage,
    /// Memory and swap.
    pub memory: MemoryUsage,
    /// Processes and threads.
    pub pids: PidsUsage,
    /// Block devices that have been read or written, by their number.
    pub io: Option<Vec<DeviceIo>>,
    /// Huge pages, by their size.
    pub hugetlb: Option<Vec<HugetlbUsage>>,
    /// How long processes wait for what is scarce (cgroup v2).
    pub pressure: Pressures,
}

#[cfg(fuzzing)]
impl Usage {
    /// Reads any text as every file of both versions, for the fuzz target: its tool sets the cfg.
    pub fn read_any(text: &str, other: &str) -> [Self; 2] {
        let cpu = cpu::of_cpuacct(text, other, 100);
        let throttling = cpu::throttling(text, Version::V1);
        let limit = Bound::of_file(text);
        let v1 = Self {
            cpu: CpuUsage { throttling, ..cpu },
            memory: MemoryUsage { limit, ..MemoryUsage::default() },
            io: Some(io::of_v1(text, other)),
            ..Self::default()
        };
        let events = memory::events_v2(text);
        let pressure = pressure::pressure(text);
        let v2 = Self {
            cpu: cpu::of_v2(text),
            memory: MemoryUsage { events, ..MemoryUsage::default() },
            io: Some(io::of_v2(text)),
            pressure: Pressures { cpu: pressure, ..Pressures::default() },
            ..Self::default()
        };
        [v1, v2]
    }
}

impl Group {
    /// Reads what the group counts.
    ///
    /// # Errors
    /// [`Gone`](GroupError::Gone), or a file may not be read.
    pub fn usage(&self) -> Result<Usage, GroupError> {
        let usage = Usage {
            cpu: cpu::read(self)?,
            memory: memory::read(self)?,
            pids: pids::read(self)?,
            io: self.of(Controller::Io).map_or(Ok(None), io::read)?,
            hugetlb: self.of(Controller::Hugetlb).map_or(Ok(None), hugetlb::read)?,
            pressure: self.unified.as_ref().map_or(Ok(Pressures::default()), pressure::read)?,
        };
        // A group that was removed meanwhile seems to count less, or nothing.
        self.directories()
            .find(|directory| directory.is_gone())
            .map_or(Ok(usage), |gone| Err(GroupError::Gone(gone.path.clone())))
    }
}
