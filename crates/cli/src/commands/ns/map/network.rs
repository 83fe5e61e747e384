//! The inside of network namespaces: interfaces, bridges with their ports, and what is joined by a wire.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use izba_sandbox::contents::Interface;
use izba_sandbox::survey::Id;

use super::compose::Seen;
use super::details::interface_details;
use super::label::{clean, short};
use super::picture::{Link, Picture, Tile, TileId, What, Why};

/// So many addresses of one interface are drawn.
const ADDRESSES: usize = 3;

/// Where each interface is drawn, by namespace and index.
#[derive(Default)]
pub struct Wiring {
    tiles: BTreeMap<(Id, u32), TileId>,
    /// Bridges are numbered, for their colours.
    bridges: BTreeMap<(Id, u32), usize>,
}

impl Wiring {
    /// Draws the interfaces of a network namespace into its box.
    pub fn interfaces(&mut self, id: Id, all: Option<&Vec<Interface>>, tile: TileId, picture: &mut Picture) {
        let Some(all) = all else {
            picture.tiles[tile].lines.push("its interfaces can't be read".to_owned());
            return;
        };
        let inside = Inside::new(id, all);
        let (masters, plain): (Vec<_>, Vec<_>) = inside.below(None).partition(|one| inside.is_master(one));
        self.plain(&plain, &inside, tile, picture);
        masters.iter().for_each(|master| self.bridge(master, &inside, tile, picture));
    }

    fn plain(&mut self, interfaces: &[&Interface], inside: &Inside<'_>, tile: TileId, picture: &mut Picture) {
        if interfaces.is_empty() {
            return;
        }
        let list = picture.add(tile, Tile::new(What::List, ""));
        for interface in interfaces {
            let tile = picture.add(list, inside.tile(interface));
            self.tiles.insert((inside.id, interface.index), tile);
        }
    }

    fn bridge(&mut self, bridge: &Interface, inside: &Inside<'_>, tile: TileId, picture: &mut Picture) {
        let key = (inside.id, bridge.index);
        let tile = picture.add(tile, inside.tile(bridge));
        self.tiles.insert(key, tile);
        self.bridges.insert(key, self.bridges.len());
        let (masters, plain): (Vec<_>, Vec<_>) =
            inside.below(Some(bridge.index)).partition(|one| inside.is_master(one));
        self.plain(&plain, inside, tile, picture);
        masters.iter().for_each(|master| self.bridge(master, inside, tile, picture));
    }

    /// Adds a line for each pair of which both ends are drawn.
    pub fn links(&self, seen: &Seen<'_>, picture: &mut Picture) {
        let mut drawn = BTreeSet::new();
        for (&id, interfaces) in seen.interfaces {
            for interface in interfaces {
                let Some((from, to)) = self.ends(id, interface) else { continue };
                if from != to && drawn.insert((from.min(to), from.max(to))) {
                    let bridge = self.bridge_of(seen, id, interface);
                    picture.links.push(Link { from, to, why: Why::Wire { bridge } });
                }
            }
        }
    }

    fn ends(&self, id: Id, interface: &Interface) -> Option<(TileId, TileId)> {
        let peer = interface.peer?;
        let from = *self.tiles.get(&(id, interface.index))?;
        Some((from, *self.tiles.get(&(peer.namespace?, peer.index))?))
    }

    /// The bridge at this end, else at the other.
    fn bridge_of(&self, seen: &Seen<'_>, id: Id, interface: &Interface) -> Option<usize> {
        let number = |id: Id, one: &Interface| self.bridges.get(&(id, one.master?)).copied();
        let other = || {
            let peer = interface.peer?;
            let namespace = peer.namespace?;
            let one = seen.interfaces.get(&namespace)?.iter().find(|one| one.index == peer.index)?;
            number(namespace, one)
        };
        number(id, interface).or_else(other)
    }
}

/// The interfaces of one namespace.
struct Inside<'a> {
    id: Id,
    by_index: BTreeMap<u32, &'a Interface>,
    masters: BTreeSet<u32>,
}

impl<'a> Inside<'a> {
    fn new(id: Id, all: &'a [Interface]) -> Self {
        let by_index: BTreeMap<u32, &Interface> = all.iter().map(|one| (one.index, one)).collect();
        let known = |index: &u32| by_index.contains_key(index);
        let masters = all.iter().filter_map(|one| one.master).filter(known).collect();
        Self { id, by_index, masters }
    }

    fn is_master(&self, interface: &Interface) -> bool {
        self.masters.contains(&interface.index) || interface.kind.as_deref() == Some("bridge")
    }

    /// Those that are ports of this one, or of none.
    fn below(&self, master: Option<u32>) -> impl Iterator<Item = &'a Interface> {
        let all = self.by_index.values().copied();
        all.filter(move |one| one.master.filter(|index| self.masters.contains(index)) == master)
    }

    fn tile(&self, interface: &Interface) -> Tile {
        let up = interface.up;
        let what = if self.is_master(interface) { What::Bridge { up } } else { What::Interface { up } };
        let mut tile = Tile::new(what, title(interface));
        tile.lines = lines(interface);
        let master = interface.master.and_then(|index| self.by_index.get(&index));
        tile.details = interface_details(interface, master.map(|master| master.name.as_str()));
        tile
    }
}

/// The name, the kind where a wire doesn't tell it, and whether it is down.
fn title(interface: &Interface) -> String {
    let mut title = short(&clean(&interface.name), 32);
    if let Some(kind) = interface.kind.as_deref().filter(|&kind| kind != "veth") {
        title = format!("{title} · {}", short(&clean(kind), 16));
    }
    if interface.up { title } else { format!("{title} · down") }
}

/// The first addresses, but not those that every interface gives itself for its link (RFC 4291, section 2.5.6).
fn lines(interface: &Interface) -> Vec<String> {
    let told = |address: &IpAddr| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let told = interface.addresses.iter().filter(|(address, _)| told(address));
    let all: Vec<String> = told.map(|(address, length)| format!("{address}/{length}")).collect();
    if all.len() <= ADDRESSES + 1 {
        return all;
    }
    let more = format!("and {} more", all.len() - ADDRESSES);
    all.into_iter().take(ADDRESSES).chain([more]).collect()
}
