//! Which namespace the other end of an interface is in.
//!
//! The kernel says it by a number of its own in each namespace (IFLA_LINK_NETNSID) and leads from no number to its namespace; but
//! it tells the number of a namespace that it is shown (RTM_GETNSID). So candidates are shown to it. Two ends of a veth name each
//! other, which leaves few candidates for most; hardware addresses tell apart many that look the same.

use std::collections::{BTreeMap, HashMap};

use super::net::{Conversation, FoundInterface, errno};
use super::{Door, ENTERING, Interface, Peer, Unreadable, Way};
use crate::namespace::Kind;
use crate::survey::{Id, Survey};
use crate::visit::{Errand, Visitors, is_own};

/// More candidates than this are told apart by their hardware addresses first.
const FEW: usize = 8;

/// So many candidates are shown to the kernel for one end at most, so that a look at all stays linear.
const MOST: usize = 256;

/// The interfaces of many network namespaces, with the other ends among them. Namespaces that can't be read have their reason.
///
/// Takes some ten microseconds for each and one descriptor at a time.
pub fn interfaces_of_all(namespaces: &[(Id, Door)]) -> BTreeMap<Id, Result<Vec<Interface>, Unreadable>> {
    let ways: Vec<_> = namespaces.iter().map(|(id, door)| (*id, Way::Door(door))).collect();
    interfaces_by(&ways)
}

/// The interfaces of all network namespaces of a survey, each opened by whatever leads to it now.
pub fn interfaces_seen(survey: &Survey) -> BTreeMap<Id, Result<Vec<Interface>, Unreadable>> {
    interfaces_by(&networks(survey))
}

/// All network namespaces of a survey.
pub(super) fn networks(survey: &Survey) -> Vec<(Id, Way<'_>)> {
    let all = survey.namespaces.keys().filter(|id| id.kind == Kind::Net);
    all.map(|&id| (id, Way::Seen(survey))).collect()
}

fn interfaces_by(namespaces: &[(Id, Way<'_>)]) -> BTreeMap<Id, Result<Vec<Interface>, Unreadable>> {
    let mut visitors = Visitors::default();
    let found = namespaces.iter().map(|&(id, door)| look_into(&mut visitors, id, door)).collect();
    let place_of = namespaces.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    let mut look = Look { visitors, namespaces, found, place_of };
    look.find_peers();
    let plain = |found: Vec<FoundInterface>| found.into_iter().map(|one| one.interface).collect();
    namespaces.iter().map(|(id, _)| *id).zip(look.found.into_iter().map(|found| found.map(plain))).collect()
}

/// The interfaces of one, with the other ends in `candidates`. Shows each candidate to the kernel once.
pub(super) fn interfaces_of_one(
    id: Id,
    door: Way<'_>,
    candidates: &[(Id, Way<'_>)],
) -> Result<Vec<Interface>, Unreadable> {
    let mut visitors = Visitors::default();
    let mut found = look_into(&mut visitors, id, door)?;
    let wanted = found.iter().any(|one| one.link_namespace.is_some());
    let numbers = if wanted {
        numbers(&mut conversation(&mut visitors, id, door)?, candidates.iter().copied())
    } else {
        HashMap::new()
    };
    for one in &mut found {
        one.interface.peer = one.peer(id, &numbers);
    }
    Ok(found.into_iter().map(|one| one.interface).collect())
}

impl FoundInterface {
    /// The other end, where `id` is the namespace of this one, and `numbers` those of others.
    fn peer(&self, id: Id, numbers: &HashMap<i32, Id>) -> Option<Peer> {
        let namespace = match self.link_namespace {
            None => Some(id),
            Some(number) => numbers.get(&number).copied(),
        };
        self.link.map(|index| Peer { index, namespace })
    }
}

fn conversation(visitors: &mut Visitors, id: Id, door: Way<'_>) -> Result<Conversation, Unreadable> {
    let namespace = door.open(id)?;
    let visit = visitors.ask(Errand::Socket, id, namespace.fd(), None);
    let (_, found) = visit.map_err(Unreadable::refused(ENTERING))?;
    found.descriptors.into_iter().next().map(Conversation::new).ok_or(Unreadable::Gone)
}

fn look_into(visitors: &mut Visitors, id: Id, door: Way<'_>) -> Result<Vec<FoundInterface>, Unreadable> {
    let interfaces = conversation(visitors, id, door)?.interfaces();
    interfaces.map_err(|error| Unreadable::Refused { doing: "cannot list its interfaces", errno: errno(&error) })
}

/// What the namespace at the other end of the conversation calls each of these.
fn numbers<'a>(conversation: &mut Conversation, candidates: impl Iterator<Item = (Id, Way<'a>)>) -> HashMap<i32, Id> {
    let number = |(id, door): (Id, Way<'_>)| Some((conversation.number_of(door.open(id).ok()?.fd())?, id));
    candidates.filter_map(number).collect()
}

struct Look<'a> {
    visitors: Visitors,
    namespaces: &'a [(Id, Way<'a>)],
    /// In the same order.
    found: Vec<Result<Vec<FoundInterface>, Unreadable>>,
    place_of: HashMap<Id, usize>,
}

