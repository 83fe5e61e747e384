//! From what was seen to what is drawn.

use std::collections::{BTreeMap, BTreeSet};

use izba_sandbox::contents::Interface;
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, Link as Hanging, Survey};

use super::about::About;
use super::details::person;
use super::group::groups;
use super::kin::{outer_pid, owner};
use super::label::{clean, count};
use super::network::Wiring;
use super::people;
use super::picture::{Link, Picture, Tile, TileId, What, Why};
use super::titles;

/// All that a picture is made of.
pub struct Seen<'a> {
    pub survey: &'a Survey,
    /// The interfaces of each network namespace that could be read.
    pub interfaces: &'a BTreeMap<Id, Vec<Interface>>,
    /// The names of runs, and those that namespaces are kept under.
    pub names: &'a BTreeMap<Id, String>,
    /// What else is told of each.
    pub about: &'a BTreeMap<Id, About>,
    /// What the machine is called.
    pub host: &'a str,
}

/// Makes the picture.
pub fn compose(seen: &Seen<'_>) -> Picture {
    let mut composer = Composer::new(seen);
    composer.machine();
    composer.parents();
    composer.wiring.links(seen, &mut composer.picture);
    composer.picture
}

/// What is said already around a namespace.
#[derive(Clone, Copy, Debug, Default)]
struct Frame<'a> {
    name: Option<&'a str>,
    members: &'a [i32],
}

struct Composer<'a> {
    seen: &'a Seen<'a>,
    picture: Picture,
    wiring: Wiring,
    /// What each user namespace owns; `None` is an owner that can't be seen.
    owned: BTreeMap<Option<Id>, Vec<Id>>,
    /// The groups below each PID namespace that are drawn in it, as it has the same owner.
    within: BTreeMap<Id, Vec<Vec<Id>>>,
    tiles: BTreeMap<Id, TileId>,
    /// The machine's own namespaces.
    ground: BTreeSet<Id>,
}

impl<'a> Composer<'a> {
    fn new(seen: &'a Seen<'a>) -> Self {
        let mut owned: BTreeMap<Option<Id>, Vec<Id>> = BTreeMap::new();
        for &id in seen.survey.namespaces.keys() {
            owned.entry(owner(seen.survey, id)).or_default().push(id);
        }
        let mut picture = Picture { tiles: vec![Tile::new(What::Machine, "")], ..Picture::default() };
        picture.people = seen.survey.processes.iter().map(|(&pid, process)| (pid, person(process))).collect();
        let ground = seen.survey.ground().into_iter().flatten().collect();
        let (within, tiles) = (BTreeMap::new(), BTreeMap::new());
        Self { seen, picture, wiring: Wiring::default(), owned, within, tiles, ground }
    }

    fn machine(&mut self) {
        let top = self.owned.remove(&None).unwrap_or_default();
        let (users, lost): (Vec<Id>, Vec<Id>) = top.into_iter().partition(|id| id.kind == Kind::User);
        users.into_iter().for_each(|id| self.user(id, 0));
        if !lost.is_empty() {
            let mut tile = Tile::new(What::Namespace(Kind::User), "user namespace that can't be seen");
            tile.lines.push("outside of yours, or closed to you".to_owned());
            let tile = self.picture.add(0, tile);
            self.fill_user(None, tile, &lost);
        }
        let survey = self.seen.survey;
        self.picture.tiles[0].title = format!(
            "{}: {}, {}",
            clean(self.seen.host),
            count(survey.namespaces.len(), "namespace", "namespaces"),
            count(survey.processes.len(), "process", "processes")
        );
        if !survey.unreadable.is_empty() {
            let hidden = count(survey.unreadable.len(), "process may", "processes may");
            self.picture.notes.push(format!("{hidden} not be read"));
        }
    }

    /// A user namespace with all that it owns, down to its child user namespaces.
    fn user(&mut self, id: Id, parent: TileId) {
        let owned = self.owned.remove(&Some(id)).unwrap_or_default();
        let tile = self.namespace_tile(id, parent, &Frame::default());
        let (users, others): (Vec<Id>, Vec<Id>) = owned.into_iter().partition(|id| id.kind == Kind::User);
        self.visitors(id, tile);
        self.fill_user(Some(id), tile, &others);
        users.into_iter().for_each(|id| self.user(id, tile));
    }

    /// The processes of a user namespace that are drawn nowhere within it.
    fn visitors(&mut self, id: Id, tile: TileId) {
        let survey = self.seen.survey;
        let elsewhere = |pid: &&i32| {
            let pid_namespace = survey.processes.get(pid).and_then(|process| process.namespace(Kind::Pid));
            pid_namespace.is_some_and(|pid_namespace| owner(survey, pid_namespace) != Some(id))
        };
        let visitors: Vec<i32> = survey.namespaces[&id].members.iter().filter(elsewhere).copied().collect();
        people::draw(survey, &visitors, tile, &mut self.picture);
    }

    /// Draws what a user namespace owns. The machine's own namespaces belong to no container.
    fn fill_user(&mut self, user: Option<Id>, tile: TileId, owned: &[Id]) {
        let survey = self.seen.survey;
        let (ground, contained): (Vec<Id>, Vec<Id>) = owned.iter().partition(|id| self.ground.contains(id));
        let mut here: Vec<Vec<Id>> = ground.into_iter().map(|id| vec![id]).collect();
        for group in groups(survey, &contained, self.seen.names) {
            let outer = group.iter().find_map(|&id| outer_pid(survey, id)).filter(|outer| !group.contains(outer));
            match outer {
                Some(outer) => self.within.entry(outer).or_default().push(group),
                None => here.push(group),
            }
        }
        match (user, &here[..]) {
            (Some(user), [only]) if only.len() > 1 => self.house(user, tile, only),
            _ => self.pieces(here, tile),
        }
    }

