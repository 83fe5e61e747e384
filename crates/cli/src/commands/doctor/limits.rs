//! Can a run of the caller's be limited?

use std::collections::BTreeSet;

use izba_sandbox::cgroup::{
    Above, Controller, Driver, Enforcement, Hierarchy, Layout, Limits, NewGroup, Version, Weighing,
};
use izba_sandbox::probe::{Finding, State};

use super::weights;
use crate::caller::Caller;
use crate::lower::group;

/// What limits are usually of; without one of the first three a machine can't be kept going.
const CONTROLLERS: [Controller; 6] =
    [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::Cpuset, Controller::Io, Controller::Hugetlb];
const NEEDED: usize = 3;

/// Whether groups can be made in the usual place, and what for; and whether weights that they have divide disks.
pub fn findings(caller: &Caller) -> [Finding; 2] {
    let driver = group::usual_driver(caller);
    let by = match &driver {
        Driver::Files(_) => "files",
        Driver::Systemd { .. } => "systemd",
    };
    let wanted = NewGroup {
        name: group::PREFIX.to_owned(),
        driver,
        limits: Limits::default(),
        controllers: CONTROLLERS.into(),
        enforcement: Enforcement::Required,
    };
    let layout = Layout::look(&wanted);
    let io = layout.version(Controller::Io).filter(|_| is_usable(&layout, Controller::Io));
    [of(&layout, by, caller.uid == 0), weights::finding(io, &Weighing::look(io))]
}

fn of(layout: &Layout, by: &str, is_root: bool) -> Finding {
    let (usable, missing): (Vec<Controller>, Vec<Controller>) =
        CONTROLLERS.into_iter().partition(|&controller| is_usable(layout, controller));
    let finding =
        |state, detail, remedy| Finding { name: "limits", state, detail, remedy: Some(remedy), essential: false };
    if usable.is_empty() {
        let remedy = match is_root {
            true => "give izba control groups that it may write, where a container around it keeps them from it",
            false => "as root; or where systemd has cgroup v2, with one of your own: loginctl enable-linger",
        };
        return finding(
            State::Missing,
            "you may make no control groups with controllers".to_owned(),
            remedy.to_owned(),
        );
    }
    let versions: BTreeSet<&str> =
        usable.iter().filter_map(|&controller| layout.version(controller)).map(called).collect();
    let detail = format!("{} ({}, by {by})", list(&usable), Vec::from_iter(versions).join(" and "));
    if CONTROLLERS.iter().take(NEEDED).all(|needed| usable.contains(needed)) {
        return Finding { remedy: None, ..finding(State::Works, detail, String::new()) };
    }
    let remedy =
        format!("have {} handed on by the groups above: cgroups(7), \"cgroup.subtree_control\"", list(&missing));
    finding(State::Limited, detail, remedy)
}

/// As the plan has it, which makes the groups above hand on what they may.
fn is_usable(layout: &Layout, controller: Controller) -> bool {
    let has = |hierarchy: &&Hierarchy| hierarchy.writable && hierarchy.controllers.contains(&controller);
    if layout.v1.iter().any(|hierarchy| has(&hierarchy)) {
        return true;
    }
    layout.unified.iter().filter(has).any(|unified| {
        let can = |above: &Above| {
            above.handed_on.contains(&controller) || !above.exists || (above.writable && !above.occupied)
        };
        unified.above.iter().all(can)
    })
}

fn called(version: Version) -> &'static str {
    match version {
        Version::V1 => "cgroup v1",
        Version::V2 => "cgroup v2",
    }
}

fn list(controllers: &[Controller]) -> String {
    controllers.iter().map(Controller::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(version: Version, writable: bool, controllers: &[Controller], handed_on: &[Controller]) -> Hierarchy {
        let above = Above {
            path: "/sys/fs/cgroup".into(),
            exists: true,
            handed_on: handed_on.iter().copied().collect(),
            writable: false,
            occupied: false,
        };
        let controllers = controllers.iter().copied().collect();
        Hierarchy { version, controllers, above: vec![above], writable, cpus: None, mems: None }
    }

    #[test]
    fn what_works_is_named_with_who_does_it() {
        let v1 =
            |writable| Layout { v1: vec![hierarchy(Version::V1, writable, &CONTROLLERS, &[])], ..Layout::default() };
        let found = of(&v1(true), "files", true);
        assert_eq!(
            (found.state, &*found.detail),
            (State::Works, "memory, cpu, pids, cpuset, io, hugetlb (cgroup v1, by files)")
        );
        let found = of(&v1(false), "files", false);
        assert_eq!((found.state, found.remedy.is_some()), (State::Missing, true));
    }

    #[test]
    fn what_is_not_handed_on_is_missing() {
        let handed_on = [Controller::Memory, Controller::Pids];
        let unified = Some(hierarchy(Version::V2, true, &CONTROLLERS, &handed_on));
        let found = of(&Layout { unified, ..Layout::default() }, "systemd", false);
        assert_eq!((found.state, &*found.detail), (State::Limited, "memory, pids (cgroup v2, by systemd)"));
        assert!(found.remedy.unwrap().starts_with("have cpu, cpuset, io, hugetlb handed on"));
    }
}
