//! What is written to devices.allow and devices.deny: Documentation/admin-guide/cgroup-v1/devices.rst.

use super::list::{Exceptions, List};
use super::{access, bits, devices};
use crate::cgroup::limits::{DeviceKind, DeviceRule};
use crate::cgroup::{Controller, LimitError, Presence, Setting, Version};
use crate::probe::Hint;
use izba_sys::Errno;

/// What makes a v1 group that is in any state follow the rules, one write for each: first everything is denied (or allowed), then there are exceptions.
///
/// In between, processes of the group can do what the first one says: a group that processes are in is better changed by [`transition`].
///
/// # Errors
/// A list of cgroup v1 can't have a hole in what a wider rule allows; the error names the rule that would make it.
///
/// ```
/// let rules = ["c 1:3 rw"].map(|rule| rule.parse().unwrap());
/// let settings = izba_sandbox::cgroup::device::settings(&rules).unwrap();
/// let lines = settings.iter().map(|setting| (setting.file.as_str(), setting.value.as_str()));
/// assert!(lines.eq([("devices.deny", "a *:* rwm"), ("devices.allow", "c 1:3 rw")]));
/// ```
pub fn settings(rules: &[DeviceRule]) -> Result<Vec<Setting>, LimitError> {
    Ok(after_reset(&List::new(rules)?))
}

/// The least that makes a v1 group follow the rules, whose devices.list is `current`. What both states allow can be used all the while, and
/// never an access that neither allows.
///
/// That can't be had where everything is allowed by default, before or after: the kernel doesn't show the exceptions from that, so the group starts anew as
/// with [`settings`]. Who wants no moment in which everything is allowed freezes it. Such a start is refused while the group has sub-groups.
///
/// # Errors
/// As [`settings`]; or `current` is no devices.list.
pub fn transition(current: &str, rules: &[DeviceRule]) -> Result<Vec<Setting>, LimitError> {
    let target = List::new(rules)?;
    let current = parse(current)?;
    if current.allow || target.allow {
        return Ok(after_reset(&target));
    }
    // Gains first: `c 1:* r` becoming `c 1:3 r` mustn't take 1:3 away for a moment. runc has it the other way round.
    let mut settings = differing(&target.exceptions, &current.exceptions, true);
    settings.extend(differing(&current.exceptions, &target.exceptions, false));
    Ok(settings)
}

fn after_reset(target: &List) -> Vec<Setting> {
    let mut settings = vec![setting(target.allow, "a *:* rwm".to_owned())];
    settings.extend(differing(&target.exceptions, &Exceptions::new(), !target.allow));
    settings
}

/// The accesses that `these` have and `those` lack.
fn differing(these: &Exceptions, those: &Exceptions, allow: bool) -> Vec<Setting> {
    let lacking = |(devices, bits): (_, &u8)| (devices, bits & !those.get(devices).unwrap_or(&0));
    let lacking = these.iter().map(lacking).filter(|(_, bits)| *bits != 0);
    lacking.map(|(devices, bits)| setting(allow, format!("{devices} {}", access(bits)))).collect()
}

fn setting(allow: bool, value: String) -> Setting {
    let file = if allow { "devices.allow" } else { "devices.deny" };
    let controller = Some(Controller::Devices);
    Setting { controller, version: Version::V1, file: file.to_owned(), value, presence: Presence::Required }
}

/// A v1 group may allow no more than the one above, whose devices.list is `parent`: each exception must be covered by one there. Where the parent allows everything
/// by default its exceptions can't be seen, and the kernel's EPERM is the only answer.
///
/// # Errors
/// What the parent doesn't allow. As [`settings`]; or `parent` is no devices.list.
pub fn within(parent: &str, rules: &[DeviceRule]) -> Result<(), LimitError> {
    let target = List::new(rules)?;
    let parent = parse(parent)?;
    if parent.allow {
        return Ok(());
    }
    if target.allow {
        return Err(beyond("everything that isn't denied"));
    }
    let covered =
        |devices, bits| parent.exceptions.iter().any(|(wider, most)| wider.cover(devices) && bits & !most == 0);
    match target.exceptions.iter().find(|(devices, bits)| !covered(**devices, **bits)) {
        Some((devices, bits)) => Err(beyond(&format!("{devices} {}", access(*bits)))),
        None => Ok(()),
    }
}

