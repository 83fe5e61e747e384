//! Which namespaces of one owner belong together: a container's, mostly.

use std::collections::{BTreeMap, BTreeSet};

use izba_sandbox::survey::{Id, Survey};

/// Divides namespaces into groups whose members are about the same; order and result depend on nothing but the survey.
///
/// The smallest ones found the groups. A larger one joins the group of its members if it has no others, but for as many as a
/// supervisor or two that stayed outside the PID namespace, as `unshare --fork` does. What several groups share is in none of
/// them. Namespaces without processes are together if they are kept under one name.
pub fn groups(survey: &Survey, owned: &[Id], names: &BTreeMap<Id, String>) -> Vec<Vec<Id>> {
    let members = |id: &Id| survey.namespaces.get(id).map_or(&[][..], |seen| &seen.members);
    let (mut inhabited, empty): (Vec<Id>, Vec<Id>) = owned.iter().partition(|id| !members(id).is_empty());
    inhabited.sort_by_key(|id| (members(id).len(), *id));
    let mut found = Found::default();
    for id in inhabited {
        found.add(id, members(&id));
    }
    let mut groups: Vec<Vec<Id>> = found.groups.into_iter().map(|group| group.ids).collect();
    groups.extend(kept_together(&empty, names));
    groups.iter_mut().for_each(|group| group.sort());
    groups.sort();
    groups
}

fn kept_together(empty: &[Id], names: &BTreeMap<Id, String>) -> Vec<Vec<Id>> {
    let mut by_name: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    let mut alone = Vec::new();
    for &id in empty {
        match names.get(&id) {
            Some(name) => by_name.entry(name).or_default().push(id),
            None => alone.push(vec![id]),
        }
    }
    by_name.into_values().chain(alone).collect()
}

#[derive(Default)]
struct Found {
    groups: Vec<Group>,
    /// The group that each process is in.
    of: BTreeMap<i32, usize>,
}

struct Group {
    ids: Vec<Id>,
    processes: usize,
}

impl Found {
    fn add(&mut self, id: Id, members: &[i32]) {
        let known: BTreeSet<usize> = members.iter().filter_map(|pid| self.of.get(pid).copied()).collect();
        let only = known.first().copied().filter(|_| known.len() == 1);
        let fits = |group: &usize| {
            let group = &self.groups[*group];
            members.len() <= 2 * group.processes && group.ids.iter().all(|other| other.kind != id.kind)
        };
        let index = only.filter(fits).unwrap_or(self.groups.len());
        if index == self.groups.len() {
            self.groups.push(Group { ids: Vec::new(), processes: 0 });
        }
        self.groups[index].ids.push(id);
        for &pid in members {
            if self.of.insert(pid, index).is_none_or(|before| before != index) {
                self.groups[index].processes += 1;
            }
        }
    }
}
