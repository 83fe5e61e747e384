//! What a group has used and uses.

mod cpu;
mod hugetlb;
mod io;
mod memory;
mod pids;
mod pressure;

use super::{Group, GroupError};
use crate::cgroup::Controller;
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
