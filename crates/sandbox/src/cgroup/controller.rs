//! Controllers by name.

use std::fmt;
use std::str::FromStr;

/// A resource controller: cgroups(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Shares, quotas and realtime budgets of CPU time.
    Cpu,
    /// Counts CPU time (v1; part of `cpu` on v2).
    Cpuacct,
    /// Which CPUs and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// How many processes.
    Pids,
    /// Block devices: `io` on v2, `blkio` on v1.
    Io,
    /// Huge pages.
    Hugetlb,
    /// RDMA handles and objects.
    Rdma,
    /// Which devices may be used (v1; a BPF program on v2).
    Devices,
    /// Stops processes (v1; every group can on v2).
    Freezer,
    /// Marks network packets with a class (v1).
    NetCls,
    /// Priorities of network interfaces (v1).
    NetPrio,
    /// perf_event_open(2) by group.
    PerfEvent,
    /// Other countable things of the host.
    Misc,
    /// Device memory.
    Dmem,
}

/// Each with its name on v2 and on v1, as far as it is a controller there.
const NAMES: [(Controller, &str, &str); 15] = [
    (Controller::Cpu, "cpu", "cpu"),
    (Controller::Cpuacct, "", "cpuacct"),
    (Controller::Cpuset, "cpuset", "cpuset"),
    (Controller::Memory, "memory", "memory"),
    (Controller::Pids, "pids", "pids"),
    (Controller::Io, "io", "blkio"),
    (Controller::Hugetlb, "hugetlb", "hugetlb"),
    (Controller::Rdma, "rdma", "rdma"),
    (Controller::Devices, "", "devices"),
    (Controller::Freezer, "", "freezer"),
    (Controller::NetCls, "", "net_cls"),
    (Controller::NetPrio, "", "net_prio"),
    (Controller::PerfEvent, "perf_event", "perf_event"),
    (Controller::Misc, "misc", "misc"),
    (Controller::Dmem, "dmem", ""),
];

/// Which of the kernel's two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// A hierarchy for each controller, or for several that are mounted together.
    V1,
    /// One hierarchy.
    V2,
}

impl Controller {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(controller, ..)| *controller)
    }

    /// As the kernel calls it there; `None` where it is no controller there.
    pub fn name(self, version: Version) -> Option<&'static str> {
        let (_, v2, v1) = NAMES.iter().find(|(controller, ..)| *controller == self)?;
        let name = match version {
            Version::V1 => v1,
            Version::V2 => v2,
        };
        Some(*name).filter(|name| !name.is_empty())
    }
}

impl fmt::Display for Controller {
    /// Its newest name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name(Version::V2).or(self.name(Version::V1)).unwrap_or_default())
    }
}

impl FromStr for Controller {
    type Err = String;

    /// Takes the names of both versions.
    fn from_str(name: &str) -> Result<Self, String> {
        let mut known = NAMES.iter().filter(|_| !name.is_empty());
        let found = known.find(|(_, v2, v1)| *v2 == name || *v1 == name);
        found.map(|(controller, ..)| *controller).ok_or_else(|| format!("{name:?} is no controller that izba knows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_versions_lead_back() {
        for controller in Controller::all() {
            for version in [Version::V1, Version::V2] {
                let Some(name) = controller.name(version) else { continue };
                assert_eq!(name.parse(), Ok(controller));
            }
            assert_eq!(controller.to_string().parse(), Ok(controller));
        }
        assert!("".parse::<Controller>().is_err() && "name=systemd".parse::<Controller>().is_err());
    }
}
