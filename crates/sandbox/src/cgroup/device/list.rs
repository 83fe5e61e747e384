//! What a v1 list can say: security/device_cgroup.c.
//!
//! A list has a default and exceptions from it, each of one kind and of numbers or any numbers. Where everything is denied by default, a use is allowed
//! if one exception names all that it asks for: match_exception(). Where everything is allowed by default it is denied if an exception
//! names any of it: match_exception_partial(). There are no exceptions from exceptions.

use std::collections::{BTreeMap, BTreeSet};

use super::{ALL, Devices, NODE_KINDS, access, allowed, bits, devices};
use crate::cgroup::LimitError;
use crate::cgroup::limits::DeviceAccess;
use crate::cgroup::limits::{DeviceKind, DeviceRule};
use izba_sys::bpf::{ACCESS_READ, ACCESS_WRITE};

/// Devices and the accesses that are excepted, never none.
pub type Exceptions = BTreeMap<Devices, u8>;

/// The state of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Is everything allowed that isn't excepted?
    pub allow: bool,
    /// From that.
    pub exceptions: Exceptions,
}

/// What rules start from, as a rule, which can be the cause of a hole.
const NOTHING: DeviceRule =
    DeviceRule { allow: false, kind: DeviceKind::All, major: None, minor: None, access: access(ALL) };

/// A rule that a list with some default can't have.
struct Hole {
    rule: DeviceRule,
    within: Devices,
}

impl List {
    /// The list that decides as [`allows`](super::allows) does. Its exceptions are those that the rules name, as runc's are.
    ///
    /// # Errors
    /// A rule makes a hole in a wider one.
    pub fn new(rules: &[DeviceRule]) -> Result<Self, LimitError> {
        let rules: Vec<DeviceRule> = [NOTHING].into_iter().chain(rules.iter().copied()).collect();
        let everything = |kind| allowed(&rules, Devices { major: None, minor: None, kind }) == ALL;
        let allow = NODE_KINDS.into_iter().all(everything);
        Self::with_default(allow, &rules).or_else(|hole| Self::with_default(!allow, &rules).map_err(|_| hole.into()))
    }

    fn with_default(allow: bool, rules: &[DeviceRule]) -> Result<Self, Hole> {
        let candidates = candidates(rules);
        let mut exceptions = Exceptions::new();
        for &these in &candidates {
            let wider = candidates.iter().copied().filter(|wider| *wider != these && wider.cover(these));
            let bits = exception(allow, rules, these, wider)?;
            if bits != 0 {
                exceptions.insert(these, bits);
            }
        }
        Ok(Self { allow, exceptions })
    }
}

/// All that is allowed, with the accesses; `None` where that would need an exception from an exception.
pub fn allow_list(rules: &[DeviceRule]) -> Option<Vec<(Devices, DeviceAccess)>> {
    let list = List::with_default(false, rules).ok()?;
    Some(list.exceptions.into_iter().map(|(devices, bits)| (devices, access(bits))).collect())
}

/// Everything that may need an exception: what rules name, and the single devices that two of them name together (`1:*` and `*:3`).
fn candidates(rules: &[DeviceRule]) -> BTreeSet<Devices> {
    let mut candidates: BTreeSet<Devices> = rules.iter().flat_map(devices).collect();
    let of_major: Vec<Devices> = candidates.iter().copied().filter(|these| these.minor.is_none()).collect();
    let of_minor: Vec<Devices> = candidates.iter().copied().filter(|these| these.major.is_none()).collect();
    for these in &of_major {
        let crossing = of_minor.iter().filter(|those| those.kind == these.kind);
        candidates.extend(crossing.map(|those| Devices { minor: those.minor, ..*these }));
    }
    candidates
}

/// The accesses of an exception for `these`, as far as they are needed beside the exceptions for what is `wider`.
fn exception(
    allow: bool,
    rules: &[DeviceRule],
    these: Devices,
    wider: impl Iterator<Item = Devices>,
) -> Result<u8, Hole> {
    const BOTH: u8 = ACCESS_READ | ACCESS_WRITE;
    let excepted = |these| if allow { ALL & !allowed(rules, these) } else { allowed(rules, these) };
    let own = excepted(these);
    let mut together = !allow && own & BOTH == BOTH;
    for wider in wider {
        let missing = excepted(wider) & !own;
        if missing != 0 {
            return Err(hole(rules, these, wider, missing));
        }
        together &= excepted(wider) & BOTH != BOTH;
    }
    let naming = rules.iter().filter(|rule| rule.allow != allow && devices(rule).any(|named| named == these));
    let named = naming.fold(0, |sum, rule| sum | bits(rule.access));
    // Of an open for reading and writing, one exception must name both.
    Ok(own & named | if together { BOTH } else { 0 })
}

/// The rule that has the last word on one of these accesses.
fn hole(rules: &[DeviceRule], these: Devices, within: Devices, missing: u8) -> Hole {
    let decides =
        |rule: &&DeviceRule| bits(rule.access) & missing != 0 && devices(rule).any(|named| named.cover(these));
    Hole { rule: rules.iter().rev().find(decides).copied().unwrap_or(NOTHING), within }
}

impl From<Hole> for LimitError {
    fn from(Hole { rule, within }: Hole) -> Self {
        let opposite = if rule.allow { "denied" } else { "allowed" };
        Self {
            problem: format!(
                "a device list of cgroup v1 can't have \"{rule}\" while {within} is {opposite}: it has no exceptions from exceptions"
            ),
            remedy: format!("write rules for single devices instead of {within}, or use cgroup v2"),
        }
    }
}
