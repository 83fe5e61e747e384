//! `izba ns map`: a picture of real namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Background, Ground, User, run};
use target::{child, inode};

const FORMATS: [&str; 5] = ["html", "svg", "json", "dot", "txt"];

/// A name that would do harm in XML, HTML, JSON and DOT, as the arguments of a process.
const HOSTILE: &str = "</script><b>\"&'\\";

/// A shell in namespaces of all kinds but time, with a PID namespace in its own, and a bridge with a veth pair to a network
/// namespace below. It lives until it is dropped.
fn house(ground: &Ground, user: User) -> (Background, i32) {
    // The link's other end is in a child's namespace, which is there when the child has said so.
    let script = "set -e
        hostname the-house
        ip link set lo up
        ip link add name the-bridge type bridge
        mkfifo ready
        unshare -n --kill-child -pf sh -c 'echo up > ready; exec sleep 1000' &
        read up < ready
        ip link add veth-here master the-bridge type veth peer name veth-there netns $!
        ip addr add 10.77.1.9/24 dev the-bridge
        echo up
        read end";
    let work = ground.directory("work", user);
    let mut unshare = ground.command("unshare", user);
    unshare.args([
        "-U",
        "-r",
        "-m",
        "-p",
        "-n",
        "-i",
        "-u",
        "-C",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        script,
        "sh",
        HOSTILE,
    ]);
    let (process, line) = Background::start(unshare.current_dir(work));
    assert_eq!(line, "up");
    let shell = child(process.pid());
    (process, shell)
}

fn map(ground: &Ground, user: User, file: &Path) -> String {
    let ended = run(ground.izba(user).args(["ns", "map", "-o"]).arg(file));
    assert_eq!((ended.text(), ended.stderr.as_str()), ("", ""));
    fs::read_to_string(file).unwrap()
}

/// The boxes that a box of the JSON file is in, from the outside, and itself.
fn path_to<'a>(value: &'a Value, found: &dyn Fn(&Value) -> bool) -> Option<Vec<&'a Value>> {
    value["boxes"].as_array()?.iter().find_map(|inner| {
        let rest = if found(inner) { Vec::new() } else { path_to(inner, found)? };
        Some([inner].into_iter().chain(rest).collect())
    })
}

#[test]
fn every_format_shows_every_namespace_of_a_process() {
    let ground = Ground::new();
    for user in User::ALL {
        let (_house, pid) = house(&ground, user);
        let out = ground.directory(&format!("out-{}", user.name()), user);
        for format in FORMATS {
            let text = map(&ground, user, &out.join(format!("picture.{format}")));
            for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
                assert!(text.contains(&inode(pid, kind).to_string()), "{user:?} {format} {kind}");
            }
            for word in ["the-bridge", "veth-here", "veth-there", "10.77.1.9/24", "the-house"] {
                assert!(text.contains(word), "{user:?} {format} {word}");
            }
            assert!(!text.contains(HOSTILE) || format == "txt", "{user:?} {format}");
        }
        fs::remove_file(ground.path("work").join("ready")).unwrap();
    }
}

#[test]
fn boxes_are_nested_as_namespaces_are() {
    let ground = Ground::new();
    let (_house, pid) = house(&ground, User::Root);
    let picture: Value = serde_json::from_str(&map(&ground, User::Root, &ground.path("a.json"))).unwrap();
    let within = |kind: &str| {
        let id = format!("{kind}:[{}]", inode(pid, kind));
        let path = path_to(&picture, &|one| one["namespace"] == id.as_str()).unwrap();
        let user = format!("user:[{}]", inode(pid, "user"));
        assert!(path.iter().any(|outer| outer["namespace"] == user.as_str()), "{kind}");
        path
    };
    for kind in ["mnt", "net", "ipc", "uts", "cgroup"] {
        within(kind);
    }
    // The PID namespace of the child is in the shell's, and its process has an id in each.
    let outer = *within("pid").last().unwrap();
    let path =
        path_to(outer, &|one| one["what"] == "process" && one["title"].as_str().unwrap().contains(" → 1  sleep"));
    let own = outer["boxes"].as_array().unwrap().iter().filter(|one| one["what"] == "process");
    assert!(own.clone().any(|one| one["title"].as_str().unwrap().starts_with(&format!("{pid} → 1 "))), "{outer:#}");
    assert!(path.is_some() && outer["boxes"].as_array().unwrap().iter().any(|one| one["what"] != "process"));
}

