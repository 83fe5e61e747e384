//! A group that systemd makes. It makes none that is empty, so the child waits until it has been put there.

use super::wanted::Wanted;
use super::{PlanError, Planner, limit};
use crate::call::{Call, StartScope};
use crate::cgroup::systemd::{Address, Slice, device_properties, properties};
use crate::cgroup::{ControlGroup, Driver, NewGroup, Version};
use crate::plan::Step;
use crate::plan::cgroupfs::Shown;

impl Planner<'_> {
    /// Has the child to wait for systemd?
    pub(in crate::plan) fn waits_for_systemd(&self) -> bool {
        match &self.sandbox.cgroup {
            ControlGroup::Caller | ControlGroup::Joined(_) => false,
            ControlGroup::Attached { .. } => true,
            ControlGroup::New(new) => matches!(new.driver, Driver::Systemd { .. }),
        }
    }

    pub(super) fn start_scope(
        &mut self,
        new: &NewGroup,
        bus: &Address,
        slice: Option<&Slice>,
        wanted: &Wanted,
    ) -> Result<(), PlanError> {
        let layout = &self.facts.cgroups;
        let Some(unified) = &layout.unified else {
            return Err(PlanError::new(
                "systemd's scopes are for cgroup v2, which this machine hasn't mounted, or not alone",
                "--cgroup-manager cgroupfs",
            ));
        };
        let mut asked = device_properties(&new.limits.devices, &layout.drivers);
        asked.extend(properties(wanted.on(Version::V2)));
        let (unit, to) = (format!("{}.scope", new.name), self.slot("cgroup"));
        let title = format!("have systemd make the scope {unit}");
        let shell = format!("systemd-run --scope --unit={unit}");
        let scope = StartScope {
            bus: bus.clone(),
            slice: slice.cloned(),
            unit,
            description: format!("izba run {}", new.name),
            properties: asked,
            top: unified.above.first().map(|top| top.path.clone()).unwrap_or_default(),
        };
        let start = Call::StartScope { scope: Box::new(scope), to };
        self.outside.push(Step { title, shell: Some(shell), calls: vec![start] });
        // systemd knows not all of them, and rounds some.
        for setting in wanted.on(Version::V2) {
            let title = format!("set {} to {}", setting.file, setting.value);
            self.outside.push(Step { title, shell: None, calls: vec![limit(to, setting)] });
        }
        if let Some(program) = &wanted.devices {
            let attach = Call::AttachDevices { group: to, program: program.clone() };
            self.outside.push(Step { title: "limit the devices".to_owned(), shell: None, calls: vec![attach] });
        }
        self.shown_groups.extend(Shown::of(unified));
        Ok(())
    }
}
