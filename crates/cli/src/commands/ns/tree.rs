//! `izba ns tree`.

mod branch;
mod json;
mod pids;
mod users;

use std::io::{self, Write};

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Detail, Id, SeenNamespace};

use super::look::{Look, look};
use crate::args::TableFormat;
use crate::args::ns::tree::TreeArgs;
use crate::failure::Result;
use crate::output;
use crate::table::terminal_width;

pub fn tree(args: &TreeArgs) -> Result<u8> {
    let look = look(Detail::All)?;
    output::print(|out| match args.format {
        TableFormat::Json => writeln!(out, "{:#}", json::of(&look)),
        TableFormat::Table => draw(&look, args.all, out),
    })?;
    if args.format == TableFormat::Table {
        look.say_unreadable();
    }
    Ok(0)
}

fn draw(look: &Look, all: bool, out: &mut dyn Write) -> io::Result<()> {
    let width = terminal_width();
    writeln!(out, "PID namespaces and processes, with the PIDs that each has from here inwards")?;
    pids::roots(look, all).iter().try_for_each(|root| root.draw(out, width))?;
    writeln!(out, "\nUser namespaces and what they own")?;
    users::roots(look).iter().try_for_each(|root| root.draw(out, width))
}

/// The topmost namespaces of a kind that is a tree.
fn topmost(look: &Look, kind: Kind) -> impl Iterator<Item = &SeenNamespace> {
    let all = look.survey.namespaces.values().filter(move |seen| seen.id.kind == kind);
    all.filter(|seen| seen.parent.id().is_none())
}

/// Those right below one.
fn children(look: &Look, parent: Id) -> impl Iterator<Item = &SeenNamespace> {
    let all = look.survey.namespaces.values().filter(move |seen| seen.id.kind == parent.kind);
    all.filter(move |seen| seen.parent.id() == Some(parent))
}

/// What a user namespace owns besides the user namespaces below it.
fn owned(look: &Look, owner: Option<Id>) -> impl Iterator<Item = &SeenNamespace> {
    let others = look.survey.namespaces.values().filter(|seen| seen.id.kind != Kind::User);
    others.filter(move |seen| seen.owner.id() == owner)
}

/// Type, number and name.
fn title(look: &Look, seen: &SeenNamespace) -> String {
    let initial = if seen.id.is_initial() { ", initial" } else { "" };
    let name = look.name(seen.id).map(|name| format!(" \"{name}\"")).unwrap_or_default();
    format!("{} {}{name}{initial}", seen.id.kind, seen.id.inode)
}

/// "1 process", "2 processes".
fn processes(count: usize) -> String {
    format!("{count} process{}", if count == 1 { "" } else { "es" })
}
