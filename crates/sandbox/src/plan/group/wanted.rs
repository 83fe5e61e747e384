//! What of a new group's limits can be had on this machine, by this caller.

use std::collections::{BTreeMap, BTreeSet};

use izba_sys::Errno;

use super::PlanError;
use crate::cgroup::{
    Above, Controller, Driver, Hierarchy, LimitError, Limits, NewGroup, Parent, Setting, Unfollowed, Version, Weighing,
    device,
};
use crate::facts::Facts;

/// What of the limits can be had, and why the rest can't.
pub(super) struct Wanted {
    pub settings: Vec<Setting>,
    /// Device rules on cgroup v2.
    pub devices: Option<device::Program>,
    /// Those that the group has to have in any case too.
    controllers: BTreeSet<Controller>,
    pub refused: Vec<PlanError>,
    /// Why some of the settings have no effect now. The kernel takes them, and heeds them from when that changes, so best effort is to make them.
    pub ineffective: Vec<PlanError>,
}

impl Wanted {
    pub fn of(new: &NewGroup, facts: &Facts) -> Result<Self, PlanError> {
        let layout = &facts.cgroups;
        let limits = &new.limits;
        let needed = limits.controllers();
        let closed: BTreeMap<Controller, PlanError> =
            needed.iter().filter_map(|&controller| Some((controller, refusal(controller, limits, facts)?))).collect();
        let lowered = limits.settings(&|controller| layout.version(controller)).map_err(refused)?;
        let mut settings = lowered.settings;
        let mut devices = None;
        match layout.version(Controller::Devices).filter(|_| !limits.devices.is_empty()) {
            Some(Version::V1) => settings.extend(device::settings(&limits.devices).map_err(refused)?),
            Some(Version::V2) => devices = Some(device::Program::compile(&limits.devices)),
            // Refused above.
            None => {}
        }
        settings.retain(|setting| setting.controller.is_none_or(|controller| !closed.contains_key(&controller)));
        let (unfollowed, ineffective) = sort_out_weights(&mut settings, &layout.weighing);
        devices = devices.filter(|_| !closed.contains_key(&Controller::Devices));
        // What is only to be counted nobody misses.
        let counted = new.controllers.iter().filter(|&&controller| refusal(controller, limits, facts).is_none());
        let had = needed.iter().filter(|controller| !closed.contains_key(controller));
        let controllers = had.chain(counted).copied().filter(|&controller| layout.version(controller).is_some());
        let controllers = controllers.collect();
        let refused = closed.into_values().chain(lowered.refused.into_iter().map(refused));
        let refused = refused.chain(unfollowed).chain(refused_parent(new, facts)).collect();
        Ok(Self { settings, devices, controllers, refused, ineffective })
    }

    pub fn needs(&self, hierarchy: &Hierarchy) -> bool {
        hierarchy.controllers.iter().any(|controller| self.controllers.contains(controller))
    }

    /// Those that a group of cgroup v2 has only if the groups above it hand them on.
    pub fn handed_on(&self, unified: &Hierarchy) -> impl Iterator<Item = Controller> {
        self.controllers.iter().copied().filter(|controller| unified.controllers.contains(controller))
    }

    pub fn on(&self, version: Version) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(move |setting| setting.version == version)
    }
}

/// Takes out the weights that can't be had, and says why; and why those that stay have no effect.
fn sort_out_weights(settings: &mut Vec<Setting>, weighing: &Weighing) -> (Vec<PlanError>, Vec<PlanError>) {
    let (mut refused, mut ineffective) = (Vec::new(), Vec::new());
    settings.retain(|setting| match weighing.unfollowed(setting) {
        Some(Unfollowed { error, taken: false }) => {
            refused.push(PlanError::new(error.problem, format!("{}; --best-effort goes without", error.remedy)));
            false
        }
        Some(Unfollowed { error, taken: true }) => {
            let remedy = format!("{}; --best-effort sets it all the same, for later", error.remedy);
            ineffective.push(PlanError::new(error.problem, remedy));
            true
        }
        None => true,
    });
    (refused, ineffective)
}

fn refused(error: LimitError) -> PlanError {
    PlanError::new(error.problem, error.remedy)
}

