//! How many namespaces may be made, and how many there are: /proc/sys/user, namespaces(7).
//!
//! Every user namespace has a limit for each kind, which holds for each user id in it. Whoever makes a namespace is charged in
//! the user namespace that owns the new one; who made that one is charged in its parent, and so on to the top: inc_ucount() in
//! kernel/ucount.c. Where one of these counts has reached its limit the kernel says ENOSPC.
//!
//! The kernel shows limits but no counts. Here they are counted from a [`Survey`]: what can't be seen is missing, so there may be more.
//! Of user namespaces the kernel tells who made them; of the others it doesn't.

use std::fs::File;
use std::io::read_to_string;

use izba_sys::Errno;

use crate::contents::{Contents, Unreadable, Way, read_seen};
use crate::namespace::Kind;
use crate::survey::{Id, Link, SeenNamespace, Survey};
use crate::visit::{Errand, Visitors, is_own};

/// What one user namespace allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Which.
    pub user: Id,
    /// Whose count in it goes up, as the caller sees that id. `None` where it isn't known.
    pub charged: Option<u32>,
    /// In the order of [`Kind::ALL`]; or why they can't be read.
    pub limits: Result<[Limit; 8], Unreadable>,
    /// What encloses it.
    pub above: Link,
}

/// The limit of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Of which kind.
    pub kind: Kind,
    /// The most that each user id may have.
    pub most: u64,
    /// Namespaces seen that are charged to [`Level::charged`] for certain.
    pub used: u64,
    /// Namespaces seen that somebody made in this user namespace, and the kernel doesn't tell who. In the initial one that is taken to be
    /// root, as it takes CAP_SYS_ADMIN.
    pub perhaps: u64,
}

impl Limit {
    /// Is one more refused? `None` where it depends on who made the others.
    pub fn refuses(&self) -> Option<bool> {
        if self.used >= self.most {
            return Some(true);
        }
        if self.used + self.perhaps >= self.most { None } else { Some(false) }
    }
}

/// The limits for who makes namespaces in the user namespace `of`, from that one upwards as far as the caller sees. `uid` is who
/// makes them, as the caller sees that id; where it is `None` root of that user namespace, or else who made it.
pub fn levels(survey: &Survey, of: Id, uid: Option<u32>) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut next = Some(of);
    let mut charged = uid.or_else(|| root_of(survey, of));
    while let Some(user) = next {
        let seen = survey.namespaces.get(&user);
        let above = seen.map_or(Link::Hidden, |seen| seen.parent);
        let counted = |most: [u64; 8]| {
            let mut limits = counts(survey, user, charged);
            limits.iter_mut().zip(most).for_each(|(limit, most)| limit.most = most);
            limits
        };
        levels.push(Level { user, charged, limits: limits_of(survey, user).map(counted), above });
        charged = seen.and_then(|seen| seen.owner_uid);
        next = above.id().filter(|above| levels.iter().all(|level| level.user != *above));
    }
    levels
}

/// Who is root in the user namespace, or else who made it.
fn root_of(survey: &Survey, user: Id) -> Option<u32> {
    let seen = survey.namespaces.get(&user)?;
    let root = match read_seen(survey, user) {
        Ok(Contents::User(maps)) => maps.uids.iter().find(|range| range.inside == 0).map(|range| range.outside),
        _ => None,
    };
    root.or(seen.owner_uid)
}

/// Who reads /proc/sys/user sees the limits of the user namespace that it is in.
fn limits_of(survey: &Survey, user: Id) -> Result<[u64; 8], Unreadable> {
    if is_own(user) {
        return all(|kind| most(File::open(path(kind))));
    }
    let namespace = Way::Seen(survey).open(user)?;
    let mut visitors = Visitors::default();
    let (_, found) = visitors
        .ask(Errand::Limits, user, namespace.fd(), None)
        .map_err(|errno| Unreadable::Refused { doing: "cannot enter it", errno })?;
    let mut files = found.descriptors.into_iter();
    all(|_| most(files.next().map(File::from).ok_or(Errno::BADF.into())))
}

fn path(kind: Kind) -> String {
    format!("/proc/sys/user/max_{}_namespaces", kind.proc_name())
}

/// All, or why one can't be read: what isn't known mustn't be taken for a limit.
fn all(mut read: impl FnMut(Kind) -> Result<u64, Unreadable>) -> Result<[u64; 8], Unreadable> {
    let mut limits = [0; 8];
    for (limit, kind) in limits.iter_mut().zip(Kind::ALL) {
        *limit = read(kind)?;
    }
    Ok(limits)
}

