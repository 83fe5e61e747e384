//! Pictures of machines that don't exist.

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::Id;

use super::layout::{Layout, Rect};
use super::measure::width;
use super::picture::What;
use super::synthetic::Machine;
use super::*;

const SIZES: [usize; 3] = [20, 200, 2000];

/// Every size with several seeds.
fn machines() -> impl Iterator<Item = Machine> {
    SIZES.into_iter().flat_map(|size| (1..4).map(move |seed| Machine::new(size, seed)))
}

fn contains(outer: Rect, inner: Rect) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.x + inner.width <= outer.x + outer.width
        && inner.y + inner.height <= outer.y + outer.height
}

fn overlap(a: Rect, b: Rect) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

fn rendered(picture: &Picture, format: MapFormat) -> String {
    let mut out = Vec::new();
    write(picture, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_child_is_inside_its_parent_and_no_siblings_overlap() {
    for machine in machines() {
        let picture = machine.picture();
        let Layout { rects, .. } = lay_out(&picture);
        for (id, tile) in picture.tiles.iter().enumerate() {
            let children: Vec<Rect> = tile.children.iter().map(|&child| rects[child]).collect();
            for (index, &child) in children.iter().enumerate() {
                assert!(contains(rects[id], child), "{tile:?}");
                assert!(!children[..index].iter().any(|&other| overlap(child, other)), "{tile:?}");
            }
        }
    }
}

#[test]
fn every_text_is_inside_its_box_and_above_what_is_in_it() {
    for machine in machines() {
        let picture = machine.picture();
        let layout = lay_out(&picture);
        let count: usize =
            picture.tiles.iter().map(|tile| tile.lines.len() + usize::from(!tile.title.is_empty())).sum();
        assert_eq!(layout.texts.len(), count);
        for text in &layout.texts {
            let (x, y) = (text.x, text.y - text.size);
            let place = Rect { x, y, width: width(text.text, text.face, text.size), height: text.size * 5 / 4 };
            assert!(contains(layout.rects[text.tile], place), "{text:?}");
            let mut children = picture.tiles[text.tile].children.iter();
            assert!(!children.any(|&child| overlap(layout.rects[child], place)), "{text:?}");
        }
    }
}

#[test]
fn pictures_have_about_the_shape_of_a_screen() {
    for machine in machines() {
        let layout_of = machine.picture();
        let Layout { size, .. } = lay_out(&layout_of);
        assert!((12..=22).contains(&(size.width * 10 / size.height)), "{size:?}");
    }
}

#[test]
fn everything_that_was_seen_is_drawn_once() {
    for machine in machines() {
        let picture = machine.picture();
        let mut drawn: Vec<Id> = picture.tiles.iter().filter_map(|tile| tile.namespace).collect();
        drawn.sort();
        assert_eq!(drawn, machine.survey.namespaces.keys().copied().collect::<Vec<_>>());
        let interfaces = picture.tiles.iter().filter(|tile| tile.what.up().is_some()).count();
        assert_eq!(interfaces, machine.interfaces.values().map(Vec::len).sum::<usize>());
        let shown = picture.tiles.iter().filter(|tile| matches!(tile.what, What::Process(_) | What::More));
        let shown: std::collections::BTreeSet<i32> = shown.flat_map(|tile| tile.members.iter().copied()).collect();
        assert_eq!(shown.into_iter().collect::<Vec<_>>(), machine.survey.processes.keys().copied().collect::<Vec<_>>());
    }
}

#[test]
fn every_line_ends_at_tiles_that_are_drawn() {
    for machine in machines() {
        let picture = machine.picture();
        let pairs = machine.interfaces.values().flatten().filter(|one| one.peer.is_some()).count() / 2;
        let layout = lay_out(&picture);
        let wires = layout.curves.iter().filter(|curve| picture.tiles[curve.link.from].what.up().is_some());
        assert_eq!(wires.count(), pairs);
        for curve in &layout.curves {
            assert!(curve.points.iter().all(|point| (0..=layout.size.width).contains(&point.0)), "{curve:?}");
            for (tile, point) in [(curve.link.from, curve.points[0]), (curve.link.to, curve.points[3])] {
                let end = Rect { x: point.0, y: point.1, width: 0, height: 0 };
                assert!(contains(layout.rects[tile], end), "{curve:?}");
            }
        }
    }
}

#[test]
fn the_same_machine_gives_the_same_picture() {
    let [first, second] = [(); 2].map(|()| Machine::new(200, 7).picture());
    for format in [MapFormat::Text, MapFormat::Svg, MapFormat::Html, MapFormat::Json, MapFormat::Dot] {
        assert_eq!(rendered(&first, format), rendered(&second, format));
    }
}

#[test]
#[ignore = "writes pictures to look at into the directory IZBA_PICTURES"]
fn pictures_to_look_at() {
    let dir = std::env::var_os("IZBA_PICTURES").unwrap();
    for (size, seed) in [(20, 1), (21, 2), (22, 3), (200, 1), (2000, 1)] {
        let picture = Machine::new(size, seed).picture();
        for (format, end) in [(MapFormat::Html, "html"), (MapFormat::Svg, "svg"), (MapFormat::Dot, "dot")] {
            std::fs::write(Path::new(&dir).join(format!("{size}.{end}")), rendered(&picture, format)).unwrap();
        }
    }
}

/// Everything that a process may call itself, and everything that ends a text somewhere.
const HOSTILE: &str =
    "</script><script>alert(1)</script><!-- ]]> \"'&amp; \\n\\\" \u{1b}[2J\n\0\u{202e}\u{feff}\u{ffff} {}; }";

fn hostile() -> Picture {
    let mut machine = Machine::new(20, 3);
    let namespaces = [Kind::User, Kind::Pid].map(|kind| machine.survey.ground()[kind as usize]);
    let set = Kind::ALL.map(|kind| namespaces.into_iter().flatten().find(|id| id.kind == kind));
    machine.process(&set, vec![4_000_001], HOSTILE);
    machine.process(&set, vec![4_000_002], &"<'\u{1f468}\u{200d}\u{1f680}\"&>".repeat(2000));
    machine.process(&set, vec![150], "a\"b\\n] \u{7}");
    machine.names = machine.survey.namespaces.keys().map(|&id| (id, HOSTILE.to_owned())).collect();
    for interface in machine.interfaces.values_mut().flatten() {
        interface.name = HOSTILE.to_owned();
        interface.kind = Some(HOSTILE.to_owned());
    }
    machine.picture()
}

#[test]
fn hostile_names_are_nothing_but_text() {
    let picture = hostile();
    for format in [MapFormat::Text, MapFormat::Svg, MapFormat::Html, MapFormat::Json, MapFormat::Dot] {
        let text = rendered(&picture, format);
        let bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{feff}\u{ffff}\u{200d}".contains(c);
        assert!(!text.contains(bad), "{format:?}");
    }
    let svg = rendered(&picture, MapFormat::Svg);
    assert!(!svg.contains("<script") && svg.contains("&lt;/script&gt;&lt;script&gt;"));
    let html = rendered(&picture, MapFormat::Html);
    // Its own two, and nothing that would hide the end of one.
    assert_eq!(
        (html.matches("<script").count(), html.matches("</script").count(), html.matches("<!--").count()),
        (2, 2, 0)
    );
    let dot = rendered(&picture, MapFormat::Dot);
    assert!(dot.contains(r#"a\"b\\n] \\u{7}"#), "{dot}");
}

#[test]
fn long_names_are_shortened_and_whole_in_the_details() {
    let picture = hostile();
    assert!(picture.tiles.iter().all(|tile| tile.title.chars().count() < 120));
    assert!(picture.people[&4_000_002].label.chars().count() > 10_000);
    let layout = lay_out(&picture);
    for text in &layout.texts {
        let right = text.x + width(text.text, text.face, text.size);
        assert!(right <= layout.rects[text.tile].x + layout.rects[text.tile].width, "{text:?}");
    }
}

#[test]
fn json_and_the_data_of_the_html_file_can_be_read_back() {
    for picture in [hostile(), Machine::new(200, 5).picture()] {
        let json: serde_json::Value = serde_json::from_str(&rendered(&picture, MapFormat::Json)).unwrap();
        assert_eq!(json["processes"].as_object().unwrap().len(), picture.people.len());
        assert_eq!(json["links"].as_array().unwrap().len(), picture.links.len());
        let html = rendered(&picture, MapFormat::Html);
        let (_, data) = html.split_once("id=\"data\">").unwrap();
        let data: serde_json::Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
        let titles: Vec<&str> =
            data["tiles"].as_array().unwrap().iter().map(|tile| tile["t"].as_str().unwrap()).collect();
        assert_eq!(titles, picture.tiles.iter().map(|tile| tile.title.as_str()).collect::<Vec<_>>());
    }
}

#[test]
fn the_html_file_refers_to_nothing_outside() {
    let html = rendered(&Machine::new(20, 1).picture(), MapFormat::Html);
    let outside = ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest", "import("];
    assert_eq!(outside.into_iter().find(|word| html.contains(word)), None);
    let addresses: Vec<&str> =
        html.match_indices("://").map(|(at, _)| &html[at - 5..(at + 20).min(html.len())]).collect();
    assert!(addresses.iter().all(|address| address.contains("www.w3.org")), "{addresses:?}");
}

#[test]
fn what_one_container_has_is_in_one_frame_under_its_name() {
    let machine = Machine::new(200, 2);
    let picture = machine.picture();
    let parents = picture.parents();
    let with_pids = machine.names.iter().filter(|(id, _)| id.kind == Kind::Pid);
    assert!(with_pids.clone().count() > 3);
    for (&id, name) in with_pids {
        let process = machine.survey.leader(id).unwrap();
        let net = process.namespace(Kind::Net).unwrap();
        let mut tile = picture.tiles.iter().position(|tile| tile.namespace == Some(net)).unwrap();
        while !picture.tiles[tile].title.starts_with(name.as_str()) {
            assert_ne!(tile, 0, "{name} isn't around {net}");
            tile = parents[tile];
        }
        let mount = process.namespace(Kind::Mount).unwrap();
        let mut chip = picture.tiles.iter().position(|tile| tile.namespace == Some(mount)).unwrap();
        while chip != 0 && chip != tile {
            chip = parents[chip];
        }
        assert_eq!(chip, tile, "{name} isn't around {mount}");
    }
}

#[test]
fn a_file_name_says_the_format_unless_an_option_does() {
    let format = |asked, name: &str| format(asked, Some(Path::new(name)));
    for (name, expected) in [
        ("a.svg", MapFormat::Svg),
        ("dir.x/a.html", MapFormat::Html),
        (".a.htm", MapFormat::Html),
        ("a.json", MapFormat::Json),
        ("a.b.dot", MapFormat::Dot),
        ("a.txt", MapFormat::Text),
    ] {
        assert_eq!(format(None, name).unwrap(), expected, "{name}");
        assert_eq!(format(Some(MapFormat::Svg), name).unwrap(), MapFormat::Svg);
    }
    for name in ["picture", "a.png", ".svg", "a.svg.", "a.SVG2"] {
        assert!(format(None, name).is_err(), "{name}");
        assert_eq!(format(Some(MapFormat::Dot), name).unwrap(), MapFormat::Dot);
    }
    assert_eq!(super::format(None, None).unwrap(), MapFormat::Text);
}
