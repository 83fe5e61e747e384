//! How wide a text is: no browser is asked, so the widths are those of fonts that everybody has.

/// A way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Helvetica, and what has its widths: Arial, Liberation Sans, Nimbus Sans.
    Plain,
    /// The same, bold.
    Bold,
    /// Any font with one width for all.
    Mono,
}

/// The advance widths of Helvetica in thousandths of its size, from the space to the tilde (Adobe's Core 14 AFM files).
const PLAIN: [i64; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
];
/// The same of Helvetica-Bold.
const BOLD: [i64; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
];
/// One character of a font with one width: DejaVu Sans Mono's 602, the widest of the usual ones.
const MONO: i64 = 602;

/// How wide a text is at most, in the unit of the size.
pub fn width(text: &str, face: Face, size: i64) -> i64 {
    let thousandths: i64 = text.chars().map(|c| advance(c, face)).sum();
    (thousandths * size + 999) / 1000
}

/// Is the width that of the font itself, so that another font may be pressed into it?
pub fn is_exact(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic() || " ·→…".contains(c))
}

fn advance(c: char, face: Face) -> i64 {
    let ascii = (c as usize).checked_sub(0x20);
    let in_table = |table: &[i64; 95]| ascii.and_then(|index| table.get(index).copied());
    let known = match face {
        Face::Plain => in_table(&PLAIN),
        Face::Bold => in_table(&BOLD),
        Face::Mono => in_table(&[MONO; 95]),
    };
    known.unwrap_or_else(|| foreign(c, face))
}

/// A character that may come from another font: rather too much room.
fn foreign(c: char, face: Face) -> i64 {
    match (c, face) {
        ('·' | '→' | '…', Face::Mono) => MONO,
        ('·', _) => 278,
        ('\u{1f000}'.., _) => 1400,
        _ => 1050,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_fonts() {
        assert_eq!(width("", Face::Plain, 10), 0);
        assert_eq!(width("mnt 4026532201", Face::Plain, 1000), 833 + 556 + 278 + 278 + 10 * 556);
        assert_eq!(width("il~", Face::Bold, 1000), 278 + 278 + 584);
        assert_eq!(width("7 → 1…", Face::Mono, 10), 37);
    }

    #[test]
    fn a_foreign_character_gets_room_enough() {
        assert_eq!(width("漢字", Face::Mono, 20), 42);
        assert!(width("👩‍🚀", Face::Plain, 10) >= 28);
        assert!(is_exact("7 → 1 sh") && !is_exact("é"));
    }
}
