//! Which devices may be used, in systemd's words: `DevicePolicy` and `DeviceAllow` of systemd.resource-control(5).
//!
//! systemd knows a list of what is allowed: one device, all of a driver by its name in /proc/devices, or all of a kind. What can't be said
//! so is left to the caller's own program, or list on v1: systemd then allows all. A list that allowed less than was asked for could not be
//! mended, as every program that is attached to a group has to agree.

use super::property::{Property, Value};
use crate::cgroup::DeviceRule;
use crate::cgroup::device::{Devices, NodeKind, allow_list};

/// The properties for these rules, none for none. `drivers` is what /proc/devices says.
pub fn device_properties(rules: &[DeviceRule], drivers: &str) -> Vec<Property> {
    if rules.is_empty() {
        return Vec::new();
    }
    let said = allow_list(rules).and_then(|list| {
        let in_words = list.into_iter().map(|(devices, access)| Some((words(devices, drivers)?, access.to_string())));
        in_words.collect::<Option<Vec<_>>>()
    });
    let (policy, list) = said.map_or(("auto", Vec::new()), |list| ("strict", list));
    let mut all = vec![Property::text("DevicePolicy", policy)];
    // A list is added to what there is, so it is emptied first.
    all.push(Property::new("DeviceAllow", Value::Devices(Vec::new())));
    if !list.is_empty() {
        all.push(Property::new("DeviceAllow", Value::Devices(list)));
    }
    all
}

/// As DeviceAllow names them, if it can.
fn words(devices: Devices, drivers: &str) -> Option<String> {
    let word = match devices.kind {
        NodeKind::Block => "block",
        NodeKind::Char => "char",
    };
    match (devices.major, devices.minor) {
        (None, None) => Some(format!("{word}-*")),
        (None, Some(_)) => None,
        (Some(major), None) => driver(devices.kind, major, drivers).map(|driver| format!("{word}-{driver}")),
        // systemd takes the numbers out of such a path, and needs no file there.
        (Some(major), Some(minor)) => Some(format!("/dev/{word}/{major}:{minor}")),
    }
}

/// The name of the driver that has a major number, in a text like /proc/devices. A name that several have would allow too much, and one with a
/// wildcard in it too.
fn driver(kind: NodeKind, major: u32, drivers: &str) -> Option<&str> {
    let heading = match kind {
        NodeKind::Block => "Block devices:",
        NodeKind::Char => "Character devices:",
    };
    let lines = drivers.lines().skip_while(|line| *line != heading).skip(1);
    let pairs = || lines.clone().take_while(|line| !line.is_empty()).filter_map(|line| line.trim().split_once(' '));
    let (_, name) = pairs().find(|(number, _)| number.parse() == Ok(major))?;
    let alone = pairs().filter(|(_, other)| *other == name).count() == 1;
    (alone && !name.contains(['*', '?', '['])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVERS: &str =
        "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n  5 ttyS\n136 pts\n137 pts\n\nBlock devices:\n  8 sd\n";

    /// The policy, and what is allowed.
    fn said(rules: &[&str]) -> String {
        let rules: Vec<DeviceRule> = rules.iter().map(|text| text.parse().unwrap()).collect();
        let mut said = Vec::new();
        for property in device_properties(&rules, DRIVERS) {
            match property.value {
                Value::Text(policy) => said.push(policy),
                Value::Devices(list) => said.extend(list.into_iter().map(|(path, access)| format!("{path} {access}"))),
                other => panic!("{other:?}"),
            }
        }
        said.join(", ")
    }

    #[test]
    fn a_list_of_what_is_allowed_is_said_as_runc_says_it() {
        assert_eq!(said(&["deny a *:* rwm"]), "strict");
        let usual = [
            "deny a *:* rwm",
            "allow c *:* m",
            "allow b *:* m",
            "allow c 1:3 rw",
            "allow c 1:3 m",
            "allow c 1:* r",
            "allow b 8:* r",
        ];
        let expected = "strict, block-* m, char-* m, char-mem r, /dev/char/1:3 rwm, block-sd r";
        assert_eq!(said(&usual), expected);
        assert_eq!(
            said(&["allow c 1:3 rwm", "deny c 1:3 w", "allow c 1:5 r", "deny c 1:5 rwm"]),
            "strict, /dev/char/1:3 rm"
        );
        assert_eq!(
            said(&["allow c 1:3 rwm", "allow b 8:0 r", "deny c *:* w"]),
            "strict, /dev/char/1:3 rm, /dev/block/8:0 r"
        );
        assert_eq!(said(&[]), "");
    }

    #[test]
    fn what_can_not_be_said_is_left_to_the_callers_own_program() {
        for rules in [
            &["allow a *:* rwm", "deny b 8:* rwm"][..],
            &["deny a *:* rwm", "allow c *:3 r"],
            &["deny a *:* rwm", "allow c 99:* r"],
            // "pts" is the name of two, and 136 alone was asked for.
            &["deny a *:* rwm", "allow c 136:* r"],
            &["deny a *:* rwm", "allow c 1:* rw", "deny c 1:3 w"],
        ] {
            assert_eq!(said(rules), "auto", "{rules:?}");
        }
    }

    #[test]
    fn a_rule_for_all_is_one_for_each_kind() {
        assert_eq!(said(&["allow a *:* rwm", "deny b *:* rwm"]), "strict, char-* rwm");
        assert_eq!(said(&["allow a 1:3 r", "deny c *:* r"]), "strict, /dev/block/1:3 r");
        assert_eq!(said(&["allow c 1:* rw", "deny a *:* rwm", "allow c 1:3 r"]), "strict, /dev/char/1:3 r");
        assert_eq!(said(&["allow c 1:* r", "deny c 1:3 w"]), "strict, char-mem r");
    }
}
