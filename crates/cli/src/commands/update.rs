//! `izba update`.

mod undo;
mod unit;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use izba_sandbox::cgroup::{
    Controller, Group, LimitError, Limits, NumberList, Place, Setting, Version, Weighing, device, is_unified,
};
use izba_sys::path::{CWD, Mode, openat};

use crate::args::named::UpdateArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::limit;
use crate::private_dir::DIRECTORY;
use crate::record::{Cgroup, Record, Run};
use crate::start;
use undo::Before;

/// Changes what is named, and nothing else.
pub fn update(args: &UpdateArgs) -> Result<u8> {
    let limits = limit::change(&args.limits)?;
    if limits == Limits::default() {
        return Err(Failure::new("no limit is named").remedy("izba update --help, which lists them"));
    }
    let caller = Caller::of_this_process();
    let record = Run::find(&args.name, &caller)?.record;
    record.unless_ended(in_run(&record, &limits, &caller))
}

fn in_run(record: &Record, limits: &Limits, caller: &Caller) -> Result<u8> {
    let group = record.open_group()?;
    let Some(Cgroup(place)) = &record.cgroup else { return Ok(0) };
    let update = Update { run: &record.name, place, limits, group: &group };
    update.has_cpus()?;
    update.has_quota()?;
    let settings = update.settings()?;
    // systemd writes what it is told.
    let before = Before::read(&settings, place);
    if let Some(unit) = &place.unit {
        // It takes all of them or none.
        unit::set_properties(unit, &settings, &limits.devices, caller)?;
    }
    update.make(&settings).map(|()| 0).map_err(|failure| update.undo(&before, failure, caller))
}

/// Limits on their way to a group.
struct Update<'a> {
    run: &'a str,
    place: &'a Place,
    limits: &'a Limits,
    group: &'a Group,
}

impl Update<'_> {
    /// As at the start: cgroup v2 would take CPUs that aren't there, and leave the group with others; v1 would refuse them when others of these limits
    /// have been changed.
    fn has_cpus(&self) -> Result<()> {
        let Some((version, dir)) = self.place.of(Controller::Cpuset) else { return Ok(()) };
        let [cpus, mems] = match version {
            Version::V1 => ["cpuset.cpus", "cpuset.mems"],
            Version::V2 => ["cpuset.cpus.effective", "cpuset.mems.effective"],
        };
        // The nearest that has the controller.
        let above =
            |file: &str| dir.ancestors().skip(1).find_map(|above| std::fs::read_to_string(above.join(file)).ok());
        let cpu = &self.limits.cpu;
        present("--cpuset-cpus", cpu.cpus.as_ref(), above(cpus))?;
        present("--cpuset-mems", cpu.mems.as_ref(), above(mems))
    }

    /// The group may have one already.
    fn has_quota(&self) -> Result<()> {
        let now = ["cpu.max", "cpu.cfs_quota_us"].into_iter().find_map(|file| self.read(Controller::Cpu, file));
        let is_bounded = now.is_some_and(|now| !now.starts_with("max") && !now.starts_with('-'));
        limit::burst_has_quota(self.limits, is_bounded)
    }

    fn make(&self, settings: &[Setting]) -> Result<()> {
        self.have_controllers()?;
        self.change(settings)
    }

    /// After a failure. What can't be put back is named in it.
    fn undo(&self, before: &Before<'_>, failure: Failure, caller: &Caller) -> Failure {
        let mut changed = Vec::new();
        if let Some(unit) = &self.place.unit
            && (unit::set_properties(unit, &before.settings(), &[], caller).is_err() || !self.limits.devices.is_empty())
        {
            changed.push(format!("the properties of {}", unit.name));
        }
        changed.extend(before.put_back(self.group));
        if changed.is_empty() {
            return failure;
        }
        let problem = format!("{}; changed already, and not put back: {}", failure.problem, changed.join(", "));
        Failure { problem, ..failure }
    }

    /// On cgroup v2 a controller can be had later, too. On v1 its group would have had to be joined at the start.
    fn have_controllers(&self) -> Result<()> {
        for controller in self.limits.controllers() {
            if self.place.v1.contains_key(&controller) {
                continue;
            }
            // Every group of v2 can have a program that judges devices.
            if controller == Controller::Devices && self.place.unified.is_some() {
                continue;
            }
            let name = controller.name(Version::V2);
            let handed_on = match (&self.place.unified, name) {
                (Some(dir), Some(name)) => hand_on(dir, name),
                (None, _) | (_, None) => Err(io::ErrorKind::NotFound.into()),
            };
            handed_on.map_err(|error| self.without(controller, &error))?;
        }
        Ok(())
    }

    fn without(&self, controller: Controller, error: &io::Error) -> Failure {
        let run = self.run;
        let failure = Failure::new(format!("the {controller} limits of the run {run} can't be changed"));
        if error.kind() != io::ErrorKind::NotFound {
            return failure
                .because(format!("a group above it doesn't hand the {controller} controller on"))
                .caused_by(error);
        }
        if is_unified() {
            return failure
                .because(format!("no group above it has the {controller} controller"))
                .remedy("see cgroup.controllers for what the kernel has and what is delegated, and cgroups(7)");
        }
        failure
            .because(format!("it was started without any, and has no group in the {controller} hierarchy of cgroup v1"))
            .remedy("start it with such a limit, which may be max: it can be changed then")
    }

    fn settings(&self) -> Result<Vec<Setting>> {
        let on = |controller| self.place.of(controller).map(|(version, _)| version);
        let lowered = self.limits.changes(&on, &|controller, file| self.read(controller, file)).map_err(refused)?;
        let mut settings = lowered.strict().map_err(refused)?;
        if let (false, Some(current)) = (self.limits.devices.is_empty(), self.read(Controller::Devices, "devices.list"))
        {
            settings.extend(device::transition(&current, &self.limits.devices).map_err(refused)?);
        }
        self.are_followed(&settings)?;
        Ok(settings)
    }

    /// As at the start: the kernel takes an I/O weight that nothing follows.
    fn are_followed(&self, settings: &[Setting]) -> Result<()> {
        if !self.limits.weigh_disks() {
            return Ok(());
        }
        let version = self.place.of(Controller::Io).map(|(version, _)| version);
        Weighing::look(version).check(settings).map_err(refused)
    }

    fn read(&self, controller: Controller, file: &str) -> Option<String> {
        let (_, dir) = self.place.of(controller)?;
        std::fs::read_to_string(dir.join(file)).ok()
    }

    fn change(&self, settings: &[Setting]) -> Result<()> {
        let problem = || format!("cannot change the limits of the run {}", self.run);
        self.group.change(settings).map_err(|error| start::group(problem(), &error))?;
        let v1 = self.place.v1.contains_key(&Controller::Devices);
        let Some(dir) = self.place.unified.as_ref().filter(|_| !v1 && !self.limits.devices.is_empty()) else {
            return Ok(());
        };
        let program = device::Program::compile(&self.limits.devices);
        let replaced = openat(CWD, dir, DIRECTORY, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|dir| device::replace(dir.as_fd(), &program));
        replaced.map_err(|error| {
            Failure::new(problem()).because("the program that judges devices can't be attached").caused_by(&error)
        })
    }
}