#[test]
fn a_line_joins_the_ends_of_a_veth_pair() {
    let ground = Ground::new();
    let (_house, _) = house(&ground, User::Ranges);
    let out = ground.directory("out", User::Ranges);
    let picture: Value = serde_json::from_str(&map(&ground, User::Ranges, &out.join("a.json"))).unwrap();
    let end = |name: &str| {
        let path =
            path_to(&picture, &|one| one["title"].as_str().is_some_and(|title| title.starts_with(name))).unwrap();
        path.last().unwrap()["id"].as_u64().unwrap()
    };
    let (here, there) = (end("veth-here"), end("veth-there"));
    let links = picture["links"].as_array().unwrap();
    let joins = |link: &&Value| {
        let ends = [&link["from"], &link["to"]].map(|end| end.as_u64().unwrap());
        link["what"] == "wire" && (ends == [here, there] || ends == [there, here])
    };
    assert_eq!(links.iter().filter(joins).count(), 1, "{links:?}");
    let bridge = path_to(&picture, &|one| one["id"] == here).unwrap();
    assert_eq!(bridge[bridge.len() - 2]["what"], "bridge");
}

#[test]
fn svg_is_well_formed_and_html_has_no_element_of_a_process() {
    let ground = Ground::new();
    let (_house, _) = house(&ground, User::Root);
    let svg = ground.path("a.svg");
    map(&ground, User::Root, &svg);
    let parse = "import sys, xml.etree.ElementTree as tree; print(tree.parse(sys.argv[1]).getroot().tag)";
    let tag = run(Command::new("python3").args(["-c", parse]).arg(&svg));
    assert_eq!(tag.text(), "{http://www.w3.org/2000/svg}svg");
    let html = map(&ground, User::Root, &ground.path("a.html"));
    assert_eq!(html.matches("<script").count(), 2);
    assert!(html.contains("\\u003c/script\\u003e\\u003cb\\u003e"), "the arguments are in the data");
}

#[test]
fn stdout_is_text_unless_a_format_is_given() {
    let ground = Ground::new();
    let first = |options: &[&str]| {
        let ended = run(ground.izba(User::Root).args(["ns", "map"]).args(options));
        ended.text().lines().next().unwrap().to_owned()
    };
    for options in [&[][..], &["-o", "-"]] {
        assert!(first(options).ends_with("processes"), "{options:?}: {}", first(options));
    }
    assert_eq!(first(&["--format", "json"]), "{");
    assert_eq!(first(&["-o", "-", "--format", "dot"]), "graph izba {");
    assert!(first(&["-o", "/dev/stdout", "--format", "svg"]).starts_with("<?xml"));
}

/// The names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_as_a_whole_through_links() {
    let ground = Ground::new();
    let out = ground.directory("out", User::Ranges);
    ground.file(out.join("a.svg"), User::Ranges, "old");
    symlink("a.svg", out.join("link.svg")).unwrap();
    assert!(map(&ground, User::Ranges, &out.join("link.svg")).ends_with("</svg>\n"));
    assert!(fs::symlink_metadata(out.join("link.svg")).unwrap().is_symlink());
    assert_eq!(names(&out), ["a.svg", "link.svg"]);
}

#[test]
fn what_cannot_be_written_is_one_error_and_leaves_nothing() {
    let ground = Ground::new();
    let out = ground.directory("out", User::Ranges);
    let closed = ground.directory("closed", User::Root);
    ground.directory("out/dir.svg", User::Ranges);
    ground.file(closed.join("a.svg"), User::Root, "old");
    symlink("nowhere/a.svg", out.join("dangling.svg")).unwrap();
    let before = names(&out);
    let refused = |file: &Path, words: &[&str]| {
        let ended = run(ground.izba(User::Ranges).args(["ns", "map", "-o"]).arg(file));
        let said = ended.refusal();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    refused(&out.join("a.png"), &["a.png", "--format"]);
    refused(&out.join("picture"), &["picture", ".html"]);
    refused(&out.join("dir.svg"), &["dir.svg", "it is a directory"]);
    refused(&closed.join("new.svg"), &["new.svg", "Permission denied"]);
    refused(&closed.join("a.svg"), &["a.svg", "Permission denied"]);
    refused(&out.join("missing/a.svg"), &["missing/a.svg", "No such file"]);
    refused(&out.join("dangling.svg"), &["dangling.svg", "it is a link to nothing"]);
    refused(Path::new("/dev/full"), &["/dev/full"]);
    assert_eq!((names(&out), names(&closed)), (before, vec!["a.svg".to_owned()]));
    assert_eq!(fs::read_to_string(closed.join("a.svg")).unwrap(), "old");
}

#[test]
fn a_full_device_is_an_error() {
    let ground = Ground::new();
    let ended = run(ground.izba(User::Root).args(["ns", "map", "--format", "svg", "-o", "/dev/full"]));
    assert!(ended.refusal().contains("No space left"), "{ended:?}");
}
