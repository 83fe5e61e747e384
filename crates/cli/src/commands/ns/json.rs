//! Namespaces and processes for programs.

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Link, SeenNamespace, SeenProcess};
use serde_json::{Map, Value, json};

use super::look::Look;

/// A namespace.
pub fn namespace(look: &Look, seen: &SeenNamespace) -> Value {
    let paths: Vec<_> = seen.pins.iter().map(|path| path.to_string_lossy()).collect();
    json!({
        "type": seen.id.kind.proc_name(),
        "id": seen.id.inode,
        "unique": seen.unique,
        "processes": seen.members.len(),
        "leader": look.survey.leader(seen.id).map(|leader| process(look, leader)),
        "owner": link(seen.owner),
        "ownerUid": look.survey.owner_uid(seen.id),
        "parent": link(seen.parent),
        "name": look.name(seen.id),
        "names": look.names.get(&seen.id).into_iter().flatten().collect::<Vec<_>>(),
        "paths": paths,
    })
}

/// A process that has been described.
pub fn process(look: &Look, process: &SeenProcess) -> Value {
    json!({
        "pid": process.pid,
        "parent": process.parent,
        "pids": process.pids,
        "uid": process.uid,
        "user": look.users.name(process.uid),
        "command": process.command,
    })
}

/// The namespaces that a process is in, by type.
pub fn namespaces(process: &SeenProcess) -> Value {
    let known = Kind::ALL.into_iter().filter_map(|kind| process.namespace(kind));
    Value::Object(known.map(|id| (id.kind.proc_name().to_owned(), id.inode.into())).collect::<Map<_, _>>())
}

/// Another namespace: its number, null where there is none, "hidden" where it is out of sight.
fn link(link: Link) -> Value {
    match link {
        Link::None => Value::Null,
        Link::To(id) => id.inode.into(),
        Link::Hidden => "hidden".into(),
    }
}
