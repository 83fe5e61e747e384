//! What the colours mean.

use izba_sandbox::namespace::Kind;

use super::measure::{Face, width};
use super::pack::Size;
use super::picture::{Picture, What, Why};

/// The legend: what occurs in the picture, and what could not be seen.
#[derive(Clone, Debug, Default)]
pub struct Legend {
    pub entries: Vec<Entry>,
    pub size: Size,
    /// The size of its letters.
    pub letters: i64,
}

/// One colour.
#[derive(Clone, Debug)]
pub struct Entry {
    pub sign: Sign,
    pub text: String,
    /// The left end of the baseline of the sign; the text is [`Legend::indent`] farther.
    pub x: i64,
    pub y: i64,
}

/// What is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Box(Kind),
    Group,
    Wire,
    Parent,
    Note,
}

impl Legend {
    /// A legend of about this width; letters of 12 pixels at 100 percent.
    pub fn new(picture: &Picture, width: i64, percent: i64) -> Self {
        let letters = (12 * percent / 100).max(12);
        let mut legend = Self { letters, ..Self::default() };
        for (sign, text) in entries(picture) {
            legend.add(sign, text, width);
        }
        legend
    }

    /// From the left end of a sign to its text.
    pub fn indent(&self) -> i64 {
        self.letters * 3 / 2
    }

    fn add(&mut self, sign: Sign, text: String, width_wanted: i64) {
        let line = self.letters * 17 / 10;
        let width = self.indent() + width(&text, Face::Plain, self.letters);
        let (mut x, mut y) = (0, self.letters);
        if let Some(last) = self.entries.last() {
            let end = last.x + self.indent() + super::measure::width(&last.text, Face::Plain, self.letters);
            (x, y) = (end + self.letters * 2, last.y);
        }
        if x > 0 && x + width > width_wanted {
            (x, y) = (0, y + line);
        }
        self.size = Size { width: self.size.width.max(x + width), height: y + self.letters / 2 };
        self.entries.push(Entry { sign, text, x, y });
    }

    /// Moves it to its place.
    pub fn move_to(&mut self, x: i64, y: i64) {
        for entry in &mut self.entries {
            (entry.x, entry.y) = (entry.x + x, entry.y + y);
        }
    }
}

fn entries(picture: &Picture) -> Vec<(Sign, String)> {
    let has = |what: What| picture.tiles.iter().any(|tile| tile.what == what);
    let linked = |wire: bool| picture.links.iter().any(|link| matches!(link.why, Why::Wire { .. }) == wire);
    let kinds = Kind::ALL.into_iter().filter(|&kind| has(What::Namespace(kind)));
    let kinds = kinds.map(|kind| (Sign::Box(kind), meaning(kind).to_owned()));
    let others = [
        (has(What::Group), Sign::Group, "namespaces of the same processes"),
        (linked(true), Sign::Wire, "veth pair"),
        (linked(false), Sign::Parent, "child of a PID namespace elsewhere"),
    ];
    let others = others.into_iter().filter(|(there, ..)| *there).map(|(_, sign, text)| (sign, text.to_owned()));
    let notes = picture.notes.iter().map(|note| (Sign::Note, note.clone()));
    kinds.chain(others).chain(notes).collect()
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user namespace",
        Kind::Mount => "mount",
        Kind::Pid => "PID, with processes outside → inside",
        Kind::Net => "network",
        Kind::Ipc => "IPC",
        Kind::Uts => "UTS (host name)",
        Kind::Cgroup => "cgroup",
        Kind::Time => "time",
    }
}