/// A kernel that lacks the kind has no file for it, and makes none.
fn most(file: std::io::Result<File>) -> Result<u64, Unreadable> {
    match file.and_then(read_to_string) {
        Ok(text) => text.trim().parse().map_err(|_| Unreadable::Unknown("a limit is no number")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => {
            let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            Err(Unreadable::Refused { doing: "cannot read /proc/sys/user", errno })
        }
    }
}

/// What is charged to `uid` in the user namespace, with no limits yet.
fn counts(survey: &Survey, user: Id, uid: Option<u32>) -> [Limit; 8] {
    let initial = survey.ground();
    let mut limits = Kind::ALL.map(|kind| Limit { kind, most: 0, used: 0, perhaps: 0 });
    for seen in survey.namespaces.values().filter(|seen| !seen.id.is_initial() && !is_ground(&initial, seen)) {
        let Some(limit) = limits.get_mut(seen.id.kind as usize) else { continue };
        match charge(survey, seen, user) {
            Some(Charge::To(maker)) if maker == uid => limit.used += 1,
            Some(Charge::Unknown) if !user.is_initial() || uid == Some(0) => limit.perhaps += 1,
            _ => {}
        }
    }
    limits
}

/// The kernel counts none of those that it starts with. Before Linux 6.17 two of them can't be told by their numbers.
fn is_ground(ground: &[Option<Id>; 8], seen: &SeenNamespace) -> bool {
    ground.contains(&Some(seen.id)) && seen.owner.id().is_none_or(Id::is_initial)
}

enum Charge {
    /// Who made the user namespace below; `None` isn't known.
    To(Option<u32>),
    /// Somebody in the user namespace itself.
    Unknown,
}

/// To whom in `user` a namespace is charged; `None` where it isn't in `user` or below.
fn charge(survey: &Survey, seen: &SeenNamespace, user: Id) -> Option<Charge> {
    let mut below = seen;
    // As deep as user namespaces can be nested.
    for _ in 0..=34 {
        let owner = below.owner.id()?;
        if owner == user {
            let made_by_unknown = below.id.kind != Kind::User;
            return Some(if made_by_unknown { Charge::Unknown } else { Charge::To(below.owner_uid) });
        }
        below = survey.namespaces.get(&owner)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: Id = Id { kind: Kind::User, inode: 4_026_531_837 };

    fn id(kind: Kind, inode: u64) -> Id {
        Id { kind, inode: 4_100_000_000 + inode }
    }

    fn seen(id: Id, owner: Link, owner_uid: Option<u32>) -> (Id, SeenNamespace) {
        let parent = if id.kind == Kind::User { owner } else { Link::None };
        (id, SeenNamespace { id, unique: None, owner, parent, owner_uid, members: vec![], pins: vec![] })
    }

    /// User 1000 has made a user namespace, in it one more, and in that a network; root has made a network at the top.
    fn survey() -> Survey {
        let (outer, inner) = (id(Kind::User, 1), id(Kind::User, 2));
        let namespaces = [
            seen(TOP, Link::None, Some(0)),
            seen(outer, Link::To(TOP), Some(1000)),
            seen(inner, Link::To(outer), Some(1000)),
            seen(id(Kind::Net, 3), Link::To(inner), None),
            seen(id(Kind::Net, 4), Link::To(TOP), None),
            seen(id(Kind::Net, 5), Link::Hidden, None),
        ];
        Survey { namespaces: namespaces.into(), ..Survey::default() }
    }

    fn count(user: Id, uid: u32, kind: Kind) -> (u64, u64) {
        let limit = counts(&survey(), user, Some(uid))[kind as usize];
        (limit.used, limit.perhaps)
    }

    #[test]
    fn every_level_is_charged_to_who_made_the_one_below() {
        assert_eq!(count(TOP, 1000, Kind::User), (2, 0));
        assert_eq!(count(TOP, 1000, Kind::Net), (1, 0));
        assert_eq!(count(TOP, 0, Kind::Net), (0, 1), "the kernel doesn't say who made it");
        assert_eq!(count(TOP, 0, Kind::User), (0, 0), "the initial one isn't counted");
        assert_eq!(count(id(Kind::User, 1), 1000, Kind::User), (1, 0));
        assert_eq!(count(id(Kind::User, 2), 1000, Kind::Net), (0, 1));
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        assert_eq!(most(Err(std::io::ErrorKind::NotFound.into())), Ok(0));
        assert!(matches!(most(Err(Errno::ACCESS.into())), Err(Unreadable::Refused { errno: Errno::ACCESS, .. })));
    }

    #[test]
    fn a_limit_refuses_what_is_one_more() {
        let limit = Limit { kind: Kind::Net, most: 2, used: 1, perhaps: 0 };
        assert_eq!(limit.refuses(), Some(false));
        assert_eq!(Limit { perhaps: 1, ..limit }.refuses(), None);
        assert_eq!(Limit { used: 2, ..limit }.refuses(), Some(true));
        assert_eq!(Limit { used: 0, most: 0, ..limit }.refuses(), Some(true));
    }
}
