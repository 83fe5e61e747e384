//! Limits as files and values: on v2, on v1, and between the two.
//!
//! Each topic has a file with two functions: `check` says what is wrong with its limits on any machine, `lower` writes them down for the version that
//! its controller is on. A fresh group is one of which nothing is known: the same functions serve it and a change.

mod cpu;
mod files;
mod hugetlb;
mod io;
mod memory;
mod network;
mod pids;
mod range;
mod rdma;
mod unified;
mod weight;

use std::collections::BTreeSet;

use super::{Controller, LimitError, Limits, MemoryLimits, Setting, Version};
use files::Files;
pub(super) use io::numbers;

/// On which version a controller can be used for a group; `None` where it can't.
type Hierarchies<'a> = dyn Fn(Controller) -> Option<Version> + 'a;

/// What a file of a group says now; `None` for what isn't known, or isn't there.
type Current<'a> = dyn Fn(Controller, &str) -> Option<String> + 'a;

/// What limits become for one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lowered {
    /// What is to be written, in an order that the kernel takes.
    pub settings: Vec<Setting>,
    /// Limits that this group can't have, each by itself: the controller isn't there, or its version has no such limit. Whoever wants best effort names
    /// each of them and goes on; else the first one is the error ([`Lowered::strict`]).
    pub refused: Vec<LimitError>,
}

impl Lowered {
    /// All of the limits or none.
    ///
    /// # Errors
    /// The first limit that can't be had.
    pub fn strict(self) -> Result<Vec<Setting>, LimitError> {
        self.refused.into_iter().next().map_or(Ok(self.settings), Err)
    }
}

impl Limits {
    /// The controllers without which these limits can't be had. [`Controller::Devices`] is among them only if there are rules.
    ///
    /// ```
    /// use izba_sandbox::cgroup::{Bound, Controller, Limits};
    /// let limits = Limits { pids: Some(Bound::At(64)), ..Limits::default() };
    /// assert!(limits.controllers().into_iter().eq([Controller::Pids]));
    /// ```
    pub fn controllers(&self) -> BTreeSet<Controller> {
        let unified = self.unified.iter().filter_map(|(file, _)| unified::controller(file).ok().flatten());
        self.typed().chain(unified).collect()
    }

    /// Whether these limits could be meant, on any machine: nothing out of the kernel's range, nothing that contradicts itself. [`Limits::settings`] and
    /// [`Limits::changes`] begin with it.
    ///
    /// # Errors
    /// The first limit that is wrong, with its value and what is allowed.
    pub fn check(&self) -> Result<(), LimitError> {
        cpu::check(&self.cpu)?;
        memory::check(&self.memory)?;
        pids::check(self.pids)?;
        io::check(&self.io)?;
        hugetlb::check(&self.hugetlb)?;
        rdma::check(&self.rdma)?;
        network::check(&self.network)?;
        unified::check(&self.unified)
    }

