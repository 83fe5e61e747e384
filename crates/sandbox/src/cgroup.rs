//! Control groups: limits as typed data, the files that they become on cgroup v2 and v1, and groups that are made, changed, stopped,
//! counted and removed. cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel.
//!
//! v2, v1 and hybrid (v1 hierarchies hold the limits, an almost empty v2 one serves freeze and kill) have one interface: a [`Place`] says where a
//! group is in each hierarchy, and [`Limits`] become [`Setting`]s, which are written there.

mod controller;
pub mod device;
pub mod group;
mod intent;
mod layout;
mod limits;
mod membership;
mod own;
mod place;
mod setting;
mod settings;
mod sweep;
pub mod systemd;
mod weighing;

pub use controller::{Controller, Version};
pub use group::{Group, GroupError};
pub use intent::{ControlGroup, Driver, Enforcement, NewGroup, Parent};
pub(crate) use layout::is_frozen;
pub use layout::{Above, Hierarchy, Layout, is_unified, may_enter};
pub use limits::{
    Bound, CpuLimits, CpuWeight, DeviceAccess, DeviceKind, DeviceRule, DeviceWeight, HugetlbLimit, IoLimits, IoWeight,
    Limits, MemoryLimits, NetworkLimits, NumberList, RdmaLimit, Throttle,
};
pub use membership::Membership;
pub(crate) use membership::{frozen_group_of, memberships};
pub(crate) use own::fill;
pub use own::{OwnGroup, PATIENCE, SHORT_PATIENCE, remove_abandoned};
pub use place::{Manager, Place, Unit};
pub use setting::{LimitError, Presence, Setting};
pub use settings::Lowered;
pub use sweep::{Swept, sweep};
pub use weighing::{Disk, Unfollowed, Weighing};
