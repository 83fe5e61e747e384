//! What is told of a process or an interface on request.

use izba_sandbox::contents::Interface;
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, SeenProcess};

use super::label::{clean, command, pids};
use super::picture::{Detail, Person};

/// A process as it is in details and in the search.
pub fn person(process: &SeenProcess) -> Person {
    let namespaces = Kind::ALL.iter().map(|&kind| match process.namespace(kind) {
        Some(id) => id.to_string(),
        None => format!("{kind}: can't be read"),
    });
    let mut details = vec![
        Detail::new("command", [clean(&process.command)]),
        Detail::new("parent", [process.parent.to_string()]),
        Detail::new("uid", [process.uid.to_string()]),
        Detail::new("namespaces", namespaces),
    ];
    if !process.for_children.is_empty() {
        details.push(Detail::new("for its children", process.for_children.iter().map(Id::to_string)));
    }
    Person { label: format!("{}  {}", pids(process), command(process)), details }
}

/// All that is known of an interface.
pub fn interface_details(interface: &Interface, master: Option<&str>) -> Vec<Detail> {
    let peer = interface.peer.map(|peer| match peer.namespace {
        Some(id) => format!("interface {} in {id}", peer.index),
        None => format!("interface {} in a namespace that can't be seen", peer.index),
    });
    let one = |label: &str, value: Option<String>| value.map(|value| Detail::new(label, [value]));
    let addresses: Vec<String> =
        interface.addresses.iter().map(|(address, length)| format!("{address}/{length}")).collect();
    [
        one("interface", Some(format!("{} (number {})", clean(&interface.name), interface.index))),
        one("kind", interface.kind.as_deref().map(clean)),
        one("state", Some(if interface.up { "up" } else { "down" }.to_owned())),
        one("hardware address", interface.address.as_deref().map(clean)),
        (!addresses.is_empty()).then(|| Detail::new("addresses", addresses)),
        one("in", master.map(clean)),
        one("other end", peer),
    ]
    .into_iter()
    .flatten()
    .collect()
}
