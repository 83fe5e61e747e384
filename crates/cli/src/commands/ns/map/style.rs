//! Sizes of letters and margins, for each sort of tile.

use izba_sandbox::namespace::Kind;

use super::measure::Face;
use super::picture::What;

/// How a tile is written and spaced, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub title: (Face, i64),
    pub line: (Face, i64),
    /// Left of the text and of what is inside.
    pub left: i64,
    /// On the other sides.
    pub pad: i64,
    /// Between the tiles inside.
    pub gap: i64,
    /// Does the title grow with the box, so that it can be read from afar?
    pub grows: bool,
    /// Is it, in a large picture, larger than others even if the box is small?
    pub leads: bool,
}

/// The style of this sort.
pub fn style(what: What) -> Style {
    use Face::{Bold, Mono, Plain};
    let boxed = |title| Style {
        title: (Bold, title),
        line: (Plain, 11),
        left: 10,
        pad: 10,
        gap: 10,
        grows: true,
        leads: false,
    };
    match what {
        What::Machine => Style { left: 20, pad: 20, gap: 20, grows: false, ..boxed(20) },
        What::Namespace(Kind::User) => Style { left: 12, pad: 12, gap: 12, leads: true, ..boxed(15) },
        What::Group => Style { leads: true, ..boxed(14) },
        What::Namespace(Kind::Pid | Kind::Net) => boxed(13),
        What::Namespace(_) => Style { left: 11, pad: 5, grows: false, ..boxed(11) },
        What::List => Style { left: 0, pad: 0, gap: 4, grows: false, ..boxed(11) },
        What::Process(_) => Style { title: (Mono, 11), left: 4, pad: 1, grows: false, ..boxed(11) },
        What::More => Style { title: (Plain, 11), left: 4, pad: 1, grows: false, ..boxed(11) },
        What::Interface { .. } => {
            Style { title: (Mono, 11), line: (Mono, 10), left: 17, pad: 4, grows: false, ..boxed(11) }
        }
        What::Bridge { .. } => {
            Style { title: (Mono, 11), line: (Mono, 10), left: 17, pad: 8, gap: 6, grows: false, ..boxed(11) }
        }
    }
}

/// From one baseline to the next.
pub fn leading(size: i64) -> i64 {
    (size * 13 + 5) / 10
}
