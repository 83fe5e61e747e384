//! Details of namespaces for people.

use std::io::{self, Write};

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::Link;

use super::contents_text::{lines, summary, table};
use super::details::Details;
use super::holder_text;
use crate::table::{Table, numbers, printable, terminal_width, words};

/// All about one namespace.
pub fn whole(details: &Details<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", details.seen.id)?;
    let mut facts = identity(details);
    match &details.contents {
        Ok(contents) => facts.extend(lines(contents)),
        Err(unreadable) => facts.push(("contents", format!("can't be read: {unreadable}"))),
    }
    facts.iter().try_for_each(|(label, text)| writeln!(out, "  {label:13}  {text}"))?;
    if let Some((heading, table)) = table(details) {
        writeln!(out, "\n{heading}")?;
        table.write(out, terminal_width())?;
    }
    if !details.seen.members.is_empty() {
        writeln!(out, "\nprocesses")?;
        members(details).write(out, terminal_width())?;
    }
    writeln!(out, "\nwhy it lives")?;
    holder_text::lines(details).iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// Its numbers and names, and what it hangs from: lines of "label, text".
pub fn identity(details: &Details<'_>) -> Vec<(&'static str, String)> {
    let seen = details.seen;
    let name = details.look.name(seen.id);
    let owner_label = if seen.id.kind == Kind::User { None } else { Some("owner") };
    let unique = match seen.unique {
        Some(unique) => Some(unique.to_string()),
        None => Some("this kernel has none".to_owned()),
    };
    [
        Some(("64-bit id", unique.unwrap_or_default())),
        name.map(|name| ("name", printable(&name))),
        owner_label.map(|label| (label, link(seen.owner))),
        made_by(details),
        parents(details).map(|parents| ("parents", parents)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn link(link: Link) -> String {
    match link {
        Link::None => "none".to_owned(),
        Link::To(id) => id.to_string(),
        Link::Hidden => "out of your sight".to_owned(),
    }
}

/// Who made the user namespace, or the one that owns this.
fn made_by(details: &Details<'_>) -> Option<(&'static str, String)> {
    let uid = details.look.survey.owner_uid(details.seen.id)?;
    let label = if details.seen.id.kind == Kind::User { "made by" } else { "owner made by" };
    let name = details.look.users.name(uid);
    Some((label, if name == uid.to_string() { format!("uid {uid}") } else { format!("{name} (uid {uid})") }))
}

fn parents(details: &Details<'_>) -> Option<String> {
    if !matches!(details.seen.id.kind, Kind::User | Kind::Pid) {
        return None;
    }
    let end = match details.above {
        Link::Hidden => "out of your sight",
        _ if details.parents.is_empty() => "none: it is the initial one",
        _ => "",
    };
    let known = details.parents.iter().map(ToString::to_string).chain([end.to_owned()]);
    Some(known.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" < "))
}

fn members(details: &Details<'_>) -> Table {
    let mut table = Table::new(vec![numbers("PID"), numbers("INSIDE"), words("USER"), words("COMMAND")]);
    for process in details.members() {
        let inside = details.pid_inside(process).map(|pid| pid.to_string()).unwrap_or_default();
        let user = details.look.users.name(process.uid);
        table.row(vec![process.pid.to_string(), inside, user, process.command.clone()]);
    }
    table
}

/// Each in a line.
pub fn short(all: &[Details<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(vec![
        words("TYPE"),
        numbers("ID"),
        numbers("PROCS"),
        numbers("HOLDERS"),
        words("NAME"),
        words("CONTENTS"),
    ]);
    for details in all {
        let name = details.look.name(details.seen.id).unwrap_or_default();
        table.row(vec![
            details.seen.id.kind.to_string(),
            details.seen.id.inode.to_string(),
            details.seen.members.len().to_string(),
            details.holders.found.len().to_string(),
            name,
            summary(details),
        ]);
    }
    table.write(out, terminal_width())
}
