//! What keeps a namespace alive, for people.

use izba_sandbox::survey::Id;
use izba_sandbox::survey::holder::{Holder, Mounted};

use super::details::Details;
use crate::table::printable;

/// More members than this are listed above only.
const FEW: usize = 8;

/// One line for each holder, and what couldn't be looked into.
pub fn lines(details: &Details<'_>) -> Vec<String> {
    let own = own_mount_namespace(details);
    let many = details.seen.members.len() > FEW;
    let told = details.holders.found.iter().filter(|holder| !many || !matches!(holder, Holder::Member(_)));
    let mut lines = Vec::new();
    if details.seen.id.is_initial() {
        lines.push("the kernel: it is there as long as the machine runs".to_owned());
    }
    if many {
        lines.push(format!("the {} processes above", details.seen.members.len()));
    }
    lines.extend(told.map(|holder| line(details, holder, own)));
    if !details.is_explained() {
        lines.push(NOT_VISIBLE.to_owned());
    }
    lines.extend(unread(details));
    lines
}

/// What no file of /proc leads to.
const NOT_VISIBLE: &str = "held by something not visible: a descriptor on its way through a socket, \
                           or something of the kernel's own that refers to it";

/// hidepid of proc(5).
const HIDDEN: &str = "not looked into: processes of others, which /proc hides (hidepid)";

fn own_mount_namespace(details: &Details<'_>) -> Option<Id> {
    let pid = i32::try_from(std::process::id()).ok()?;
    details.look.survey.processes.get(&pid)?.namespace(izba_sandbox::namespace::Kind::Mount)
}

fn line(details: &Details<'_>, holder: &Holder, own: Option<Id>) -> String {
    let process = |pid: i32| {
        let command = details.look.survey.processes.get(&pid).map(|process| printable(&process.command));
        command.map_or_else(|| pid.to_string(), |command| format!("{pid} ({})", shortened(&command)))
    };
    let place = |mounted: &Mounted| {
        let point = printable(&mounted.point.to_string_lossy());
        if Some(mounted.namespace) == own {
            return point;
        }
        format!("{point} in {}, where process {} is", mounted.namespace, process(mounted.pid))
    };
    match holder {
        Holder::Member(pid) => format!("process {}", process(*pid)),
        Holder::Thread { pid, tid } => format!("thread {tid} of process {}", process(*pid)),
        Holder::ForChildren(pid) => format!("process {}, whose next children will be in it", process(*pid)),
        Holder::Descriptor { pid, fd } => format!("descriptor {fd} of process {}", process(*pid)),
        Holder::BindMount(mounted) => format!("bind mount {}", place(mounted)),
        Holder::Child(id) => format!("{id}, its child"),
        Holder::Owned(id) => format!("{id}, which it owns"),
        Holder::Proc(mounted) => format!("procfs of it at {}", place(mounted)),
        Holder::Mqueue(mounted) => format!("message queues of it at {}", place(mounted)),
    }
}

/// A command line of any length stays on its line.
fn shortened(command: &str) -> String {
    const MOST: usize = 60;
    if command.chars().count() <= MOST {
        return command.to_owned();
    }
    command.chars().take(MOST - 3).chain("...".chars()).collect()
}

/// What may hold it too, but may not be read.
fn unread(details: &Details<'_>) -> Vec<String> {
    let unreadable = details.holders.unreadable;
    let counts = [
        (unreadable.processes, "process", "processes"),
        (unreadable.mount_tables, "mount table", "mount tables"),
        (unreadable.mounts, "mount of procfs or mqueue", "mounts of procfs or mqueue"),
    ];
    let some = counts.into_iter().filter(|(count, ..)| *count > 0);
    let told =
        some.map(|(count, one, many)| format!("not looked into: {count} {}", if count == 1 { one } else { many }));
    let hidden = unreadable.hidden_processes.then(|| HIDDEN.to_owned());
    told.chain(hidden).collect()
}
