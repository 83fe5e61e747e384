//! Which devices may be used, in systemd's words: `DevicePolicy` and `DeviceAllow` of systemd.resource-control(5).
//!
//! systemd knows a list of what is allowed: one device, all of a driver by its name in /proc/devices, or all of a kind. What can't be said
//! so is left to the caller's own program, or list on v1: systemd then allows all. A list that allowed less than was asked for could not be
//! mended, as every program that is attached to a group has to agree.

use std::collections::BTreeMap;

use super::property::{Property, Value};
use crate::cgroup::{DeviceAccess, DeviceKind, DeviceRule};

/// Devices of one kind: a major and a minor number, or any. In the order in which runc lists them.
type Devices = (Option<u32>, Option<u32>, Kind);

/// Kinds of devices that there are nodes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Block,
    Char,
}

/// The properties for these rules, none for none. `drivers` is what /proc/devices says.
pub fn properties(rules: &[DeviceRule], drivers: &str) -> Vec<Property> {
    if rules.is_empty() {
        return Vec::new();
    }
    let said = allowed(rules).and_then(|allowed| {
        let in_words =
            |(devices, access): (&Devices, &DeviceAccess)| Some((words(*devices, drivers)?, letters(*access)));
        allowed.iter().map(in_words).collect::<Option<Vec<_>>>()
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

/// What is allowed once all rules have been gone through, if this can be said as a list. Nothing is allowed before the first rule.
fn allowed(rules: &[DeviceRule]) -> Option<BTreeMap<Devices, DeviceAccess>> {
    let mut list = BTreeMap::new();
    for rule in rules {
        let kinds: &[Kind] = match rule.kind {
            DeviceKind::All => &[Kind::Block, Kind::Char],
            DeviceKind::Block => &[Kind::Block],
            DeviceKind::Char => &[Kind::Char],
        };
        for &kind in kinds {
            let devices = (rule.major, rule.minor, kind);
            match rule.allow {
                true => allow(&mut list, devices, rule.access),
                false => deny(&mut list, devices, rule.access)?,
            }
        }
    }
    Some(list)
}

fn allow(list: &mut BTreeMap<Devices, DeviceAccess>, devices: Devices, access: DeviceAccess) {
    let all = list.entry(devices).or_insert(DeviceAccess { read: false, write: false, mknod: false });
    all.read |= access.read;
    all.write |= access.write;
    all.mknod |= access.mknod;
}

/// Takes away what is denied, if no hole in something larger is left by it.
fn deny(list: &mut BTreeMap<Devices, DeviceAccess>, denied: Devices, access: DeviceAccess) -> Option<()> {
    for (devices, allowed) in list.iter_mut() {
        let left = DeviceAccess {
            read: allowed.read && !access.read,
            write: allowed.write && !access.write,
            mknod: allowed.mknod && !access.mknod,
        };
        if left == *allowed || !overlap(denied, *devices) {
            continue;
        }
        if !covers(denied, *devices) {
            return None;
        }
        *allowed = left;
    }
    list.retain(|_, access| access.read || access.write || access.mknod);
    Some(())
}

/// Are all devices of the other ones among these?
fn covers(these: Devices, other: Devices) -> bool {
    let within = |these: Option<u32>, other| these.is_none() || these == other;
    these.2 == other.2 && within(these.0, other.0) && within(these.1, other.1)
}

/// Is there a device that both have?
fn overlap(one: Devices, other: Devices) -> bool {
    let meet = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
    one.2 == other.2 && meet(one.0, other.0) && meet(one.1, other.1)
}

/// As DeviceAllow names them, if it can.
fn words((major, minor, kind): Devices, drivers: &str) -> Option<String> {
    let word = match kind {
        Kind::Block => "block",
        Kind::Char => "char",
    };
    match (major, minor) {
        (None, None) => Some(format!("{word}-*")),
        (None, Some(_)) => None,
        (Some(major), None) => driver(kind, major, drivers).map(|driver| format!("{word}-{driver}")),
        // systemd takes the numbers out of such a path, and needs no file there.
        (Some(major), Some(minor)) => Some(format!("/dev/{word}/{major}:{minor}")),
    }
}

/// The name of the driver that has a major number, in a text like /proc/devices. A name that several have would allow too much, and one with a
/// wildcard in it too.
fn driver(kind: Kind, major: u32, drivers: &str) -> Option<&str> {
    let heading = match kind {
        Kind::Block => "Block devices:",
        Kind::Char => "Character devices:",
    };
    let lines = drivers.lines().skip_while(|line| *line != heading).skip(1);
    let pairs = || lines.clone().take_while(|line| !line.is_empty()).filter_map(|line| line.trim().split_once(' '));
    let (_, name) = pairs().find(|(number, _)| number.parse() == Ok(major))?;
    let alone = pairs().filter(|(_, other)| *other == name).count() == 1;
    (alone && !name.contains(['*', '?', '['])).then_some(name)
}

fn letters(access: DeviceAccess) -> String {
    let letters = [(access.read, 'r'), (access.write, 'w'), (access.mknod, 'm')];
    letters.iter().filter(|(is, _)| *is).map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVERS: &str =
        "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n  5 ttyS\n136 pts\n137 pts\n\nBlock devices:\n  8 sd\n";

    /// "+c 1:3 rw"
    fn rule(text: &str) -> DeviceRule {
        let words: Vec<&str> = text[1..].split([' ', ':']).collect();
        let kind = match words[0] {
            "a" => DeviceKind::All,
            "b" => DeviceKind::Block,
            _ => DeviceKind::Char,
        };
        let has = |letter| words[3].contains(letter);
        let access = DeviceAccess { read: has('r'), write: has('w'), mknod: has('m') };
        let number = |word: &str| word.parse().ok();
        DeviceRule { allow: text.starts_with('+'), kind, major: number(words[1]), minor: number(words[2]), access }
    }

    /// The policy, and what is allowed.
    fn said(rules: &[&str]) -> String {
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        let mut said = Vec::new();
        for property in properties(&rules, DRIVERS) {
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
        assert_eq!(said(&["-a *:* rwm"]), "strict");
        let usual = ["-a *:* rwm", "+c *:* m", "+b *:* m", "+c 1:3 rw", "+c 1:3 m", "+c 1:* r", "+b 8:* r"];
        let expected = "strict, block-* m, char-* m, char-mem r, /dev/char/1:3 rwm, block-sd r";
        assert_eq!(said(&usual), expected);
        assert_eq!(said(&["+c 1:3 rwm", "-c 1:3 w", "+c 1:5 r", "-c 1:5 rwm"]), "strict, /dev/char/1:3 rm");
        assert_eq!(said(&["+c 1:3 rwm", "+b 8:0 r", "-c *:* w"]), "strict, /dev/char/1:3 rm, /dev/block/8:0 r");
        assert_eq!(said(&[]), "");
    }

    #[test]
    fn what_can_not_be_said_is_left_to_the_callers_own_program() {
        for rules in [
            &["+a *:* rwm", "-b 8:* rwm"][..],
            &["-a *:* rwm", "+c *:3 r"],
            &["-a *:* rwm", "+c 99:* r"],
            // "pts" is the name of two, and 136 alone was asked for.
            &["-a *:* rwm", "+c 136:* r"],
            &["-a *:* rwm", "+c 1:* rw", "-c 1:3 w"],
        ] {
            assert_eq!(said(rules), "auto", "{rules:?}");
        }
    }

    #[test]
    fn a_rule_for_all_is_one_for_each_kind() {
        assert_eq!(said(&["+a *:* rwm", "-b *:* rwm"]), "strict, char-* rwm");
        assert_eq!(said(&["+a 1:3 r", "-c *:* r"]), "strict, /dev/block/1:3 r");
        assert_eq!(said(&["+c 1:* rw", "-a *:* rwm", "+c 1:3 r"]), "strict, /dev/char/1:3 r");
        assert_eq!(said(&["+c 1:* r", "-c 1:3 w"]), "strict, char-mem r");
    }
}
