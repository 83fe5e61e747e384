//! User namespaces with what they own.

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::SeenNamespace;

use super::super::look::Look;
use super::branch::Branch;
use super::{children, owned, processes, title, topmost};

/// The topmost ones, and what is owned by none that can be seen.
pub(super) fn roots(look: &Look) -> Vec<Branch> {
    let hidden: Vec<Branch> = owned(look, None).map(|seen| Branch::leaf(line(look, seen))).collect();
    let hidden = (!hidden.is_empty())
        .then(|| Branch { text: "owned by a user namespace out of sight".to_owned(), below: hidden });
    topmost(look, Kind::User).map(|seen| branch(look, seen)).chain(hidden).collect()
}

fn branch(look: &Look, seen: &SeenNamespace) -> Branch {
    let owned = owned(look, Some(seen.id)).map(|seen| Branch::leaf(line(look, seen)));
    let below = owned.chain(children(look, seen.id).map(|child| branch(look, child))).collect();
    let maker = seen.owner_uid.map(|uid| format!(", made by {}", look.users.name(uid))).unwrap_or_default();
    let maker = if seen.id.is_initial() { String::new() } else { maker };
    Branch { text: format!("{}{maker}{}", title(look, seen), inhabitants(look, seen)), below }
}

fn line(look: &Look, seen: &SeenNamespace) -> String {
    format!("{}{}", title(look, seen), inhabitants(look, seen))
}

/// How many processes, and the first of them.
fn inhabitants(look: &Look, seen: &SeenNamespace) -> String {
    let count = processes(seen.members.len());
    match look.survey.leader(seen.id) {
        Some(leader) => format!(", {count}: {} {}", leader.pid, leader.command),
        None if seen.members.is_empty() => ", no process".to_owned(),
        None => format!(", {count}"),
    }
}
