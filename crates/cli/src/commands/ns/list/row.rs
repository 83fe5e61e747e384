//! What is shown of one namespace.

use izba_sandbox::survey::{Link, SeenNamespace, SeenProcess};

use super::super::look::Look;
use crate::args::ns::list::Column;
use crate::table::{Title, numbers, words};

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

pub(super) fn title(column: Column) -> Title {
    match column {
        Column::Type => words("TYPE"),
        Column::Id => numbers("ID"),
        Column::Unique => numbers("UNIQUE"),
        Column::Procs => numbers("PROCS"),
        Column::Pid => numbers("PID"),
        Column::Ppid => numbers("PPID"),
        Column::User => words("USER"),
        Column::Uid => numbers("UID"),
        Column::Owner => numbers("OWNER"),
        Column::OwnerUid => numbers("OWNER-UID"),
        Column::Parent => numbers("PARENT"),
        Column::Name => words("NAME"),
        Column::Path => words("PATH"),
        Column::Command => words("COMMAND"),
    }
}

pub(super) fn cell(look: &Look, seen: &SeenNamespace, column: Column) -> String {
    let leader = look.survey.leader(seen.id);
    let of_leader = |show: fn(&SeenProcess) -> String| leader.map(show);
    let shown = match column {
        Column::Type => Some(seen.id.kind.to_string()),
        Column::Id => Some(seen.id.inode.to_string()),
        Column::Unique => seen.unique.map(|id| id.to_string()),
        Column::Procs => Some(seen.members.len().to_string()),
        Column::Pid => of_leader(|leader| leader.pid.to_string()),
        Column::Ppid => of_leader(|leader| leader.parent.to_string()),
        Column::User => leader.map(|leader| look.users.name(leader.uid)),
        Column::Uid => of_leader(|leader| leader.uid.to_string()),
        Column::Owner => link(seen.owner),
        Column::OwnerUid => look.survey.owner_uid(seen.id).map(|uid| uid.to_string()),
        Column::Parent => link(seen.parent),
        Column::Name => look.name(seen.id),
        Column::Path => seen.pins.first().map(|path| path.to_string_lossy().into_owned()),
        Column::Command => of_leader(|leader| leader.command.clone()),
    };
    shown.unwrap_or_else(|| NOTHING.to_owned())
}

fn link(link: Link) -> Option<String> {
    match link {
        Link::None => None,
        Link::To(id) => Some(id.inode.to_string()),
        Link::Hidden => Some("hidden".to_owned()),
    }
}