/// Are all of them among those that the group above has? Where that isn't known the kernel decides.
fn present(option: &str, wanted: Option<&NumberList>, above: Option<String>) -> Result<()> {
    let above = above.and_then(|above| above.trim().parse::<NumberList>().ok());
    match (wanted, above) {
        (Some(wanted), Some(above)) if !above.contains_all(wanted) => {
            Err(Failure::new(format!("{option} {wanted}: not all of them are there"))
                .remedy(format!("choose from {above}")))
        }
        _ => Ok(()),
    }
}

fn refused(error: LimitError) -> Failure {
    Failure::new(error.problem).remedy(error.remedy)
}

/// Lets a group have a controller, through all groups above it: cgroups(7), "cgroup.subtree_control". ENOENT where none has it.
fn hand_on(dir: &Path, controller: &str) -> io::Result<()> {
    let available = std::fs::read_to_string(dir.join("cgroup.controllers"))?;
    if available.split_ascii_whitespace().any(|word| word == controller) {
        return Ok(());
    }
    let above = dir.parent().ok_or(io::ErrorKind::NotFound)?;
    hand_on(above, controller)?;
    std::fs::write(above.join("cgroup.subtree_control"), format!("+{controller}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_that_are_not_there_are_refused() {
        let check = |wanted: &str, above: &str| {
            present("--cpuset-cpus", Some(&wanted.parse().unwrap()), Some(above.to_owned()))
        };
        assert!(check("0-1", "0-3\n").is_ok() && present("--cpuset-cpus", None, Some("0\n".to_owned())).is_ok());
        let failure = check("99", "0-3\n").unwrap_err();
        assert!(failure.problem.starts_with("--cpuset-cpus 99: "), "{failure}");
        assert!(present("--cpuset-cpus", Some(&"99".parse().unwrap()), None).is_ok());
    }

    #[test]
    fn devices_that_nothing_judges_are_no_success() {
        let limits = Limits { devices: vec!["c 1:3 r".parse().unwrap()], ..Limits::default() };
        let only_pids = Place { v1: [(Controller::Pids, "/sys/fs/cgroup/pids/a".into())].into(), ..Place::default() };
        let group = Group::open_rest(&Place::default()).unwrap();
        let check = |place| Update { run: "web", place, limits: &limits, group: &group }.have_controllers();
        let failure = check(&only_pids).unwrap_err();
        assert!(failure.problem.contains("the devices limits of the run web"), "{failure}");
        let unified = Place { unified: Some("/sys/fs/cgroup/unified/a".into()), ..Place::default() };
        assert!(check(&unified).is_ok());
    }
}
