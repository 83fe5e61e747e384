//! All that is known of a namespace, collected for whatever shows it.

use izba_sandbox::contents::{Contents, Unreadable, read_seen};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::holder::{Holder, Holders, Search};
use izba_sandbox::survey::{Detail, Id, Link, SeenNamespace, SeenProcess};

use super::super::look::{Look, search};
use crate::failure::Result;

/// What is known of one namespace.
pub struct Details<'a> {
    pub look: &'a Look,
    pub seen: &'a SeenNamespace,
    /// The nearest first; and what is above the last of them.
    pub parents: Vec<Id>,
    pub above: Link,
    pub contents: std::result::Result<Contents, Unreadable>,
    pub holders: Holders,
}

/// Finds details of any number of namespaces.
pub struct Finder(Search);

impl Finder {
    /// Looks at everything, and searches for holders.
    pub fn look() -> Result<(Look, Self)> {
        search(Detail::All).map(|(look, search)| (look, Self(search)))
    }

    /// All about one; `None` where it isn't in the survey.
    pub fn details<'a>(&self, look: &'a Look, id: Id) -> Option<Details<'a>> {
        self.details_with(look, id, read_seen(&look.survey, id))
    }

    /// All about one whose contents have been read with those of others.
    pub fn details_with<'a>(
        &self,
        look: &'a Look,
        id: Id,
        contents: std::result::Result<Contents, Unreadable>,
    ) -> Option<Details<'a>> {
        let seen = look.survey.namespaces.get(&id)?;
        let mut holders = self.0.holders(&look.survey, id);
        holders.found.retain(|holder| !is_ours(holder));
        let (parents, above) = parents(look, seen);
        Some(Details { look, seen, parents, above, contents, holders })
    }
}

/// What we have opened ourselves, or were given to look at, explains nothing.
fn is_ours(holder: &Holder) -> bool {
    matches!(holder, Holder::Descriptor { pid, .. } if u32::try_from(*pid) == Ok(std::process::id()))
}

fn parents(look: &Look, seen: &SeenNamespace) -> (Vec<Id>, Link) {
    let mut parents = Vec::new();
    let mut above = seen.parent;
    while let Link::To(id) = above {
        if parents.contains(&id) {
            break;
        }
        parents.push(id);
        above = look.survey.namespaces.get(&id).map_or(Link::Hidden, |parent| parent.parent);
    }
    (parents, above)
}

impl Details<'_> {
    /// Its processes.
    pub fn members(&self) -> impl Iterator<Item = &SeenProcess> {
        self.look.survey.members(self.seen.id)
    }

    /// What a process in it is called inside: in this PID namespace, or for another kind in the process's own.
    pub fn pid_inside(&self, process: &SeenProcess) -> Option<i32> {
        if self.seen.id.kind == Kind::Pid {
            return process.pids.get(self.parents.len()).copied();
        }
        process.pids.last().copied()
    }

    /// Does anything that was found, or the kernel itself, keep it alive?
    pub fn is_explained(&self) -> bool {
        self.seen.id.is_initial() || !self.holders.found.is_empty()
    }
}