    /// A user namespace that is all of a container needs no frame within.
    fn house(&mut self, user: Id, tile: TileId, group: &[Id]) {
        let name = self.group_name(group);
        let title = &mut self.picture.tiles[tile].title;
        *title = format!("{name} · {title}");
        let name = self.name_of(group);
        let members = &self.seen.survey.namespaces[&user].members;
        self.namespaces(group, tile, &Frame { name, members });
    }

    /// Draws groups, and first, side by side, the namespaces that are in none.
    fn pieces(&mut self, pieces: Vec<Vec<Id>>, tile: TileId) {
        let (single, several): (Vec<Vec<Id>>, Vec<Vec<Id>>) = pieces.into_iter().partition(|ids| ids.len() == 1);
        self.namespaces(&single.concat(), tile, &Frame::default());
        for group in several {
            let mut frame = Tile::new(What::Group, self.group_name(&group));
            let survey = self.seen.survey;
            let members: BTreeSet<i32> = group.iter().flat_map(|id| &survey.namespaces[id].members).copied().collect();
            frame.members = members.into_iter().collect();
            let frame = self.picture.add(tile, frame);
            let pid = group.iter().find(|id| id.kind == Kind::Pid);
            let members = pid.map_or(&[][..], |id| &survey.namespaces[id].members);
            self.namespaces(&group, frame, &Frame { name: self.name_of(&group), members });
        }
    }

    /// Chips first, in columns, then boxes. Who is in them is not said again where it is those of the frame.
    fn namespaces(&mut self, ids: &[Id], tile: TileId, frame: &Frame<'_>) {
        let (chips, boxes): (Vec<Id>, Vec<Id>) = ids.iter().partition(|id| What::Namespace(id.kind).is_chip());
        if !chips.is_empty() {
            let list = self.picture.add(tile, Tile::new(What::List, ""));
            for id in chips {
                self.namespace_tile(id, list, frame);
            }
        }
        for id in boxes {
            let inner = self.namespace_tile(id, tile, frame);
            match id.kind {
                Kind::Pid => self.fill_pid(id, inner),
                _ => self.wiring.interfaces(id, self.seen.interfaces.get(&id), inner, &mut self.picture),
            }
        }
    }

    fn fill_pid(&mut self, id: Id, tile: TileId) {
        let survey = self.seen.survey;
        people::draw(survey, &survey.namespaces[&id].members, tile, &mut self.picture);
        let within = self.within.remove(&id).unwrap_or_default();
        self.pieces(within, tile);
    }

    /// The tile of one namespace, without what is in it.
    fn namespace_tile(&mut self, id: Id, parent: TileId, frame: &Frame<'_>) -> TileId {
        let seen = &self.seen.survey.namespaces[&id];
        let name = self.seen.names.get(&id).map(String::as_str).filter(|&name| Some(name) != frame.name);
        let mut tile = Tile::new(What::Namespace(id.kind), titles::namespace(id, name));
        let who =
            (frame.members.is_empty() || seen.members != frame.members).then(|| titles::who(seen, self.seen.survey));
        // Who is in a container sees none of the initial ones.
        let place = if id.is_initial() { "initial" } else { "outermost here" };
        let initial = self.ground.contains(&id).then(|| place.to_owned());
        let parts = [name.map(|_| id.inode.to_string()), initial, who].into_iter().flatten();
        let line = Some(parts.collect::<Vec<_>>().join(" · ")).filter(|line| !line.is_empty());
        let about = self.seen.about.get(&id).cloned().unwrap_or_default();
        tile.lines = line.into_iter().chain(about.line).collect();
        tile.details = about.details;
        tile.namespace = Some(id);
        tile.members.clone_from(&seen.members);
        let tile = self.picture.add(parent, tile);
        self.tiles.insert(id, tile);
        tile
    }

    /// What a container is called: as one of its namespaces is, else after its leader.
    fn group_name(&self, group: &[Id]) -> String {
        let inner = group.iter().filter(|id| id.kind == Kind::Pid).chain(group);
        let leader = inner.filter_map(|&id| self.seen.survey.leader(id)).next();
        titles::group(self.name_of(group), leader)
    }

    fn name_of(&self, group: &[Id]) -> Option<&'a str> {
        group.iter().find_map(|id| self.seen.names.get(id)).map(String::as_str)
    }

    /// A line from each PID namespace that isn't drawn within its parent.
    fn parents(&mut self) {
        let parents = self.picture.parents();
        let above = |mut tile: TileId, wanted: TileId| {
            while tile != 0 && tile != wanted {
                tile = parents[tile];
            }
            tile == wanted
        };
        for (id, &from) in self.tiles.iter().filter(|(id, _)| id.kind == Kind::Pid) {
            let Hanging::To(outer) = self.seen.survey.namespaces[id].parent else { continue };
            let Some(&to) = self.tiles.get(&outer) else { continue };
            if !above(from, to) {
                self.picture.links.push(Link { from, to, why: Why::Parent });
            }
        }
    }
}
