//! As one HTML file: the SVG, the details as JSON, and a viewer. Nothing is loaded from anywhere.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::escape::{script, xml};
use super::layout::Layout;
use super::picture::{Detail, Picture, What};
use super::svg::drawing;

const STYLE: &str = include_str!("viewer.css");
const SCRIPT: &str = include_str!("viewer.js");
const CONTROLS: &str = include_str!("viewer.html");
/// Should a text ever get past the escaping, a browser would still load nothing and send nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The whole file.
pub fn html(layout: &Layout<'_>, out: &mut dyn Write) -> io::Result<()> {
    let title = xml(&layout.picture.tiles[0].title);
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width\">")?;
    writeln!(out, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{CONTROLS}\n<main id=\"stage\">")?;
    drawing(layout, false, out)?;
    let data = data(layout.picture).to_string();
    writeln!(out, "</main>\n<script type=\"application/json\" id=\"data\">{}</script>", script(&data))?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")
}

/// What the viewer knows: short names, as there may be thousands.
fn data(picture: &Picture) -> Value {
    let parents = picture.parents();
    let tiles = picture.tiles.iter().zip(parents).map(|(tile, parent)| {
        json!({
            "w": tile.what.word(),
            "t": tile.title,
            "l": tile.lines,
            "p": parent,
            "m": tile.members,
            "pid": if let What::Process(pid) = tile.what { Some(pid) } else { None },
            "d": details(&tile.details),
        })
    });
    let people = picture.people.iter().map(|(pid, person)| {
        let value = json!({ "t": person.label, "d": details(&person.details) });
        (pid.to_string(), value)
    });
    json!({
        "tiles": tiles.collect::<Vec<_>>(),
        "people": Value::Object(people.collect()),
        "notes": picture.notes,
    })
}

fn details(details: &[Detail]) -> Value {
    details.iter().map(|detail| json!([detail.label, detail.values])).collect()
}
