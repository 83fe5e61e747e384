//! Which control groups a sandbox is in.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::layout::unified_group;
use super::systemd::{Address, Slice};
use super::{Controller, Limits, Membership};

/// Which control groups a sandbox is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlGroup {
    /// The caller's.
    Caller,
    /// Others that exist already.
    Joined(Membership),
    /// A group of a unit of systemd's, which puts the first process there: for who may not do that, as its own group isn't in what was delegated
    /// to it. cgroups(7), "delegation containment".
    Attached {
        /// The bus that it is asked on.
        bus: Address,
        /// The unit.
        unit: String,
        /// Which group of the unit's: `/inner`, or nothing for its own.
        below: String,
    },
    /// A new one, which goes with the sandbox.
    New(Box<NewGroup>),
}

impl ControlGroup {
    /// The cgroup v2 group that is named, for the sandbox or for its group: the caller's own runs, as the caller does.
    pub(crate) fn named(&self) -> Option<PathBuf> {
        match self {
            Self::Joined(membership) => membership.unified.clone(),
            Self::New(new) => match &new.driver {
                Driver::Files(Parent::Path(path)) => unified_group(path),
                _ => None,
            },
            Self::Caller | Self::Attached { .. } => None,
        }
    }
}

/// A group that is made for the sandbox.
///
/// It has a directory in the cgroup v2 hierarchy, where there is one and the caller may make groups; and in the v1 hierarchies that its limits and
/// `controllers` need. Where nothing is limited it does without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// Its directory's name, or the scope's without `.scope`. No group may have it yet.
    pub name: String,
    /// Who makes it.
    pub driver: Driver,
    /// What is limited.
    pub limits: Limits,
    /// Controllers that the group is to have though nothing is limited: to be counted, or stopped.
    pub controllers: BTreeSet<Controller>,
    /// What becomes of limits that can't be enforced.
    pub enforcement: Enforcement,
}

/// Who makes a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The caller, by mkdir(2) and write(2).
    Files(Parent),
    /// systemd, as a scope: systemd.scope(5). For cgroup v2 only.
    Systemd {
        /// The bus that it is asked on.
        bus: Address,
        /// In this slice; by default in the usual one.
        slice: Option<Slice>,
    },
}

/// Below which group a new one is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The caller's own on v1. On v2 the one above it, as a group with processes in it hands no controllers on: cgroups(7), "no internal processes".
    Nearest,
    /// This one in every hierarchy, from the top of what is mounted. What is missing is made, and removed with the new group.
    Path(PathBuf),
}

/// What becomes of limits that can't be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Without them there is no plan.
    Required,
    /// They are left out, and the plan's notes say so; what the kernel refuses in the end [`Child::left_out`](crate::parent::Child::left_out) says.
    BestEffort,
}
