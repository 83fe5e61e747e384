//! Marks of network packets, on v1 only: cgroup-v1/net_cls.rst and net_prio.rst. On v2 nftables and BPF programs match groups instead.

use super::LimitError;
use super::files::Files;
use super::range::{is_word, once};
use crate::cgroup::NetworkLimits;

/// `IFNAMSIZ` with the NUL at its end.
const LONGEST_NAME: usize = 15;

pub(super) fn check(limits: &NetworkLimits) -> Result<(), LimitError> {
    once("a network priority", limits.priorities.iter().map(|(interface, _)| interface))?;
    let is_name = |name: &str| is_word(name) && name.len() <= LONGEST_NAME && !name.contains('/');
    match limits.priorities.iter().find(|(interface, _)| !is_name(interface)) {
        Some((interface, _)) => {
            let problem = format!("{interface:?} is no name of a network interface");
            Err(LimitError::new(problem, "give one of the host's, as in /sys/class/net"))
        }
        None => Ok(()),
    }
}

pub(super) fn lower_class(limits: &NetworkLimits, files: &mut Files<'_>) {
    if let Some(class_id) = limits.class_id {
        files.write("net_cls.classid", class_id);
    }
}

pub(super) fn lower_priorities(limits: &NetworkLimits, files: &mut Files<'_>) {
    for (interface, priority) in &limits.priorities {
        files.write("net_prio.ifpriomap", format!("{interface} {priority}"));
    }
}
