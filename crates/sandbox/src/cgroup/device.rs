//! Which devices may be used: `linux.resources.devices` of OCI's config-linux.md. A list on v1, a BPF program on v2.
//!
//! **What rules mean.** At first nothing is allowed. Rules are applied in order, each to every device that its kind and numbers name: one that
//! allows adds its accesses, one that denies takes them away. A use is allowed if each access that it asks for is: [`allows`]. A rule without
//! any access changes nothing. On top of that the groups above have to allow the use, too.
//!
//! That is also what runc 1.1 (libcontainer/cgroups/devices) and crun 1.8 (bpf.c) mean by ordinary rules. They differ from it, and
//! from each other, in corners:
//! * `a 1:3 r` names character and block device 1:3, for reading. To runc and to the kernel's v1 list any rule of kind `a`
//!   is about every device and every access.
//! * A rule overrides what earlier ones said of single devices: `deny c 1:* rwm` after `allow c 1:3 rwm` denies 1:3. v1 lists, and so runc, ignore such a denial silently.
//! * `deny c 1:3 w` after `allow c 1:3 rw` denies opening for both. crun's program looks for one rule that covers a use and overlooks the denial.
//! * Of `c 1:* r` and `c *:3 w` together runc's list refuses to open 1:3 for both, as the kernel looks for one entry that names both. Ours has one.
//! * A hole in what a wider rule allows works on v2, where runc refuses it; a v1 list can't have it, see [`settings`].

mod attach;
mod list;
mod program;
#[cfg(test)]
mod random;
mod text;
mod transition;

use izba_sys::bpf::{ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE};

use super::limits::{DeviceAccess, DeviceKind, DeviceRule};
pub use attach::{attach, program_refusal, replace};
pub(super) use list::allow_list;
pub use program::Program;
pub use transition::{list_refusal, settings, transition, within};

/// A kind that a single device is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKind {
    /// `b`
    Block,
    /// `c`
    Char,
}

/// Both, in the order in which lists are written.
const NODE_KINDS: [NodeKind; 2] = [NodeKind::Block, NodeKind::Char];

/// May a program use the device with this kind and these numbers in all of these ways? This is the specification of what rules mean.
///
/// ```
/// use izba_sandbox::cgroup::DeviceAccess;
/// use izba_sandbox::cgroup::device::{NodeKind, allows};
///
/// let rules = ["allow c 1:* rw", "deny c 1:3 w"].map(|rule| rule.parse().unwrap());
/// let reading = "r".parse::<DeviceAccess>().unwrap();
/// assert!(allows(&rules, (NodeKind::Char, 1, 3), reading));
/// assert!(!allows(&rules, (NodeKind::Char, 1, 3), "rw".parse().unwrap()));
/// assert!(!allows(&rules, (NodeKind::Block, 1, 3), reading));
/// ```
pub fn allows(rules: &[DeviceRule], (kind, major, minor): (NodeKind, u32, u32), access: DeviceAccess) -> bool {
    let device = Devices { major: Some(major), minor: Some(minor), kind };
    bits(access) & !allowed(rules, device) == 0
}

/// Devices of one kind that a rule names. In the order in which lists are written, that of runc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Devices {
    /// `None` is any.
    pub(super) major: Option<u32>,
    /// `None` is any.
    pub(super) minor: Option<u32>,
    pub(super) kind: NodeKind,
}

impl Devices {
    /// Are all of the others among these?
    fn cover(self, others: Self) -> bool {
        let covers = |own: Option<u32>, other| own.is_none() || own == other;
        self.kind == others.kind && covers(self.major, others.major) && covers(self.minor, others.minor)
    }
}

/// What a rule names.
fn devices(rule: &DeviceRule) -> impl Iterator<Item = Devices> {
    let (kind, major, minor) = (rule.kind, rule.major, rule.minor);
    let of_kind = move |node: &NodeKind| match kind {
        DeviceKind::All => true,
        DeviceKind::Block => *node == NodeKind::Block,
        DeviceKind::Char => *node == NodeKind::Char,
    };
    NODE_KINDS.into_iter().filter(of_kind).map(move |kind| Devices { major, minor, kind })
}

