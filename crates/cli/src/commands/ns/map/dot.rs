//! As DOT, for Graphviz: a cluster for each box with others in it, a node for any other.

use std::collections::BTreeSet;
use std::io::{self, Write};

use izba_sandbox::namespace::Kind;

use super::escape::dot as escaped;
use super::picture::{Picture, Tile, TileId, What, Why};

/// The whole picture.
pub fn dot(picture: &Picture, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "graph izba {{")?;
    writeln!(
        out,
        "  compound=true; rankdir=LR; fontname=\"Helvetica\"; label=\"{}\";",
        escaped(&picture.tiles[0].title)
    )?;
    writeln!(out, "  node [shape=box, fontname=\"Helvetica\", fontsize=10, margin=\"0.08,0.04\", height=0.25];")?;
    let ends = picture.links.iter().flat_map(|link| [link.from, link.to]).collect();
    picture.tiles[0].children.iter().try_for_each(|&id| Tree { picture, ends: &ends }.tile(id, 1, out))?;
    for link in &picture.links {
        let (from, to) = (link.from, link.to);
        let style = match link.why {
            Why::Wire { .. } => "color=\"#009e73\"",
            Why::Parent => "color=\"#0072b2\", style=dotted",
        };
        let tail = cluster_end(picture, from, "ltail");
        let head = cluster_end(picture, to, "lhead");
        writeln!(out, "  t{from} -- t{to} [{style}{tail}{head}];")?;
    }
    writeln!(out, "}}")
}

/// An edge ends at nodes only: that of a cluster is an invisible one in it.
fn cluster_end(picture: &Picture, id: TileId, word: &str) -> String {
    if picture.tiles[id].children.is_empty() { String::new() } else { format!(", {word}=cluster{id}") }
}

struct Tree<'a> {
    picture: &'a Picture,
    /// The tiles that a link ends at.
    ends: &'a BTreeSet<TileId>,
}

impl Tree<'_> {
    fn tile(&self, id: TileId, depth: usize, out: &mut dyn Write) -> io::Result<()> {
        let this = &self.picture.tiles[id];
        let indent = "  ".repeat(depth);
        let (label, colour) = (label(this), colour(this.what));
        if this.children.is_empty() {
            return writeln!(out, "{indent}t{id} [label=\"{label}\", color=\"{colour}\"];");
        }
        if this.what == What::List {
            return this.children.iter().try_for_each(|&child| self.tile(child, depth, out));
        }
        writeln!(out, "{indent}subgraph cluster{id} {{ label=\"{label}\"; color=\"{colour}\";")?;
        if self.ends.contains(&id) {
            writeln!(out, "{indent}  t{id} [style=invis, width=0, height=0, label=\"\"];")?;
        }
        this.children.iter().try_for_each(|&child| self.tile(child, depth + 1, out))?;
        writeln!(out, "{indent}}}")
    }
}

fn label(tile: &Tile) -> String {
    let lines = [&tile.title].into_iter().chain(&tile.lines);
    lines.map(|line| escaped(line)).collect::<Vec<_>>().join("\\n")
}

/// The colours of the SVG.
fn colour(what: What) -> &'static str {
    match what {
        What::Namespace(Kind::Pid) => "#0072b2",
        What::Namespace(Kind::Net) | What::Interface { .. } | What::Bridge { .. } => "#009e73",
        What::Namespace(Kind::Mount) => "#e69f00",
        What::Namespace(Kind::Ipc) => "#cc79a7",
        What::Namespace(Kind::Uts) => "#56b4e9",
        What::Namespace(Kind::Cgroup) => "#d55e00",
        What::Namespace(Kind::Time) => "#c9bb00",
        What::Process(_) | What::More => "#cbd5e1",
        _ => "#64748b",
    }
}
