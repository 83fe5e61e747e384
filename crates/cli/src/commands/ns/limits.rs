//! `izba ns limits`.

use std::io::{self, Write};

use izba_sandbox::limits::{Level, Limit, levels};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Detail, Id, Link};
use izba_sys::credential::geteuid;
use serde_json::{Value, json};

use super::look::{Look, search};
use super::subject::Subject;
use crate::args::TableFormat;
use crate::args::ns::limits::LimitsArgs;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::{Table, numbers, terminal_width, words};

pub fn limits(args: &LimitsArgs) -> Result<u8> {
    // What nothing but a descriptor or a mount elsewhere keeps is counted too.
    let (mut look, _) = search(Detail::Leaders)?;
    let (user, uid) = match &args.target {
        None => (own(&look)?, Some(geteuid().as_raw())),
        Some(target) => {
            let subject = Subject::find(&mut look, target)?;
            (user_namespace(&look, &subject)?, None)
        }
    };
    let levels = levels(&look.survey, user, uid);
    output::print(|out| match args.format {
        TableFormat::Json => writeln!(out, "{:#}", to_json(&levels)),
        TableFormat::Table => tables(&look, &levels, out),
    })?;
    if args.format == TableFormat::Table {
        look.say_unreadable();
    }
    Ok(0)
}

fn own(look: &Look) -> Result<Id> {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    let own = look.survey.processes.get(&pid).and_then(|process| process.namespace(Kind::User));
    own.ok_or_else(|| Failure::new("your own user namespace can't be read").remedy("is /proc mounted?"))
}

/// The user namespace that is meant, or that owns what is meant.
fn user_namespace(look: &Look, subject: &Subject) -> Result<Id> {
    if let Ok(user) = subject.of_kind(Kind::User) {
        return Ok(user);
    }
    let owners = subject.namespaces.iter().filter_map(|id| look.survey.namespaces.get(id)?.owner.id());
    owners.into_iter().next().ok_or_else(|| {
        Failure::new("the user namespace that owns TARGET can't be seen")
            .because("it lies outside your own: ioctl_nsfs(2)")
    })
}

fn tables(look: &Look, levels: &[Level], out: &mut dyn Write) -> io::Result<()> {
    for level in levels {
        let charged = level.charged.map_or_else(|| "who can't be told".to_owned(), |uid| user(look, uid));
        writeln!(out, "{}, charged to {charged}", level.user)?;
        match &level.limits {
            Ok(limits) => table(limits).write(out, terminal_width())?,
            Err(unreadable) => writeln!(out, "its limits can't be read: {unreadable}")?,
        }
        writeln!(out)?;
    }
    let hidden = levels.last().is_some_and(|level| level.above == Link::Hidden);
    if hidden {
        writeln!(out, "The user namespaces around it have limits too, which can't be seen from here.")?;
    }
    let refusals = refusals(levels);
    let all_seen = !hidden && look.survey.unreadable.is_empty();
    if refusals.is_empty() {
        writeln!(out, "Nothing is refused{}", if all_seen { "." } else { ", as far as can be seen." })?;
    }
    refusals.iter().try_for_each(|refusal| writeln!(out, "{}", refusal.sentence()))
}

fn user(look: &Look, uid: u32) -> String {
    let name = look.users.name(uid);
    if name == uid.to_string() { format!("uid {uid}") } else { format!("{name} (uid {uid})") }
}

fn table(limits: &[Limit; 8]) -> Table {
    let mut table = Table::new(vec![words("TYPE"), numbers("LIMIT"), numbers("IN USE"), numbers("LEFT")]);
    for limit in limits {
        let plus = if limit.perhaps > 0 { format!("+{}", limit.perhaps) } else { String::new() };
        let left = limit.most.saturating_sub(limit.used + limit.perhaps);
        let cells = [limit.kind.to_string(), limit.most.to_string(), format!("{}{plus}", limit.used), left.to_string()];
        table.row(cells.into());
    }
    table
}

/// What would be refused now, and by which limit.
struct Refusal {
    limit: Limit,
    user: Id,
    /// Or only if those that nobody is known to have made are the same user's.
    certain: bool,
}

/// The lowest level that refuses: the kernel charges from below, and stops there.
fn refusals(levels: &[Level]) -> Vec<Refusal> {
    let refusal = |kind: Kind| {
        let at = |level: &Level| {
            let limit = level.limits.as_ref().ok()?[kind as usize];
            let refuses = limit.refuses();
            (refuses != Some(false)).then_some(Refusal { limit, user: level.user, certain: refuses.is_some() })
        };
        let all: Vec<Refusal> = levels.iter().filter_map(at).collect();
        let certain = all.iter().position(|refusal| refusal.certain).unwrap_or(0);
        all.into_iter().nth(certain)
    };
    Kind::ALL.into_iter().filter_map(refusal).collect()
}

impl Refusal {
    fn sysctl(&self) -> String {
        format!("user.max_{}_namespaces", self.limit.kind.proc_name())
    }

    fn sentence(&self) -> String {
        let (kind, most, sysctl, user) = (self.limit.kind, self.limit.most, self.sysctl(), self.user);
        let may = if self.certain { "is" } else { "may be" };
        let used = self.limit.used + self.limit.perhaps;
        let reached = if most == 0 { "is 0".to_owned() } else { format!("is {most}, and {used} are in use") };
        format!("A new {kind} namespace {may} refused with ENOSPC: {sysctl} of {user} {reached}.")
    }
}

fn to_json(levels: &[Level]) -> Value {
    let refused: Vec<Value> = refusals(levels)
        .iter()
        .map(|refusal| {
            json!({
                "type": refusal.limit.kind.proc_name(),
                "by": refusal.sysctl(),
                "userNamespace": refusal.user.inode,
                "certain": refusal.certain,
            })
        })
        .collect();
    let hidden = levels.last().is_some_and(|level| level.above == Link::Hidden);
    json!({ "levels": levels.iter().map(level_json).collect::<Vec<_>>(), "moreAbove": hidden, "refused": refused })
}

fn level_json(level: &Level) -> Value {
    let limits: Option<Vec<Value>> = level.limits.as_ref().ok().map(|limits| limits.iter().map(limit_json).collect());
    json!({
        "userNamespace": level.user.inode,
        "charged": level.charged,
        "limits": limits,
        "unreadable": level.limits.as_ref().err().map(ToString::to_string),
    })
}

fn limit_json(limit: &Limit) -> Value {
    json!({
        "type": limit.kind.proc_name(),
        "most": limit.most,
        "used": limit.used,
        "usedPerhaps": limit.perhaps,
    })
}
