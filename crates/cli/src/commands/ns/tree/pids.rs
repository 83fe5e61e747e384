//! PID namespaces with their processes.

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, SeenNamespace, SeenProcess};

use super::super::look::Look;
use super::branch::Branch;
use super::{children, processes, title, topmost};

/// The topmost ones. `all` shows the processes too that nothing sets apart.
pub(super) fn roots(look: &Look, all: bool) -> Vec<Branch> {
    let ground = look.survey.ground();
    topmost(look, Kind::Pid).map(|seen| branch(look, seen, &ground, all)).collect()
}

fn branch(look: &Look, seen: &SeenNamespace, ground: &[Option<Id>; 8], all: bool) -> Branch {
    let members: Vec<&SeenProcess> = look.survey.members(seen.id).collect();
    let (apart, plain): (Vec<_>, Vec<_>) = members.iter().partition(|process| !own(process, ground).is_empty());
    let mut below = Vec::new();
    if all {
        below.extend(members.iter().map(|process| leaf(look, process, ground)));
    } else {
        below.extend(apart.into_iter().map(|process| leaf(look, process, ground)));
        below.extend(summary(plain.len()));
    }
    below.extend(children(look, seen.id).map(|child| branch(look, child, ground, all)));
    Branch { text: format!("{}, {}", title(look, seen), processes(members.len())), below }
}

fn summary(count: usize) -> Option<Branch> {
    let which = if count == 1 { "that is" } else { "that are" };
    (count > 0).then(|| Branch::leaf(format!("{} {which} in no namespaces of their own (--all)", processes(count))))
}

/// PIDs, user, command, and the kinds of namespaces that set it apart.
fn leaf(look: &Look, process: &SeenProcess, ground: &[Option<Id>; 8]) -> Branch {
    let pids: Vec<String> = process.pids.iter().map(i32::to_string).collect();
    let own: Vec<&str> = own(process, ground).into_iter().map(Kind::proc_name).collect();
    let own = if own.is_empty() { String::new() } else { format!("[{}] ", own.join(" ")) };
    Branch::leaf(format!("{}  {}  {own}{}", pids.join(" → "), look.users.name(process.uid), process.command))
}

/// The kinds of which it is in another namespace than those that it all started with.
fn own(process: &SeenProcess, ground: &[Option<Id>; 8]) -> Vec<Kind> {
    let differs = |kind: &Kind| process.namespace(*kind).is_some_and(|id| Some(id) != ground[*kind as usize]);
    Kind::ALL.into_iter().filter(differs).collect()
}
