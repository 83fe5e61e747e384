//! What stands in a box about the box itself.

use izba_sandbox::survey::{Id, SeenNamespace, SeenProcess, Survey};

use super::label::{clean, count, program, short};

/// So many characters of a name are drawn.
const NAME: usize = 32;

/// `net blue`, `mnt 4026532201`.
pub fn namespace(id: Id, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{} {}", id.kind, short(&clean(name), NAME)),
        None => format!("{} {}", id.kind, id.inode),
    }
}

/// The leader and how many others.
pub fn who(seen: &SeenNamespace, survey: &Survey) -> String {
    let leader = seen.members.first().and_then(|pid| survey.processes.get(pid));
    let number = count(seen.members.len(), "process", "processes");
    match (leader, seen.members.len()) {
        (_, 0) => "no process".to_owned(),
        (Some(leader), 1) => format!("{} {}", leader.pid, program(leader)),
        (Some(leader), _) => format!("{number} · {} {}", leader.pid, program(leader)),
        (None, _) => number,
    }
}

/// A name, else the leader.
pub fn group(name: Option<&str>, leader: Option<&SeenProcess>) -> String {
    match (name, leader) {
        (Some(name), _) => short(&clean(name), NAME),
        (None, Some(leader)) => format!("{} {}", program(leader), leader.pid),
        (None, None) => "kept".to_owned(),
    }
}
