//! The control group that a run gets.

use std::collections::BTreeSet;
use std::path::PathBuf;

use izba_sandbox::cgroup::{ControlGroup, Controller, Driver, Enforcement, Limits, Manager, NewGroup, Parent};

use crate::args::limit::{CgroupManager, GroupArgs};
use crate::failure::{Failure, Result};
use crate::parse::cgroup::Parent as Named;
use crate::record::Name;

/// What all groups of izba's are called in the beginning.
pub const PREFIX: &str = "izba-";

/// A group of its own. A run with a name is there to be paused and looked at, and of one whose result is wanted it is counted what it uses: on cgroup
/// v1 that takes controllers.
pub fn lower(args: &GroupArgs, privileged: bool, name: Option<&Name>, limits: Limits) -> Result<ControlGroup> {
    let Some(driver) = driver(args, privileged)? else { return without(args, &limits) };
    let mut controllers = BTreeSet::new();
    if name.is_some() {
        controllers.extend([Controller::Freezer, Controller::Cpuacct]);
    }
    if args.result.is_some() {
        controllers.extend([Controller::Cpuacct, Controller::Memory, Controller::Pids]);
    }
    // A name is one run's of one user in one runtime directory, and groups are everybody's.
    let number = std::process::id();
    let name = name.map_or_else(|| number.to_string(), |name| format!("{name}-{number}"));
    Ok(ControlGroup::New(Box::new(NewGroup {
        name: format!("{PREFIX}{name}"),
        driver,
        limits,
        controllers,
        enforcement: if args.best_effort { Enforcement::BestEffort } else { Enforcement::Required },
    })))
}

/// `None` where no group is wanted.
fn driver(args: &GroupArgs, privileged: bool) -> Result<Option<Driver>> {
    let manager = if privileged { Manager::System } else { Manager::User };
    match (args.cgroup_manager, &args.cgroup_parent) {
        (CgroupManager::None, _) => Ok(None),
        (CgroupManager::Systemd, None) => Ok(Some(Driver::Systemd { manager, slice: None })),
        (CgroupManager::Systemd, Some(Named::Slice(slice))) => {
            Ok(Some(Driver::Systemd { manager, slice: Some(slice.clone()) }))
        }
        (CgroupManager::Systemd, Some(Named::Path(path))) => {
            Err(Failure::new(format!("--cgroup-parent {}: systemd makes groups in slices", path.display()))
                .remedy("the name of a slice, such as izba.slice; or --cgroup-manager cgroupfs"))
        }
        (CgroupManager::Cgroupfs, Some(Named::Slice(slice))) => {
            Err(Failure::new(format!("--cgroup-parent {slice}: slices are systemd's, and it isn't to make the group"))
                .remedy(format!("its path, such as /{slice}; or --cgroup-manager systemd")))
        }
        (CgroupManager::Auto, Some(Named::Slice(slice))) => {
            Ok(Some(Driver::Systemd { manager, slice: Some(slice.clone()) }))
        }
        (CgroupManager::Auto | CgroupManager::Cgroupfs, None) => Ok(Some(Driver::Files(Parent::Nearest))),
        (CgroupManager::Auto | CgroupManager::Cgroupfs, Some(Named::Path(path))) => {
            Ok(Some(Driver::Files(Parent::Path(PathBuf::from(path)))))
        }
    }
}

fn without(args: &GroupArgs, limits: &Limits) -> Result<ControlGroup> {
    let problem = match (limits == &Limits::default(), &args.cgroup_parent) {
        (true, None) => return Ok(ControlGroup::Caller),
        (false, _) => "limits need a group, and --cgroup-manager none makes none",
        (true, Some(_)) => "--cgroup-parent says where the group is to be, and --cgroup-manager none makes none",
    };
    Err(Failure::new(problem).remedy("leave one of the two out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(manager: CgroupManager, parent: Option<&str>, limits: Limits) -> Result<ControlGroup> {
        let parent = parent.map(|parent| parent.parse().unwrap());
        let args = GroupArgs { cgroup_parent: parent, cgroup_manager: manager, best_effort: false, result: None };
        lower(&args, true, None, limits)
    }

    fn driver(manager: CgroupManager, parent: Option<&str>) -> Driver {
        match lowered(manager, parent, Limits::default()).unwrap() {
            ControlGroup::New(new) => new.driver,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parents_fit_their_managers() {
        assert_eq!(driver(CgroupManager::Auto, None), Driver::Files(Parent::Nearest));
        assert_eq!(driver(CgroupManager::Auto, Some("a/b")), Driver::Files(Parent::Path("/a/b".into())));
        let slice = Driver::Systemd { manager: Manager::System, slice: Some("web.slice".to_owned()) };
        assert_eq!(driver(CgroupManager::Auto, Some("web.slice")), slice);
        assert_eq!(driver(CgroupManager::Systemd, Some("web.slice")), slice);
        for (manager, parent) in [(CgroupManager::Systemd, "/a"), (CgroupManager::Cgroupfs, "web.slice")] {
            let failure = lowered(manager, Some(parent), Limits::default()).unwrap_err();
            assert!(failure.problem.starts_with(&format!("--cgroup-parent {parent}: ")), "{failure}");
        }
    }

    #[test]
    fn without_a_group_nothing_can_be_limited() {
        assert_eq!(lowered(CgroupManager::None, None, Limits::default()).unwrap(), ControlGroup::Caller);
        let limits = Limits { pids: Some(izba_sandbox::cgroup::Bound::At(5)), ..Limits::default() };
        assert!(lowered(CgroupManager::None, None, limits).is_err());
        assert!(lowered(CgroupManager::None, Some("/a"), Limits::default()).is_err());
    }
}
