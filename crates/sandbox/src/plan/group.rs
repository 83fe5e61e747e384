//! The control groups: a new one is made and limited before there is a first process, which is then made in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use izba_sys::Errno;
use izba_sys::namespace::CloneFlags;
use izba_sys::path::OFlags;

use super::cgroupfs::Shown;
use super::{PlanError, Planner, Step, c_path};
use crate::call::{At, Call, Resolve, Slot};
use crate::cgroup::{
    Above, ControlGroup, Controller, Driver, Enforcement, Hierarchy, LimitError, Limits, NewGroup, Presence, Setting,
    Version, device,
};
use crate::facts::Facts;
use crate::namespace::Kind;

impl Planner<'_> {
    pub(super) fn control_group(&mut self) -> Result<(), PlanError> {
        let sandbox = self.sandbox;
        match &sandbox.cgroup {
            ControlGroup::Caller => {}
            ControlGroup::Joined(membership) => {
                if let Some(dir) = &membership.unified {
                    let to = self.slot("cgroup");
                    let flags = OFlags::PATH | OFlags::DIRECTORY;
                    let open = Call::Open { at: At::Host(c_path(dir)), flags, resolve: Resolve::Freely, to };
                    self.before(format!("open the cgroup {}", dir.display()), None, vec![open]);
                    self.group = Some(to);
                }
                self.joined_v1.extend(membership.v1.iter().cloned());
            }
            ControlGroup::New(new) => self.new_group(new)?,
        }
        Ok(())
    }

    fn before(&mut self, title: String, shell: impl Into<Option<String>>, calls: Vec<Call>) {
        self.before.push(Step { title, shell: shell.into(), calls });
    }

    fn new_group(&mut self, new: &NewGroup) -> Result<(), PlanError> {
        let wanted = Wanted::of(new, self.facts)?;
        if let (Enforcement::Required, Some(refused)) = (new.enforcement, wanted.refused.first()) {
            return Err(refused.clone());
        }
        self.notes.extend(wanted.refused.iter().map(|refused| format!("not enforced: {}", refused.problem)));
        match &new.driver {
            Driver::Files(_) => self.make_group(new, &wanted),
            Driver::Systemd { .. } => {
                return Err(PlanError::new("systemd's driver isn't there yet", "--cgroup-manager cgroupfs"));
            }
        }
        Ok(())
    }

    fn make_group(&mut self, new: &NewGroup, wanted: &Wanted) {
        let layout = &self.facts.cgroups;
        if let Some(unified) = layout.unified.as_ref().filter(|unified| unified.writable) {
            self.make_above(unified);
            self.hand_on(unified, wanted);
            let slot = self.make_dir(unified, &new.name, wanted.on(Version::V2).collect());
            self.group = Some(slot);
            if let Some(program) = &wanted.devices {
                let attach = Call::AttachDevices { group: slot, program: program.clone() };
                self.before("limit the devices".to_owned(), None, vec![attach]);
            }
            self.shown_groups.extend(Shown::of(unified));
        }
        for hierarchy in layout.v1.iter().filter(|hierarchy| hierarchy.writable && wanted.needs(hierarchy)) {
            self.make_above(hierarchy);
            let own = wanted.on(Version::V1).filter(|setting| {
                setting.controller.is_some_and(|controller| hierarchy.controllers.contains(&controller))
            });
            self.make_dir(hierarchy, &new.name, own.collect());
            self.joined_v1.push(hierarchy.parent().join(&new.name));
            self.shown_groups.extend(Shown::of(hierarchy));
        }
    }

    fn make_above(&mut self, hierarchy: &Hierarchy) {
        for above in hierarchy.above.iter().filter(|above| !above.exists) {
            let shown = above.path.display();
            let mut calls = vec![Call::MakeGroupAbove { path: c_path(&above.path) }];
            let files = inherited(hierarchy, &[]);
            calls.extend(files.map(|(file, value)| write_to(&above.path.join(file), value)));
            self.before(format!("make the group {shown}"), format!("mkdir {shown}"), calls);
        }
    }

    /// From the top down: a group's children have what is in its cgroup.subtree_control.
    fn hand_on(&mut self, unified: &Hierarchy, wanted: &Wanted) {
        for above in &unified.above {
            let missing = not_handed_on(above, wanted.on(Version::V2).filter_map(|setting| setting.controller));
            if missing.is_empty() {
                continue;
            }
            let (file, value) = (above.path.join("cgroup.subtree_control"), missing.join(" "));
            let title = format!("let {} hand {value} on", above.path.display());
            let shell = format!("echo {value} > {}", file.display());
            self.before(title, shell, vec![write_to(&file, value)]);
        }
    }

    fn make_dir(&mut self, hierarchy: &Hierarchy, name: &str, settings: Vec<&Setting>) -> Slot {
        let path = hierarchy.parent().join(name);
        let shown = path.display();
        let to = self.slot(format!("group {shown}"));
        let controllers = match hierarchy.version {
            Version::V1 => hierarchy.controllers.iter().copied().collect(),
            Version::V2 => Vec::new(),
        };
        let mut calls = vec![Call::MakeGroup { path: c_path(&path), controllers, to }];
        calls.extend(inherited(hierarchy, &settings).map(|(file, value)| write_in(to, file, value)));
        self.before(format!("make the group {shown}"), format!("mkdir {shown}"), calls);
        for setting in settings {
            let Setting { file, value, .. } = setting;
            self.before(
                format!("set {file} to {value}"),
                format!("echo {value} > {shown}/{file}"),
                vec![limit(to, setting)],
            );
        }
        to
    }

    /// A thread that writes 0 into `tasks` moves itself, and the kernel needs no lock against forks and exits for that, whose taking waits some
    /// milliseconds for RCU: cgroup_procs_write_start() in kernel/cgroup/cgroup.c. We have one thread, so it is all of us.
    pub(super) fn join_groups(&mut self) {
        for dir in std::mem::take(&mut self.joined_v1) {
            let tasks = dir.join("tasks");
            let shell = format!("echo $$ > {}", tasks.display());
            self.step(format!("join the cgroup {}", dir.display()), shell, vec![write_to(&tasks, "0".to_owned())]);
        }
    }

    /// By unshare(2): of clone3(2) it would have the caller's groups as its root, and not the new ones: cgroup_namespaces(7).
    pub(super) fn cgroup_namespace(&mut self) {
        if self.is_new(Kind::Cgroup) {
            let unshare = Call::Unshare(CloneFlags::NEWCGROUP);
            self.step("make the cgroup namespace", "unshare --cgroup".to_owned(), vec![unshare]);
        }
    }
}

