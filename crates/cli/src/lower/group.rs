//! The control group that a run gets.

use std::collections::BTreeSet;

use izba_sandbox::cgroup::systemd::{Address, is_systemd_running};
use izba_sandbox::cgroup::{ControlGroup, Controller, Driver, Enforcement, Limits, NewGroup, Parent, is_unified};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::Id;

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
    let is_plain = name.is_none() && args.result.is_none() && limits == Limits::default();
    let Some(driver) = driver(args, caller, is_plain)? else { return without(args, &limits) };
    let mut controllers = BTreeSet::new();
    if name.is_some() {
        controllers.extend([Controller::Freezer, Controller::Cpu]);
    }
    if name.is_some() || args.result.is_some() {
        controllers.extend([Controller::Cpuacct, Controller::Memory, Controller::Pids]);
    }
    Ok(ControlGroup::New(Box::new(NewGroup {
        name: group_name(name, std::process::id(), Id::own(Kind::Pid)),
        driver,
        limits,
        controllers,
        enforcement: if args.best_effort { Enforcement::BestEffort } else { Enforcement::Required },
    })))
}

/// A name is one run's of one user in one runtime directory, and a process id one PID namespace's; groups are everybody's.
fn group_name(name: Option<&Name>, pid: u32, namespace: Option<Id>) -> String {
    let name = name.map(|name| format!("{name}-")).unwrap_or_default();
    let namespace = namespace.filter(|id| !id.is_initial()).map(|id| format!("-{}", id.inode)).unwrap_or_default();
    format!("{PREFIX}{name}{pid}{namespace}")
}

/// `None` where no group is wanted.
fn driver(args: &GroupArgs, caller: &Caller, is_plain: bool) -> Result<Option<Driver>> {
    let files = |parent| Ok(Some(Driver::Files(parent)));
    match (args.cgroup_manager, &args.cgroup_parent) {
        (CgroupManager::None, _) => Ok(None),
        (CgroupManager::Auto, None) => Ok(Some(usual(is_plain, || usual_bus(caller)))),
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

/// A run of which nothing is limited or counted does without a group where the caller can't make one, and needn't wait for systemd.
fn usual(is_plain: bool, bus: impl FnOnce() -> Option<Address>) -> Driver {
    let bus = if is_plain { None } else { bus() };
    bus.map_or(Driver::Files(Parent::Nearest), |bus| Driver::Systemd { bus, slice: None })
}

/// Who makes the group of a run that is limited, where nobody says anything.
pub fn usual_driver(caller: &Caller) -> Driver {
    usual(false, || usual_bus(caller))
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
    fn systemd_is_asked_for_what_is_wanted_only() {
        let bus = Address::system(None).unwrap();
        assert_eq!(usual(true, || panic!("asked")), Driver::Files(Parent::Nearest));
        assert_eq!(usual(false, || Some(bus.clone())), Driver::Systemd { bus: bus.clone(), slice: None });
        assert_eq!(usual(false, || None), Driver::Files(Parent::Nearest));
    }

    #[test]
    fn groups_of_two_pid_namespaces_have_two_names() {
        let web: Name = "web".parse().unwrap();
        let of = |name, inode| group_name(name, 7, Some(Id { kind: Kind::Pid, inode }));
        assert_eq!((of(None, 0xEFFF_FFFC), of(Some(&web), 0xEFFF_FFFC)), ("izba-7".into(), "izba-web-7".into()));
        assert_eq!(of(None, 4_026_532_000), "izba-7-4026532000");
        assert_eq!(of(Some(&web), 4_026_532_001), "izba-web-7-4026532001");
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