/// Why a controller can't be used, if it can't. What is nowhere is refused with the values of its files; only device rules on v2 have none.
fn refusal(controller: Controller, limits: &Limits, facts: &Facts) -> Option<PlanError> {
    let layout = &facts.cgroups;
    let v1 = layout.v1.iter().find(|hierarchy| hierarchy.controllers.contains(&controller));
    let Some(hierarchy) = v1.or(layout.unified.as_ref()).filter(|_| layout.version(controller).is_some()) else {
        return (controller == Controller::Devices).then(no_devices);
    };
    if !hierarchy.writable {
        return Some(closed(controller, hierarchy));
    }
    if controller == Controller::Devices && v1.is_none() && !may_attach(facts) {
        return device::program_refusal(Errno::PERM)
            .map(|hint| PlanError::new(format!("the device rules can't be enforced: {}", hint.cause), hint.remedy));
    }
    if controller == Controller::Cpuset
        && let Some(error) = absent_numbers(limits, hierarchy)
    {
        return Some(error);
    }
    let occupied = hierarchy.above.iter().filter(|_| v1.is_none() && controller.name(Version::V2).is_some());
    occupied.filter(|above| !above.handed_on.contains(&controller)).find_map(|above| not_handing_on(controller, above))
}

fn no_devices() -> PlanError {
    PlanError::new(
        "the device rules can't be enforced: neither a devices hierarchy of cgroup v1 is mounted below /sys/fs/cgroup, nor cgroup v2",
        "mount one of them; --best-effort goes without",
    )
}

/// What the kernel wants of who loads and attaches a program for devices: capabilities(7).
fn may_attach(facts: &Facts) -> bool {
    let capable = facts.may("SYS_ADMIN") || (facts.may("BPF") && facts.may("NET_ADMIN"));
    facts.initial_user_namespace && capable
}

/// Who names a parent wants it, also where nothing is limited.
fn refused_parent(new: &NewGroup, facts: &Facts) -> Option<PlanError> {
    let Driver::Files(Parent::Path(parent)) = &new.driver else { return None };
    let layout = &facts.cgroups;
    let usable = layout.unified.iter().chain(&layout.v1).any(|hierarchy| hierarchy.writable);
    (!usable).then(|| {
        PlanError::new(
            format!("no group can be made below {}: you may make groups there in no hierarchy", parent.display()),
            "run izba as root; or name a group that was handed to you (cgroups(7), \"delegation\"); --best-effort goes without",
        )
    })
}

fn closed(controller: Controller, hierarchy: &Hierarchy) -> PlanError {
    PlanError::new(
        format!(
            "the {controller} limits can't be enforced: you may not make groups in {}",
            hierarchy.parent().display()
        ),
        "run izba as root; or have a group handed to you (cgroups(7), \"delegation\"), which systemd does for users on cgroup v2; \
         --best-effort goes without",
    )
}

fn not_handing_on(controller: Controller, above: &Above) -> Option<PlanError> {
    let shown = above.path.display();
    if !above.writable && above.exists {
        return Some(PlanError::new(
            format!(
                "the {controller} limits can't be enforced: {shown} doesn't hand the {controller} controller on, and you may not change that"
            ),
            format!(
                "as root: echo +{controller} > {shown}/cgroup.subtree_control, or Delegate={controller} in a unit of systemd's"
            ),
        ));
    }
    above.occupied.then(|| {
        PlanError::new(
            format!(
                "the {controller} limits can't be enforced: {shown} has processes of its own, and such a group hands no controllers on \
                 (cgroups(7), \"no internal processes\")"
            ),
            format!("move them into a group below it, or name another one with --cgroup-parent; they are in {shown}/cgroup.procs"),
        )
    })
}

/// CPUs and memory nodes that aren't there: cgroup v2 would take them, and leave the group with others.
fn absent_numbers(limits: &Limits, hierarchy: &Hierarchy) -> Option<PlanError> {
    let wanted = [(&limits.cpu.cpus, &hierarchy.cpus, "CPUs"), (&limits.cpu.mems, &hierarchy.mems, "memory nodes")];
    wanted.into_iter().find_map(|(wanted, there, word)| {
        let (wanted, there) = (wanted.as_ref()?, there.as_ref()?);
        (!there.contains_all(wanted)).then(|| {
            PlanError::new(
                format!("the {word} {wanted} aren't all there: {} has {there}", hierarchy.parent().display()),
                format!("choose from {there}"),
            )
        })
    })
}
