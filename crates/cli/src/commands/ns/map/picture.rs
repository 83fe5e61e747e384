//! What is drawn: boxes in boxes, and links between them, before anything has a place.

use std::collections::BTreeMap;

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::Id;

/// The number of a tile: its index in [`Picture::tiles`].
pub type TileId = usize;

/// A picture. The first tile is the machine, and every other one is the child of one that comes before it.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub tiles: Vec<Tile>,
    pub links: Vec<Link>,
    /// Every process that was seen, drawn or not.
    pub people: BTreeMap<i32, Person>,
    /// What the reader has to know besides: what could not be seen.
    pub notes: Vec<String>,
}

/// A box with its text.
#[derive(Clone, Debug)]
pub struct Tile {
    pub what: What,
    pub title: String,
    /// Lines below the title.
    pub lines: Vec<String>,
    pub children: Vec<TileId>,
    /// The namespace that it shows.
    pub namespace: Option<Id>,
    /// The processes that are in it.
    pub members: Vec<i32>,
    /// What else is known, for who asks.
    pub details: Vec<Detail>,
}

/// What a tile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// All of it.
    Machine,
    /// A namespace: a box for a user, PID or network namespace, a chip for any other.
    Namespace(Kind),
    /// Namespaces of one container, mostly.
    Group,
    /// An invisible box that keeps equal things in columns.
    List,
    /// A process.
    Process(i32),
    /// Those that found no place.
    More,
    /// A network interface.
    Interface { up: bool },
    /// A bridge or bond: an interface with others in it.
    Bridge { up: bool },
}

/// Something that is known of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    pub label: String,
    pub values: Vec<String>,
}

/// A process, for the details.
#[derive(Clone, Debug)]
pub struct Person {
    /// Its ids from the caller's PID namespace inwards, and its command: `4711 → 12 → 1  sleep 60`.
    pub label: String,
    pub details: Vec<Detail>,
}

/// A line between two tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub from: TileId,
    pub to: TileId,
    pub why: Why,
}

/// What a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The two ends of a veth pair, or an interface on top of another. Those of one bridge have one number.
    Wire { bridge: Option<usize> },
    /// A PID namespace whose parent another user namespace owns, so that it can't be drawn within it.
    Parent,
}

impl What {
    /// One word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Namespace(_) => "namespace",
            Self::Group => "group",
            Self::List => "list",
            Self::Process(_) => "process",
            Self::More => "more",
            Self::Interface { .. } => "interface",
            Self::Bridge { .. } => "bridge",
        }
    }

    /// Is it a namespace that is shown as a chip?
    pub fn is_chip(self) -> bool {
        matches!(self, Self::Namespace(kind) if !matches!(kind, Kind::User | Kind::Pid | Kind::Net))
    }

    /// Is it an interface or a bridge that is set up?
    pub fn up(self) -> Option<bool> {
        match self {
            Self::Interface { up } | Self::Bridge { up } => Some(up),
            _ => None,
        }
    }
}

impl Tile {
    /// A tile without anything in it.
    pub fn new(what: What, title: impl Into<String>) -> Self {
        Self {
            what,
            title: title.into(),
            lines: Vec::new(),
            children: Vec::new(),
            namespace: None,
            members: Vec::new(),
            details: Vec::new(),
        }
    }
}

impl Detail {
    /// One label with what belongs to it.
    pub fn new(label: &str, values: impl IntoIterator<Item = String>) -> Self {
        Self { label: label.to_owned(), values: values.into_iter().collect() }
    }
}

impl Picture {
    /// Adds a tile as the last child of another.
    pub fn add(&mut self, parent: TileId, tile: Tile) -> TileId {
        let id = self.tiles.len();
        self.tiles.push(tile);
        self.tiles[parent].children.push(id);
        id
    }

    /// The tile that each tile is in; the machine is in itself.
    pub fn parents(&self) -> Vec<TileId> {
        let mut parents = vec![0; self.tiles.len()];
        for (id, tile) in self.tiles.iter().enumerate() {
            tile.children.iter().for_each(|&child| parents[child] = id);
        }
        parents
    }
}
