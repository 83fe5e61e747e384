//! As text: the boxes as a tree, for a terminal.

use std::collections::BTreeMap;
use std::io::{self, Write};

use izba_sandbox::namespace::Kind;

use super::picture::{Picture, Tile, TileId, What, Why};

/// The whole picture.
pub fn text(picture: &Picture, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", picture.tiles[0].title)?;
    let ends = ends(picture);
    Tree { picture, ends }.branches(0, "", out)?;
    picture.notes.iter().try_for_each(|note| writeln!(out, "{note}"))
}

/// What the other ends of each tile's links are called.
fn ends(picture: &Picture) -> BTreeMap<TileId, Vec<String>> {
    let parents = picture.parents();
    let mut ends: BTreeMap<TileId, Vec<String>> = BTreeMap::new();
    for link in &picture.links {
        let title = |id: TileId| picture.tiles[id].title.as_str();
        let place = |id: TileId| title(network(picture, &parents, id));
        match link.why {
            Why::Parent => ends.entry(link.from).or_default().push(format!("child of {}", title(link.to))),
            Why::Wire { .. } => {
                for (here, there) in [(link.from, link.to), (link.to, link.from)] {
                    ends.entry(here).or_default().push(format!("⇄ {} in {}", title(there), place(there)));
                }
            }
        }
    }
    ends
}

/// The network namespace that an interface is in.
fn network(picture: &Picture, parents: &[TileId], mut id: TileId) -> TileId {
    while id != 0 && picture.tiles[id].what != What::Namespace(Kind::Net) {
        id = parents[id];
    }
    id
}

struct Tree<'a> {
    picture: &'a Picture,
    ends: BTreeMap<TileId, Vec<String>>,
}

impl Tree<'_> {
    fn branches(&self, parent: TileId, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.rows(parent);
        for (index, &id) in rows.iter().enumerate() {
            let last = index + 1 == rows.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            writeln!(out, "{indent}{branch}{}", self.row(id))?;
            self.branches(id, &format!("{indent}{below}"), out)?;
        }
        Ok(())
    }

    /// Lists are for the eye only: what is in them takes their place.
    fn rows(&self, parent: TileId) -> Vec<TileId> {
        let children = self.picture.tiles[parent].children.iter();
        let nested = children.flat_map(|&id| match self.picture.tiles[id].what {
            What::List => self.rows(id),
            _ => vec![id],
        });
        nested.collect()
    }

    fn row(&self, id: TileId) -> String {
        let Tile { title, lines, .. } = &self.picture.tiles[id];
        let ends = self.ends.get(&id).into_iter().flatten();
        [title].into_iter().chain(lines).chain(ends).map(String::as_str).collect::<Vec<_>>().join("  ")
    }
}
