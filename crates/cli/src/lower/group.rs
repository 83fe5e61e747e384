//! The control group that a run gets.

use std::collections::BTreeSet;

use izba_sandbox::cgroup::{ControlGroup, Controller, Driver, Enforcement, Limits, NewGroup, Parent};

use crate::record::Name;

/// What all groups of izba's are called in the beginning.
pub const PREFIX: &str = "izba-";

/// A group of its own. A run with a name is there to be paused, which on cgroup v1 takes a controller.
pub fn lower(name: Option<&Name>, limits: Limits) -> ControlGroup {
    let controllers = name.map(|_| Controller::Freezer).into_iter().collect::<BTreeSet<_>>();
    let name = name.map_or_else(|| std::process::id().to_string(), ToString::to_string);
    ControlGroup::New(Box::new(NewGroup {
        name: format!("{PREFIX}{name}"),
        driver: Driver::Files(Parent::Nearest),
        limits,
        controllers,
        enforcement: Enforcement::Required,
    }))
}