/// What of the limits can be had, and why the rest can't.
struct Wanted {
    settings: Vec<Setting>,
    /// Device rules on cgroup v2.
    devices: Option<device::Program>,
    /// Those that the group has to have in any case too.
    controllers: BTreeSet<Controller>,
    refused: Vec<PlanError>,
}

impl Wanted {
    fn of(new: &NewGroup, facts: &Facts) -> Result<Self, PlanError> {
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
            None => {}
        }
        settings.retain(|setting| setting.controller.is_none_or(|controller| !closed.contains_key(&controller)));
        devices = devices.filter(|_| !closed.contains_key(&Controller::Devices));
        let controllers = needed.union(&new.controllers).copied().filter(|controller| !closed.contains_key(controller));
        let controllers = controllers.collect();
        let refused = closed.into_values().chain(lowered.refused.into_iter().map(refused)).collect();
        Ok(Self { settings, devices, controllers, refused })
    }

    fn needs(&self, hierarchy: &Hierarchy) -> bool {
        hierarchy.controllers.iter().any(|controller| self.controllers.contains(controller))
    }

    fn on(&self, version: Version) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(move |setting| setting.version == version)
    }
}

fn refused(error: LimitError) -> PlanError {
    PlanError::new(error.problem, error.remedy)
}

/// Why a controller that is there can't be used, if it can't.
fn refusal(controller: Controller, limits: &Limits, facts: &Facts) -> Option<PlanError> {
    let layout = &facts.cgroups;
    let v1 = layout.v1.iter().find(|hierarchy| hierarchy.controllers.contains(&controller));
    let hierarchy = v1.or(layout.unified.as_ref()).filter(|_| layout.version(controller).is_some())?;
    if !hierarchy.writable {
        return Some(closed(controller, hierarchy));
    }
    if controller == Controller::Devices && v1.is_none() && !(facts.initial_user_namespace && facts.may("SYS_ADMIN")) {
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

fn not_handed_on<'a>(above: &Above, controllers: impl Iterator<Item = Controller> + 'a) -> Vec<String> {
    let missing: BTreeSet<Controller> =
        controllers.filter(|controller| !above.handed_on.contains(controller)).collect();
    missing.into_iter().filter_map(|controller| Some(format!("+{}", controller.name(Version::V2)?))).collect()
}

/// A new cpuset of v1 has neither CPUs nor memory, and takes no process: cpuset(7). What the limits don't say it has from the group above.
fn inherited<'a>(hierarchy: &'a Hierarchy, own: &[&Setting]) -> impl Iterator<Item = (&'static str, String)> + use<'a> {
    let own: Vec<String> = own.iter().map(|setting| setting.file.clone()).collect();
    let v1 = hierarchy.version == Version::V1;
    let numbers = [("cpuset.cpus", &hierarchy.cpus), ("cpuset.mems", &hierarchy.mems)];
    let missing = numbers.into_iter().filter(move |(file, _)| v1 && !own.iter().any(|own| own == file));
    missing.filter_map(|(file, numbers)| Some((file, numbers.as_ref()?.to_string())))
}

fn write_to(path: &Path, value: String) -> Call {
    Call::WriteSetting { at: At::Host(c_path(path)), content: value.into_bytes() }
}

fn limit(group: Slot, setting: &Setting) -> Call {
    let mut files = vec![(c_path(&setting.file), setting.value.clone().into_bytes())];
    if let Presence::Twin { file, value } = &setting.presence {
        files.push((c_path(file), value.clone().into_bytes()));
    }
    Call::WriteLimit { group, files, required: setting.presence != Presence::Optional }
}

fn write_in(group: Slot, file: &str, value: String) -> Call {
    Call::WriteSetting { at: At::In(group, c_path(file)), content: value.into_bytes() }
}
