//! As SVG: boxes first, then the lines over them, then the texts over both.

use std::io::{self, Write};

use izba_sandbox::namespace::Kind;

use super::escape::xml;
use super::layout::{Layout, Rect, Text};
use super::legend::{Entry, Sign};
use super::measure::{Face, is_exact};
use super::picture::{Tile, What, Why};
use super::wires::Curve;

/// The look of all classes; also part of the HTML file.
pub const STYLE: &str = include_str!("picture.css");
/// So many colours for bridges are in the style.
const BRIDGES: usize = 6;

/// More lines than this would hide what is below them.
const MANY: usize = 60;
/// So many from children to PID namespaces elsewhere, which mostly end at the same one.
const BUNDLE: usize = 6;

/// A file of its own. What hovering shows comes from `<title>` elements.
pub fn svg(layout: &Layout<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    drawing(layout, true, out)
}

/// The `<svg>` element.
pub fn drawing(layout: &Layout<'_>, hints: bool, out: &mut dyn Write) -> io::Result<()> {
    let (width, height) = (layout.size.width, layout.size.height);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"map\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">"
    )?;
    writeln!(out, "<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n<g>")?;
    for (id, tile) in layout.picture.tiles.iter().enumerate() {
        shape(id, tile, layout.rects[id], hints, out)?;
    }
    let many = if layout.curves.len() > MANY { " many" } else { "" };
    let parents = layout.curves.iter().filter(|curve| curve.link.why == Why::Parent).count();
    let bundle = if parents > BUNDLE { " bundle" } else { "" };
    writeln!(out, "</g>\n<g class=\"lines{many}{bundle}\">")?;
    layout.curves.iter().try_for_each(|curve| wire(curve, out))?;
    writeln!(out, "</g>\n<g class=\"texts\">")?;
    layout.texts.iter().try_for_each(|line| text(layout, line, out))?;
    let legend = &layout.legend;
    legend.entries.iter().try_for_each(|entry| explained(entry, legend.letters, legend.indent(), out))?;
    writeln!(out, "</g>\n</svg>")
}

/// The word in the style sheet.
fn class(what: What) -> &'static str {
    match what {
        What::Machine => "machine",
        What::Namespace(kind) => kind.proc_name(),
        What::Group => "group",
        What::List => "list",
        What::Process(_) => "process",
        What::More => "more",
        What::Interface { .. } => "interface",
        What::Bridge { .. } => "bridge",
    }
}

fn shape(id: usize, tile: &Tile, rect: Rect, hints: bool, out: &mut dyn Write) -> io::Result<()> {
    if matches!(tile.what, What::Machine | What::List) {
        return Ok(());
    }
    let Rect { x, y, width, height } = rect;
    let chip = if tile.what.is_chip() { " chip" } else { "" };
    write!(out, "<g class=\"{}{chip}\" data-t=\"{id}\">", class(tile.what))?;
    if hints {
        write!(out, "<title>{}</title>", xml(&hint(tile)))?;
    }
    write!(
        out,
        "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{}\"/>",
        round(tile.what)
    )?;
    if tile.what.is_chip() {
        write!(out, "<rect class=\"bar\" x=\"{x}\" y=\"{y}\" width=\"4\" height=\"{height}\"/>")?;
    }
    if let Some(up) = tile.what.up() {
        let (x, y) = (x + 9, y + if matches!(tile.what, What::Bridge { .. }) { 15 } else { 11 });
        write!(out, "<circle class=\"{}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>", if up { "up" } else { "down" })?;
    }
    writeln!(out, "</g>")
}

fn round(what: What) -> i64 {
    match what {
        What::Namespace(Kind::User) => 8,
        What::Group | What::Namespace(Kind::Pid | Kind::Net) => 6,
        What::Namespace(_) => 1,
        _ => 3,
    }
}

/// What hovering shows where no script runs: the text in full, and the details.
fn hint(tile: &Tile) -> String {
    let details = tile.details.iter().map(|detail| format!("{}: {}", detail.label, detail.values.join(", ")));
    [tile.title.clone()].into_iter().chain(tile.lines.iter().cloned()).chain(details).collect::<Vec<_>>().join("\n")
}

fn wire(curve: &Curve, out: &mut dyn Write) -> io::Result<()> {
    let class = match curve.link.why {
        Why::Parent => "parent".to_owned(),
        Why::Wire { bridge: None } => "wire".to_owned(),
        Why::Wire { bridge: Some(number) } => format!("wire bridge{}", number % BRIDGES),
    };
    let [start, first, second, end] = curve.points.map(|(x, y)| format!("{x} {y}"));
    let (from, to) = (curve.link.from, curve.link.to);
    writeln!(out, "<path class=\"{class}\" data-f=\"{from}\" data-t=\"{to}\" d=\"M{start}C{first} {second} {end}\"/>")
}

fn text(layout: &Layout<'_>, line: &Text<'_>, out: &mut dyn Write) -> io::Result<()> {
    let tile = &layout.picture.tiles[line.tile];
    let part = if line.is_title { "title" } else { "line" };
    let face = match line.face {
        Face::Plain => "plain",
        Face::Bold => "bold",
        Face::Mono => "mono",
    };
    let class = format!("{} {part} {face}", class(tile.what));
    written(&class, (line.x, line.y), line.size, line.face, line.text, Some(line.tile), out)
}

/// One line of text, pressed into its room where the reader's font is another.
fn written(
    class: &str,
    (x, y): (i64, i64),
    size: i64,
    face: Face,
    text: &str,
    tile: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" font-size=\"{size}\"")?;
    if let Some(tile) = tile {
        write!(out, " data-t=\"{tile}\"")?;
    }
    if is_exact(text) {
        let width = super::measure::width(text, face, size);
        write!(out, " textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\"")?;
    }
    writeln!(out, ">{}</text>", xml(text))
}

fn explained(entry: &Entry, letters: i64, indent: i64, out: &mut dyn Write) -> io::Result<()> {
    let place = Rect { x: entry.x, y: entry.y - letters * 9 / 10, width: letters, height: letters };
    match entry.sign {
        Sign::Box(kind) if What::Namespace(kind).is_chip() => {
            write!(out, "<g class=\"{kind} chip\">")?;
            sign("box", place, out)?;
            sign("bar", Rect { width: letters / 3, ..place }, out)?;
            writeln!(out, "</g>")?;
        }
        Sign::Box(kind) => boxed(kind.proc_name(), place, out)?,
        Sign::Group => boxed("group", place, out)?,
        Sign::Wire => line("wire", place, out)?,
        Sign::Parent => line("parent", place, out)?,
        Sign::Note => written("note bold", (entry.x, entry.y), letters, Face::Bold, "!", None, out)?,
    }
    written("legend plain", (entry.x + indent, entry.y), letters, Face::Plain, &entry.text, None, out)
}

fn boxed(class: &str, place: Rect, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<g class=\"{class}\">")?;
    sign("box", place, out)?;
    writeln!(out, "</g>")
}

fn sign(class: &str, Rect { x, y, width, height }: Rect, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>")
}

fn line(class: &str, Rect { x, y, width, height }: Rect, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<path class=\"{class}\" d=\"M{x} {}h{width}\"/>", y + height / 2)
}