fn beyond(what: &str) -> LimitError {
    LimitError {
        problem: format!(
            "{what} can't be allowed: the group above doesn't allow it, and on cgroup v1 no group may do more than the one above"
        ),
        remedy: "allow fewer devices, or choose another group above".to_owned(),
    }
}

/// Why devices.allow or devices.deny can't be written, and what to do. `None` where nothing that is known explains it.
pub fn list_refusal(errno: Errno) -> Option<Hint> {
    match errno {
        Errno::PERM => Some(Hint::new(
            "the group above doesn't allow as much, or CAP_SYS_ADMIN in the initial user namespace is missing, which device lists of cgroup v1 take",
            "allow fewer devices, or run izba as root",
        )),
        Errno::INVAL => Some(Hint::new(
            "cgroup v1 doesn't let a group that has sub-groups start its list anew",
            "remove the sub-groups, or keep the rules as they are",
        )),
        _ => None,
    }
}

/// Reads a devices.list. Where everything is allowed by default it has one line, `a *:* rwm`, and doesn't say what is excepted.
fn parse(text: &str) -> Result<List, LimitError> {
    let mut list = List { allow: false, exceptions: Exceptions::new() };
    for line in text.lines() {
        let rule: DeviceRule = line.parse().map_err(|problem| LimitError {
            problem: format!("devices.list: {problem}"),
            remedy: "report this: the kernel writes what izba doesn't know".to_owned(),
        })?;
        if rule.kind == DeviceKind::All {
            return Ok(List { allow: true, exceptions: Exceptions::new() });
        }
        for devices in devices(&rule) {
            *list.exceptions.entry(devices).or_default() |= bits(rule.access);
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::device::random::{NUMBERS, lists, uses};
    use crate::cgroup::device::{Devices, NodeKind, allows, standard};
    use crate::cgroup::limits::DeviceAccess;

    fn rules(texts: &[&str]) -> Vec<DeviceRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What the kernel makes of a write: devcgroup_update_access() of security/device_cgroup.c.
    fn write(list: &mut List, setting: &Setting) {
        let allow = setting.file == "devices.allow";
        let rule: DeviceRule = setting.value.parse().unwrap();
        if rule.kind == DeviceKind::All {
            *list = List { allow, exceptions: Exceptions::new() };
            return;
        }
        let devices = devices(&rule).next().unwrap();
        let now = list.exceptions.get(&devices).copied().unwrap_or(0);
        let then = if allow == list.allow { now & !bits(rule.access) } else { now | bits(rule.access) };
        list.exceptions.insert(devices, then);
        list.exceptions.retain(|_, bits| *bits != 0);
    }

    /// What the kernel makes of a use: devcgroup_legacy_check_permission().
    fn decides(list: &List, (kind, major, minor): (NodeKind, u32, u32), access: DeviceAccess) -> bool {
        let device = Devices { major: Some(major), minor: Some(minor), kind };
        let mut named = list.exceptions.iter().filter(|(devices, _)| devices.cover(device));
        match list.allow {
            true => !named.any(|(_, excepted)| bits(access) & excepted != 0),
            false => named.any(|(_, excepted)| bits(access) & !excepted == 0),
        }
    }

    /// Of a device the kernel is asked for making it, or for reading and writing it: devcgroup_inode_mknod(), devcgroup_inode_permission().
    fn real_uses() -> impl Iterator<Item = ((NodeKind, u32, u32), DeviceAccess)> {
        uses().filter(|(_, access)| !access.mknod || !(access.read || access.write))
    }

    fn after(mut list: List, settings: &[Setting]) -> List {
        settings.iter().for_each(|setting| write(&mut list, setting));
        list
    }

    fn anew(rules: &[DeviceRule]) -> Result<List, LimitError> {
        let everything = List { allow: true, exceptions: Exceptions::new() };
        settings(rules).map(|settings| after(everything, &settings))
    }

    fn shown(list: &List) -> String {
        if list.allow {
            return "a *:* rwm\n".to_owned();
        }
        list.exceptions.iter().map(|(devices, bits)| format!("{devices} {}\n", access(*bits))).collect()
    }

    /// Can exceptions say it? Each use that isn't the default must be in a set of devices, of any numbers or of one that rules may name, that is all like it.
    fn can_be_said(rules: &[DeviceRule], default: bool) -> bool {
        let one = |number| NUMBERS.into_iter().filter(|other| *other == number && number != 3).collect::<Vec<u32>>();
        let excepted = |device, access| allows(rules, device, access) != default;
        real_uses().filter(|(device, access)| excepted(*device, *access)).all(|((kind, major, minor), access)| {
            let sets = [
                (one(major), one(minor)),
                (one(major), NUMBERS.to_vec()),
                (NUMBERS.to_vec(), one(minor)),
                (NUMBERS.to_vec(), NUMBERS.to_vec()),
            ];
            sets.iter().any(|(majors, minors)| {
                let all = |major: &u32| minors.iter().all(|minor| excepted((kind, *major, *minor), access));
                !majors.is_empty() && !minors.is_empty() && majors.iter().all(all)
            })
        })
    }

    #[test]
    fn a_list_decides_as_the_specification_does_or_no_list_can() {
        let mut seen = [0; 2];
        for rules in lists(3000) {
            let list = anew(&rules);
            seen[usize::from(list.is_ok())] += 1;
            match list {
                Ok(list) => {
                    for (device, access) in real_uses() {
                        let allowed = allows(&rules, device, access);
                        assert_eq!(decides(&list, device, access), allowed, "{rules:?} {device:?} {access}");
                    }
                }
                Err(error) => assert!(!can_be_said(&rules, false) && !can_be_said(&rules, true), "{rules:?} {error}"),
            }
        }
        assert!(seen.iter().all(|count| *count > 300), "{seen:?}");
    }

    #[test]
    fn a_transition_takes_away_only_what_is_lost_and_never_gives_more() {
        let lists: Vec<_> = lists(600).filter(|rules| anew(rules).is_ok()).collect();
        for pair in lists.windows(2) {
            let [before, then] = pair else { continue };
            let mut list = anew(before).unwrap();
            let in_place = !list.allow && !anew(then).unwrap().allow;
            for setting in transition(&shown(&list), then).unwrap() {
                write(&mut list, &setting);
                for (device, access) in real_uses().filter(|_| in_place) {
                    let (old, new) = (allows(before, device, access), allows(then, device, access));
                    let now = decides(&list, device, access);
                    assert!(now || !(old && new), "{before:?} {then:?} {device:?} {access}");
                    let one_way = bits(access).is_power_of_two();
                    assert!(!now || old || new || !one_way, "{before:?} {then:?} {device:?} {access}");
                }
            }
            for (device, access) in real_uses() {
                assert_eq!(decides(&list, device, access), allows(then, device, access));
            }
        }
    }

    #[test]
    fn what_is_so_already_is_not_written() {
        let list = anew(&standard()).unwrap();
        assert_eq!(transition(&shown(&list), &standard()), Ok(vec![]));
        let mut more = standard();
        more.extend(rules(&["c 10:229 rw", "deny c 10:200 rw"]));
        let written = transition(&shown(&list), &more).unwrap();
        let written: Vec<_> = written.iter().map(|setting| (setting.file.as_str(), setting.value.as_str())).collect();
        assert_eq!(written, [("devices.allow", "c 10:229 rw"), ("devices.deny", "c 10:200 rw")]);
    }

    #[test]
    fn a_hole_is_refused_by_the_rule_that_makes_it() {
        let error = settings(&rules(&["c 1:* rwm", "c 5:* rwm", "deny c 1:3 w", "c 7:7 r"])).unwrap_err();
        assert!(error.problem.contains("\"deny c 1:3 w\" while c 1:* is allowed"), "{error}");
        let error = settings(&rules(&["a *:* rwm", "deny c *:* w", "c 1:3 rw", "deny b 8:* r"])).unwrap_err();
        assert!(error.problem.contains("deny b 8:* r"), "{error}");
    }

    #[test]
    fn a_group_may_do_no_more_than_the_one_above() {
        let parent = shown(&anew(&standard()).unwrap());
        assert_eq!(within(&parent, &standard()), Ok(()));
        assert_eq!(within("a *:* rwm\n", &rules(&["a *:* rwm"])), Ok(()));
        let error = within(&parent, &rules(&["c 1:3 rw", "b 8:0 rm"])).unwrap_err();
        assert!(error.problem.starts_with("b 8:0 rm can't be allowed"), "{error}");
        assert!(within(&parent, &rules(&["a *:* rwm", "deny b 8:* r"])).is_err());
        assert!(within("c 1:3\n", &standard()).unwrap_err().problem.starts_with("devices.list"));
    }
}