/// Interfaces by their number, and by the number of their other end, where that is in another namespace: the places of their namespaces,
/// those with most interfaces first, as many others lead to them.
type Places = HashMap<(u32, Option<u32>), Vec<usize>>;

impl Look<'_> {
    fn interfaces(&self, place: usize) -> &[FoundInterface] {
        self.found.get(place).and_then(|found| found.as_deref().ok()).unwrap_or_default()
    }

    fn find_peers(&mut self) {
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|&place| std::cmp::Reverse(self.interfaces(place).len()));
        let places = self.places(&order);
        for place in order {
            let numbers = self.numbers(place, &places);
            let Some((id, _)) = self.namespaces.get(place) else { continue };
            if let Some(Ok(found)) = self.found.get_mut(place) {
                for one in found {
                    // It may be known from its other end already.
                    let known = one.interface.peer.filter(|peer| peer.namespace.is_some());
                    one.interface.peer = known.or_else(|| one.peer(*id, &numbers));
                }
            }
            self.tell_others(place);
        }
    }

    fn places(&self, order: &[usize]) -> Places {
        let mut places = Places::new();
        for &place in order {
            for one in self.interfaces(place) {
                places.entry((one.interface.index, None)).or_default().push(place);
                if one.link_namespace.is_some() {
                    places.entry((one.interface.index, one.link)).or_default().push(place);
                }
            }
        }
        places
    }

    /// The numbers by which a namespace knows those that its interfaces lead to.
    fn numbers(&mut self, place: usize, places: &Places) -> HashMap<i32, Id> {
        let open: Vec<FoundInterface> = self.interfaces(place).iter().filter(|one| one.is_open()).cloned().collect();
        let Some(&(id, door)) = self.namespaces.get(place).filter(|_| !open.is_empty()) else { return HashMap::new() };
        let Ok(mut conversation) = conversation(&mut self.visitors, id, door) else { return HashMap::new() };
        let mut known = HashMap::new();
        for one in open {
            let Some(number) = one.link_namespace.filter(|number| !known.contains_key(number)) else { continue };
            let candidates = self.candidates(&one, places, &mut conversation);
            let shown = candidates.iter().filter_map(|&place| self.namespaces.get(place)).copied();
            for (id, door) in shown {
                known.extend(numbers(&mut conversation, std::iter::once((id, door))));
                if known.contains_key(&number) {
                    break;
                }
            }
        }
        // Whoever may look into nothing but its own may still show what it can open.
        if is_own(id) {
            let closed = self.namespaces.iter().zip(&self.found).filter(|(_, found)| found.is_err());
            known.extend(numbers(&mut conversation, closed.map(|(&closed, _)| closed)));
        }
        known
    }

    /// The places where the other end of an interface may be.
    fn candidates(&self, one: &FoundInterface, places: &Places, conversation: &mut Conversation) -> Vec<usize> {
        let (Some(link), Some(number)) = (one.link, one.link_namespace) else { return Vec::new() };
        let other_end = one.is_paired().then_some(one.interface.index);
        let all = places.get(&(link, other_end)).map(Vec::as_slice).unwrap_or_default();
        let address = if all.len() > FEW { conversation.address_elsewhere(number, link) } else { None };
        let alike = |place: usize| {
            let end = self.interfaces(place).iter().find(|other| other.interface.index == link);
            address.is_none() || end.is_some_and(|end| end.interface.address == address)
        };
        all.iter().copied().filter(|&place| alike(place)).take(MOST).collect()
    }

    /// Where the other end of a veth has been found, that one's other end is here.
    fn tell_others(&mut self, place: usize) {
        let Some((id, _)) = self.namespaces.get(place) else { return };
        let paired = self.interfaces(place).iter().filter(|one| one.is_paired());
        let ends: Vec<(u32, Peer)> =
            paired.filter_map(|one| Some((one.interface.index, one.interface.peer?))).collect();
        for (index, peer) in ends {
            let there = peer.namespace.filter(|there| there != id).and_then(|there| self.place_of.get(&there));
            let Some(Ok(found)) = there.and_then(|&there| self.found.get_mut(there)) else { continue };
            let other = found.iter_mut().find(|other| other.interface.index == peer.index);
            if let Some(other) = other.filter(|other| other.is_open() && other.link == Some(index)) {
                other.interface.peer = Some(Peer { index, namespace: Some(*id) });
            }
        }
    }
}

impl FoundInterface {
    /// Does its other end name this one too? A vlan or macvlan stands on a device that knows nothing of it.
    fn is_paired(&self) -> bool {
        matches!(self.interface.kind.as_deref(), Some("veth" | "netkit" | "vxcan"))
    }

    /// Is its other end in another namespace, and not known yet?
    fn is_open(&self) -> bool {
        let known = self.interface.peer.is_some_and(|peer| peer.namespace.is_some());
        self.link_namespace.is_some_and(|number| number >= 0) && !known
    }
}
