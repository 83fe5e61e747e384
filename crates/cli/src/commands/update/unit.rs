//! The limits of a group of systemd's: it is told of them too, or it would write its own again when it next looks at the unit.

use izba_sandbox::cgroup::systemd::{self, PATIENCE, Systemd};
use izba_sandbox::cgroup::{DeviceRule, Setting, Unit};

use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::group::bus;

/// Has systemd change what it knows. It also lets the group have the controllers that are needed for it.
pub fn set_properties(unit: &Unit, settings: &[Setting], devices: &[DeviceRule], caller: &Caller) -> Result<()> {
    // systemd names kinds of devices as this file does.
    let drivers = std::fs::read_to_string("/proc/devices").unwrap_or_default();
    let mut properties = systemd::properties(settings);
    properties.extend(systemd::device_properties(devices, &drivers));
    if properties.is_empty() {
        return Ok(());
    }
    let bus = bus(caller)?;
    let set = Systemd::connect(&bus, PATIENCE).and_then(|mut systemd| systemd.set_properties(&unit.name, &properties));
    set.map_err(|error| {
        let remedy = error.remedy();
        Failure::new(format!("systemd can't change the limits of {}", unit.name)).caused_by(&error).remedy(remedy)
    })
}