    /// What is written to a fresh group. `on` says on which version each controller is: on hybrid systems this differs.
    ///
    /// Devices are not among it: their rules are no values of files on v2 (see [`super::device`]). Nor is what a fresh v1 cpuset needs before a process may join, and
    /// wasn't asked for: who makes the group copies `cpuset.cpus` and `cpuset.mems` from the parent before.
    ///
    /// Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/, Documentation/scheduler/sched-bwc.rst, config-linux.md of the OCI runtime specification.
    ///
    /// # Errors
    /// As [`Limits::check`], and `unified` contradicts another limit. What can't be had here is in [`Lowered::refused`] instead.
    ///
    /// ```
    /// use izba_sandbox::cgroup::{Bound, Limits, Version};
    /// # fn main() -> Result<(), izba_sandbox::cgroup::LimitError> {
    /// let limits = Limits { pids: Some(Bound::At(64)), ..Limits::default() };
    /// let settings = limits.settings(&|_| Some(Version::V2))?.strict()?;
    /// assert_eq!((settings[0].file.as_str(), settings[0].value.as_str()), ("pids.max", "64"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn settings(&self, on: &Hierarchies<'_>) -> Result<Lowered, LimitError> {
        self.changes(on, &|_, _| None)
    }

    /// What is written to a group that is there, so that each write by itself keeps to what the kernel demands of the values together. What isn't given stays.
    /// `current` reads the group's own files.
    ///
    /// # Errors
    /// As [`Limits::settings`]. What contradicts the group's present values is in [`Lowered::refused`].
    pub fn changes(&self, on: &Hierarchies<'_>, current: &Current<'_>) -> Result<Lowered, LimitError> {
        self.check()?;
        let mut lowered = Lowered::default();
        for controller in self.typed().filter(|controller| *controller != Controller::Devices) {
            match on(controller).filter(|version| controller.name(*version).is_some()) {
                Some(version) => self.lower(&mut Files::new(controller, version, current, &mut lowered)),
                None => self.absent(controller, &mut lowered),
            }
        }
        unified::lower(&self.unified, on, &mut lowered)?;
        Ok(lowered)
    }

    /// Controllers of the typed limits, in the order in which their files are written.
    fn typed(&self) -> impl Iterator<Item = Controller> {
        Controller::all().filter(|controller| self.needs(*controller))
    }

    fn needs(&self, controller: Controller) -> bool {
        match controller {
            Controller::Cpu => cpu::is_limited(&self.cpu),
            Controller::Cpuset => self.cpu.cpus.is_some() || self.cpu.mems.is_some(),
            Controller::Memory => MemoryLimits { check_before_update: false, ..self.memory } != MemoryLimits::default(),
            Controller::Pids => self.pids.is_some(),
            Controller::Io => self.io != super::IoLimits::default(),
            Controller::Hugetlb => !self.hugetlb.is_empty(),
            Controller::Rdma => !self.rdma.is_empty(),
            Controller::NetCls => self.network.class_id.is_some(),
            Controller::NetPrio => !self.network.priorities.is_empty(),
            Controller::Devices => !self.devices.is_empty(),
            Controller::Cpuacct | Controller::Freezer | Controller::PerfEvent | Controller::Misc | Controller::Dmem => {
                false
            }
        }
    }

    fn lower(&self, files: &mut Files<'_>) {
        match files.controller {
            Controller::Cpu => cpu::lower(&self.cpu, files),
            Controller::Cpuset => cpu::lower_sets(&self.cpu, files),
            Controller::Memory => memory::lower(&self.memory, files),
            Controller::Pids => pids::lower(self.pids, files),
            Controller::Io => io::lower(&self.io, files),
            Controller::Hugetlb => hugetlb::lower(&self.hugetlb, files),
            Controller::Rdma => rdma::lower(&self.rdma, files),
            Controller::NetCls => network::lower_class(&self.network, files),
            Controller::NetPrio => network::lower_priorities(&self.network, files),
            _ => {}
        }
    }

    /// Names what was wanted of a controller that isn't there as the newest version that knows it would be told.
    fn absent(&self, controller: Controller, lowered: &mut Lowered) {
        let version = if controller.name(Version::V2).is_some() { Version::V2 } else { Version::V1 };
        let mut wanted = Lowered::default();
        self.lower(&mut Files::new(controller, version, &|_, _| None, &mut wanted));
        lowered.refused.extend(wanted.refused);
        for Setting { file, value, .. } in wanted.settings {
            let name = controller.name(version).unwrap_or_default();
            let problem = format!("{file} can't be set to \"{value}\": the {name} controller can't be used here");
            let remedy =
                "see /proc/cgroups and cgroup.controllers for what the kernel has and what is delegated: cgroups(7)";
            lowered.refused.push(LimitError::new(problem, remedy));
        }
    }
}

#[cfg(test)]
mod tests;
