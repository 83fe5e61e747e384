//! As JSON: the boxes as they are nested, and the links, for programs that draw their own.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::picture::{Detail, Picture, TileId, What, Why};

/// The whole picture.
pub fn json(picture: &Picture, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:#}", value(picture))
}

fn value(picture: &Picture) -> Value {
    let links: Vec<Value> = picture.links.iter().map(|link| link_value(link.from, link.to, link.why)).collect();
    let people: Map<String, Value> = picture
        .people
        .iter()
        .map(|(pid, person)| (pid.to_string(), json!({ "label": person.label, "details": details(&person.details) })))
        .collect();
    json!({
        "title": picture.tiles[0].title,
        "notes": picture.notes,
        "boxes": boxes(picture, 0),
        "links": links,
        "processes": people,
    })
}

/// Lists are for the eye only: their boxes take their place.
fn boxes(picture: &Picture, parent: TileId) -> Vec<Value> {
    let children = picture.tiles[parent].children.iter();
    let nested = children.flat_map(|&id| match picture.tiles[id].what {
        What::List => boxes(picture, id),
        _ => vec![tile_value(picture, id)],
    });
    nested.collect()
}

fn tile_value(picture: &Picture, id: TileId) -> Value {
    let tile = &picture.tiles[id];
    let mut value = json!({
        "id": id,
        "what": tile.what.word(),
        "title": tile.title,
        "lines": tile.lines,
        "processes": tile.members,
        "details": details(&tile.details),
        "boxes": boxes(picture, id),
    });
    if let Some(namespace) = tile.namespace {
        value["kind"] = namespace.kind.proc_name().into();
        value["namespace"] = namespace.to_string().into();
        value["inode"] = namespace.inode.into();
    }
    if let Some(up) = tile.what.up() {
        value["up"] = up.into();
    }
    value
}

fn details(details: &[Detail]) -> Value {
    details
        .iter()
        .map(|detail| (detail.label.clone(), Value::from(detail.values.clone())))
        .collect::<Map<_, _>>()
        .into()
}

fn link_value(from: TileId, to: TileId, why: Why) -> Value {
    match why {
        Why::Wire { bridge } => json!({ "what": "wire", "from": from, "to": to, "bridge": bridge }),
        Why::Parent => json!({ "what": "parent", "from": from, "to": to }),
    }
}