/// The accesses that are allowed to all of these devices alike, but for those with numbers that a narrower rule names.
fn allowed(rules: &[DeviceRule], these: Devices) -> u8 {
    rules.iter().filter(|rule| devices(rule).any(|named| named.cover(these))).fold(0, |allowed, rule| {
        match rule.allow {
            true => allowed | bits(rule.access),
            false => allowed & !bits(rule.access),
        }
    })
}

/// Every access.
const ALL: u8 = ACCESS_READ | ACCESS_WRITE | ACCESS_MKNOD;

/// In the kernel's bits.
fn bits(access: DeviceAccess) -> u8 {
    let parts = [(access.read, ACCESS_READ), (access.write, ACCESS_WRITE), (access.mknod, ACCESS_MKNOD)];
    parts.iter().filter(|(wanted, _)| *wanted).fold(0, |bits, (_, bit)| bits | bit)
}

/// From the kernel's bits.
const fn access(bits: u8) -> DeviceAccess {
    DeviceAccess { read: bits & ACCESS_READ != 0, write: bits & ACCESS_WRITE != 0, mknod: bits & ACCESS_MKNOD != 0 }
}

/// What every container may use, whatever its own rules add: any node may be made, but only these may be opened. The list is that of runc (AllowedDevices
/// in libcontainer/specconv/spec_linux.go), in its order. Everything else is denied, as rules start from nothing.
///
/// The host's own console (5:1) isn't among them: /dev/console of a container is a pseudo-terminal.
pub fn standard() -> Vec<DeviceRule> {
    let any = [DeviceKind::Char, DeviceKind::Block].map(|kind| (kind, None, None, ACCESS_MKNOD));
    let numbers = [
        (1, Some(3)),    // null
        (1, Some(8)),    // random
        (1, Some(7)),    // full
        (5, Some(0)),    // tty
        (1, Some(5)),    // zero
        (1, Some(9)),    // urandom
        (136, None),     // pts/*
        (5, Some(2)),    // ptmx
        (10, Some(200)), // net/tun
    ];
    let named = numbers.map(|(major, minor)| (DeviceKind::Char, Some(major), minor, ALL));
    let rule = |(kind, major, minor, bits)| DeviceRule { allow: true, kind, major, minor, access: access(bits) };
    any.into_iter().chain(named).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(rules: &[&str], device: (NodeKind, u32, u32), access: &str) -> bool {
        let rules: Vec<DeviceRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        allows(&rules, device, access.parse().unwrap())
    }

    const NULL: (NodeKind, u32, u32) = (NodeKind::Char, 1, 3);

    #[test]
    fn later_rules_override_for_the_accesses_that_they_name() {
        assert!(!is_allowed(&[], NULL, "r"), "nothing is allowed at first");
        assert!(is_allowed(&["c 1:3 r", "c *:* w"], NULL, "rw"), "two rules together");
        assert!(!is_allowed(&["c 1:3 rwm", "deny c 1:* w"], NULL, "rw"));
        assert!(is_allowed(&["c 1:3 rwm", "deny c 1:* w"], NULL, "rm"));
        assert!(is_allowed(&["deny c 1:* w", "c 1:3 rwm"], NULL, "rwm"));
        assert!(!is_allowed(&["a *:* rwm", "deny a 1:3 m"], NULL, "m"));
        assert!(is_allowed(&["a *:* rwm", "deny a 1:3 m"], (NodeKind::Block, 1, 4), "m"));
    }

    #[test]
    fn the_standard_devices_may_be_used_and_others_only_made() {
        let standard = standard();
        let all = access(ALL);
        for minor in [3, 5, 7, 8, 9] {
            assert!(allows(&standard, (NodeKind::Char, 1, minor), all));
            assert!(!allows(&standard, (NodeKind::Block, 1, minor), access(ACCESS_READ)));
        }
        assert!(allows(&standard, (NodeKind::Char, 136, 77), all));
        let kmem = (NodeKind::Char, 1, 2);
        assert!(allows(&standard, kmem, access(ACCESS_MKNOD)) && !allows(&standard, kmem, access(ACCESS_READ)));
    }
}
