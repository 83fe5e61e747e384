//! The control groups: a new one is made and limited before there is a first process, which is then made in it.

mod scope;
mod wanted;

use std::path::Path;

use izba_sys::namespace::CloneFlags;
use izba_sys::path::OFlags;

use super::cgroupfs::Shown;
use super::{PlanError, Planner, Step, c_path};
use crate::call::{At, Call, Resolve, Slot};
use crate::cgroup::{
    Above, ControlGroup, Driver, Enforcement, Hierarchy, NewGroup, Parent, Presence, Setting, Version,
};
use crate::namespace::Kind;
use wanted::Wanted;

impl Planner<'_> {
    pub(super) fn control_group(&mut self) -> Result<(), PlanError> {
        let sandbox = self.sandbox;
        if let Some(frozen) = &self.facts.frozen_group {
            let shown = frozen.display();
            return Err(PlanError::new(
                format!("the group {shown} is frozen, so a program that is started in it doesn't run"),
                format!("let it go on first: izba resume, or echo 0 > {shown}/cgroup.freeze"),
            ));
        }
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
            ControlGroup::Attached { bus, unit, below } => {
                let attach = Call::AttachToUnit { bus: bus.clone(), unit: unit.clone(), below: below.clone() };
                let title = format!("have systemd put the child into {unit}{below}");
                self.outside.push(Step { title, shell: None, calls: vec![attach] });
            }
            ControlGroup::New(new) => self.new_group(new)?,
        }
        Ok(())
    }

    pub(super) fn is_best_effort(&self) -> bool {
        matches!(&self.sandbox.cgroup, ControlGroup::New(new) if new.enforcement == Enforcement::BestEffort)
    }

    fn before(&mut self, title: String, shell: impl Into<Option<String>>, calls: Vec<Call>) {
        self.before.push(Step { title, shell: shell.into(), calls });
    }

    fn new_group(&mut self, new: &NewGroup) -> Result<(), PlanError> {
        let wanted = Wanted::of(new, self.facts)?;
        let missing = wanted.refused.iter().chain(&wanted.ineffective).next();
        if let (Enforcement::Required, Some(refused)) = (new.enforcement, missing) {
            return Err(refused.clone());
        }
        self.notes.extend(wanted.refused.iter().map(|refused| format!("left out: {}", refused.problem)));
        self.notes.extend(wanted.ineffective.iter().map(|error| format!("without effect for now: {}", error.problem)));
        match &new.driver {
            Driver::Files(_) => self.make_group(new, &wanted),
            Driver::Systemd { bus, slice } => self.start_scope(new, bus, slice.as_ref(), &wanted)?,
        }
        Ok(())
    }

    fn make_group(&mut self, new: &NewGroup, wanted: &Wanted) {
        let layout = &self.facts.cgroups;
        if let Some(unified) = layout.unified.as_ref().filter(|unified| unified.writable) {
            self.make_above(new, unified);
            self.hand_on(new, unified, wanted);
            let slot = self.make_dir(new, unified, wanted.on(Version::V2).collect());
            self.group = Some(slot);
            if let Some(program) = &wanted.devices {
                let attach = Call::AttachDevices { group: slot, program: program.clone() };
                self.before("limit the devices".to_owned(), None, vec![attach]);
            }
            self.shown_groups.extend(Shown::of(unified));
        }
        for hierarchy in layout.v1.iter().filter(|hierarchy| hierarchy.writable && wanted.needs(hierarchy)) {
            self.make_above(new, hierarchy);
            let own = wanted.on(Version::V1).filter(|setting| {
                setting.controller.is_some_and(|controller| hierarchy.controllers.contains(&controller))
            });
            self.make_dir(new, hierarchy, own.collect());
            self.joined_v1.push(hierarchy.parent().join(&new.name));
            self.shown_groups.extend(Shown::of(hierarchy));
        }
    }

    /// Also those that exist now: another run may be about to remove them.
    fn make_above(&mut self, new: &NewGroup, hierarchy: &Hierarchy) {
        for above in below_top(new, hierarchy) {
            let shown = above.path.display();
            let make = Call::MakeGroupAbove { path: c_path(&above.path) };
            self.before(format!("make the group {shown}"), format!("mkdir -p {shown}"), vec![make]);
        }
    }

    /// From the top down: a group's children have what is in its cgroup.subtree_control.
    fn hand_on(&mut self, new: &NewGroup, unified: &Hierarchy, wanted: &Wanted) {
        for above in &unified.above {
            // Another run may remove it meanwhile: one that is made again hands nothing on.
            let is_made_again = above.writable && below_top(new, unified).any(|below| below == above);
            let missing = wanted.handed_on(unified).filter(|wanted| is_made_again || !above.handed_on.contains(wanted));
            let added = missing.filter_map(|controller| Some(format!("+{}", controller.name(Version::V2)?)));
            let value = added.collect::<Vec<_>>().join(" ");
            if value.is_empty() {
                continue;
            }
            let file = above.path.join("cgroup.subtree_control");
            let title = format!("let {} hand {value} on", above.path.display());
            let shell = format!("echo {value} > {}", file.display());
            self.before(title, shell, vec![write_to(&file, value)]);
        }
    }

    fn make_dir(&mut self, new: &NewGroup, hierarchy: &Hierarchy, settings: Vec<&Setting>) -> Slot {
        let path = hierarchy.parent().join(&new.name);
        let shown = path.display();
        let to = self.slot(format!("group {shown}"));
        let controllers = match hierarchy.version {
            Version::V1 => hierarchy.controllers.iter().copied().collect(),
            Version::V2 => Vec::new(),
        };
        let mut calls = vec![Call::MakeGroup { path: c_path(&path), controllers, to }];
        calls.extend(fill_above(new, hierarchy));
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

/// The groups above that are named, and so may have been made by another run.
fn below_top<'a>(new: &NewGroup, hierarchy: &'a Hierarchy) -> impl Iterator<Item = &'a Above> + use<'a> {
    let named = matches!(new.driver, Driver::Files(Parent::Path(_)));
    hierarchy.above.iter().skip(1).filter(move |_| named)
}

/// Once the new one is in it, nobody can remove a group above and make it again without these. From the top down: a cpuset has no more than the
/// one above it.
fn fill_above(new: &NewGroup, hierarchy: &Hierarchy) -> Vec<Call> {
    let fill = |above: &Above, file: &str, content: String| Call::FillGroupAbove {
        file: c_path(above.path.join(file)),
        content: content.into_bytes(),
    };
    let above = below_top(new, hierarchy);
    above.flat_map(|above| inherited(hierarchy, &[]).map(move |(file, value)| fill(above, file, value))).collect()
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
