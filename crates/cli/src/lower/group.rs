//! The control group that a run gets.

use std::collections::BTreeSet;

use izba_sandbox::cgroup::systemd::{Address, is_systemd_running};
use izba_sandbox::cgroup::{ControlGroup, Controller, Driver, Enforcement, Limits, NewGroup, Parent, is_unified};

use crate::args::limit::{CgroupManager, GroupArgs};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::parse::cgroup::Parent as Named;
use crate::record::Name;

/// What all groups of izba's are called in the beginning.
pub const PREFIX: &str = "izba-";

/// A group of its own. A run with a name is there to be looked at, paused and changed, and of one whose result is wanted it is counted what it uses: that
/// takes controllers.
pub fn lower(args: &GroupArgs, caller: &Caller, name: Option<&Name>, limits: Limits) -> Result<ControlGroup> {
    let Some(driver) = driver(args, caller)? else { return without(args, &limits) };
    let mut controllers = BTreeSet::new();
    if name.is_some() {
        controllers.extend([Controller::Freezer, Controller::Cpu]);
    }
    if name.is_some() || args.result.is_some() {
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
fn driver(args: &GroupArgs, caller: &Caller) -> Result<Option<Driver>> {
    let files = |parent| Ok(Some(Driver::Files(parent)));
    match (args.cgroup_manager, &args.cgroup_parent) {
        (CgroupManager::None, _) => Ok(None),
        (CgroupManager::Auto, None) => match usual_bus(caller) {
            Some(bus) => Ok(Some(Driver::Systemd { bus, slice: None })),
            None => files(Parent::Nearest),
        },
        (CgroupManager::Auto | CgroupManager::Systemd, Some(Named::Slice(slice))) => {
            Ok(Some(Driver::Systemd { bus: bus(caller)?, slice: Some(slice.clone()) }))
        }
        (CgroupManager::Systemd, None) => Ok(Some(Driver::Systemd { bus: bus(caller)?, slice: None })),
        (CgroupManager::Systemd, Some(Named::Path(path))) => {
            Err(Failure::new(format!("--cgroup-parent {}: systemd makes groups in slices", path.display()))
                .remedy("the name of a slice, such as izba.slice; or --cgroup-manager cgroupfs"))
        }
        (CgroupManager::Cgroupfs, Some(Named::Slice(slice))) => {
            Err(Failure::new(format!("--cgroup-parent {slice}: slices are systemd's, and it isn't to make the group"))
                .remedy(format!("its path, such as /{slice}; or --cgroup-manager systemd")))
        }
        (CgroupManager::Cgroupfs, None) => files(Parent::Nearest),
        (CgroupManager::Auto | CgroupManager::Cgroupfs, Some(Named::Path(path))) => files(Parent::Path(path.clone())),
    }
}

/// Root's is the system's.
pub fn bus(caller: &Caller) -> Result<Address> {
    let address = match caller.uid {
        0 => Address::system(caller.variable("DBUS_SYSTEM_BUS_ADDRESS")),
        uid => Address::user(caller.variable("DBUS_SESSION_BUS_ADDRESS"), caller.variable("XDG_RUNTIME_DIR"), uid),
    };
    address.map_err(|error| Failure::from_error(&error).remedy(error.remedy()))
}

/// Where systemd manages the machine's groups, groups are its business: "Control Group APIs and Delegation" of its documentation.
fn usual_bus(caller: &Caller) -> Option<Address> {
    let manages = is_systemd_running() && is_unified();
    manages.then(|| bus(caller).ok().filter(Address::exists)).flatten()
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
        lower(&args, &root(), None, limits)
    }

    fn root() -> Caller {
        Caller { uid: 0, ..crate::lower::environment::tests::caller(&[]) }
    }

    fn driver(manager: CgroupManager, parent: Option<&str>) -> Driver {
        match lowered(manager, parent, Limits::default()).unwrap() {
            ControlGroup::New(new) => new.driver,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parents_fit_their_managers() {
        assert_eq!(driver(CgroupManager::Auto, Some("a/b")), Driver::Files(Parent::Path("/a/b".into())));
        let bus = Address::system(None).unwrap();
        let slice = Driver::Systemd { bus, slice: Some("web.slice".parse().unwrap()) };
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
        assert_eq!(driver(CgroupManager::Cgroupfs, None), Driver::Files(Parent::Nearest));
        let limits = Limits { pids: Some(izba_sandbox::cgroup::Bound::At(5)), ..Limits::default() };
        assert!(lowered(CgroupManager::None, None, limits).is_err());
        assert!(lowered(CgroupManager::None, Some("/a"), Limits::default()).is_err());
    }
}
