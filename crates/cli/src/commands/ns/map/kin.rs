//! How namespaces hang together in a picture.

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, Link, Survey};

/// The user namespace in whose box a namespace is drawn: its owner, or its parent if it is one itself. `None` where that can't
/// be seen, and of the initial one.
pub fn owner(survey: &Survey, id: Id) -> Option<Id> {
    let seen = survey.namespaces.get(&id)?;
    let link = if id.kind == Kind::User { seen.parent } else { seen.owner };
    match link {
        Link::To(owner) if owner != id && survey.namespaces.contains_key(&owner) => Some(owner),
        _ => None,
    }
}

/// The PID namespace in whose box another one is drawn: its parent, if both have the same owner.
pub fn outer_pid(survey: &Survey, id: Id) -> Option<Id> {
    if id.kind != Kind::Pid {
        return None;
    }
    let Link::To(outer) = survey.namespaces.get(&id)?.parent else { return None };
    let drawn = survey.namespaces.contains_key(&outer) && outer != id;
    (drawn && owner(survey, outer) == owner(survey, id)).then_some(outer)
}
