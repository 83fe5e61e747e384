//! What is in a namespace, for people: a line, or a table.

use izba_sandbox::contents::{Contents, Interface, IpcContents, MountRow, UserContents};
use izba_sandbox::idmap::IdRange;

use super::details::Details;
use crate::table::{Table, numbers, printable, words};

/// In one line.
pub fn summary(details: &Details<'_>) -> String {
    let Ok(contents) = &details.contents else { return "can't be read".to_owned() };
    match contents {
        Contents::User(user) if user.uids.is_empty() => "no ids are mapped".to_owned(),
        Contents::User(user) => format!("uids {}", ranges(&user.uids)),
        Contents::Mount(mounts) => counted(mounts.len(), "mount"),
        Contents::Net(interfaces) => {
            interfaces.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ")
        }
        Contents::Ipc(objects) => counted(count(objects), "object"),
        Contents::Uts { hostname, .. } => hostname.clone(),
        Contents::Time(offsets) => format!("monotonic {:+} s, boottime {:+} s", offsets.monotonic, offsets.boottime),
        Contents::Cgroup(roots) => cgroup_summary(roots),
        Contents::Pid => counted(details.seen.members.len(), "process"),
    }
}

/// Where all hierarchies but a few have the same root, that one.
fn cgroup_summary(roots: &[(String, String)]) -> String {
    let others: Vec<String> = roots
        .iter()
        .filter(|(_, path)| path != "/")
        .map(|(hierarchy, path)| format!("{path} ({})", name(hierarchy)))
        .collect();
    if others.is_empty() { "root /".to_owned() } else { format!("root {}", others.join(", ")) }
}

fn counted(count: usize, what: &str) -> String {
    let plural = match (count, what.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {what}{plural}")
}

fn count(objects: &IpcContents) -> usize {
    let posix = objects.posix_queues.as_ref().map_or(0, Vec::len);
    objects.shared_memory.len() + objects.semaphores.len() + objects.queues.len() + posix
}

/// As lines of "label, text" where it isn't a table.
pub fn lines(contents: &Contents) -> Vec<(&'static str, String)> {
    match contents {
        Contents::User(user) => user_lines(user),
        Contents::Ipc(objects) => ipc_lines(objects),
        Contents::Uts { hostname, domainname } => {
            vec![("host name", printable(hostname)), ("NIS domain", printable(domainname))]
        }
        Contents::Time(offsets) => {
            vec![("monotonic", format!("{:+} s", offsets.monotonic)), ("boottime", format!("{:+} s", offsets.boottime))]
        }
        Contents::Mount(_) | Contents::Net(_) | Contents::Cgroup(_) | Contents::Pid => Vec::new(),
    }
}

fn user_lines(user: &UserContents) -> Vec<(&'static str, String)> {
    let setgroups = if user.setgroups { "allowed" } else { "denied" };
    let map = |map: &[IdRange]| if map.is_empty() { "none is mapped".to_owned() } else { ranges(map) };
    vec![("uids", map(&user.uids)), ("gids", map(&user.gids)), ("setgroups", setgroups.to_owned())]
}

/// "0-9 are 1000-1009 outside".
fn ranges(ranges: &[IdRange]) -> String {
    let run = |first: u32, count: u32| {
        if count == 1 { first.to_string() } else { format!("{first}-{}", u64::from(first) + u64::from(count) - 1) }
    };
    let one =
        |range: &IdRange| format!("{} = {} outside", run(range.inside, range.count), run(range.outside, range.count));
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn ipc_lines(objects: &IpcContents) -> Vec<(&'static str, String)> {
    let list = |objects: &[(i32, u64)], what: &str| {
        let one = |(id, number): &(i32, u64)| format!("id {id} ({number} {what})");
        if objects.is_empty() { "none".to_owned() } else { objects.iter().map(one).collect::<Vec<_>>().join(", ") }
    };
    let posix = match &objects.posix_queues {
        None => "can't be seen".to_owned(),
        Some(names) if names.is_empty() => "none".to_owned(),
        Some(names) => names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", "),
    };
    vec![
        ("shared memory", list(&objects.shared_memory, "bytes")),
        ("semaphores", list(&objects.semaphores, "in the set")),
        ("queues", list(&objects.queues, "bytes waiting")),
        ("POSIX queues", posix),
    ]
}

/// As a table with a heading, where it is one.
pub fn table(details: &Details<'_>) -> Option<(&'static str, Table)> {
    match details.contents.as_ref().ok()? {
        Contents::Mount(rows) => Some(("mounts", mounts(rows))),
        Contents::Net(list) => Some(("interfaces", interfaces(details, list))),
        Contents::Cgroup(roots) => {
            let mut table = Table::new(vec![words("HIERARCHY"), words("ROOT")]);
            roots.iter().for_each(|(hierarchy, path)| table.row(vec![name(hierarchy).to_owned(), path.clone()]));
            Some(("cgroups", table))
        }
        _ => None,
    }
}

fn name(hierarchy: &str) -> &str {
    if hierarchy.is_empty() { "v2" } else { hierarchy }
}

fn mounts(rows: &[MountRow]) -> Table {
    let titles = ["MOUNTED AT", "TYPE", "SOURCE", "PROPAGATION", "OPTIONS"];
    let mut table = Table::new(titles.map(words).into());
    for row in rows {
        let propagation = if row.propagation.is_empty() { "private".to_owned() } else { row.propagation.join(" ") };
        let point = row.point.to_string_lossy().into_owned();
        table.row(vec![point, row.fstype.clone(), row.source.clone(), propagation, row.options.clone()]);
    }
    table
}

fn interfaces(details: &Details<'_>, list: &[Interface]) -> Table {
    let mut titles = vec![numbers("INDEX")];
    titles.extend(["NAME", "KIND", "STATE", "IN", "PEER", "HARDWARE", "ADDRESSES"].map(words));
    let mut table = Table::new(titles);
    for interface in list {
        let addresses = interface.addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
        table.row(vec![
            interface.index.to_string(),
            interface.name.clone(),
            interface.kind.clone().unwrap_or_default(),
            if interface.up { "up" } else { "down" }.to_owned(),
            interface.master.map(|index| name_of(list, index)).unwrap_or_default(),
            peer(details, list, interface),
            interface.address.clone().unwrap_or_default(),
            addresses.collect::<Vec<_>>().join(" "),
        ]);
    }
    table
}

fn name_of(list: &[Interface], index: u32) -> String {
    let found = list.iter().find(|interface| interface.index == index);
    found.map_or_else(|| index.to_string(), |interface| interface.name.clone())
}

fn peer(details: &Details<'_>, list: &[Interface], interface: &Interface) -> String {
    let Some(peer) = interface.peer else { return String::new() };
    match peer.namespace {
        None => format!("{} elsewhere", peer.index),
        Some(id) if id == details.seen.id => name_of(list, peer.index),
        Some(id) => match details.look.name(id) {
            Some(name) => format!("{} in {name}", peer.index),
            None => format!("{} in {id}", peer.index),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_runs_of_ids() {
        let map = [IdRange::one(0, 1000), IdRange { inside: 1, outside: 100_000, count: 65_536 }];
        assert_eq!(ranges(&map), "0 = 1000 outside, 1-65536 = 100000-165535 outside");
        let user = UserContents { uids: map.into(), gids: Vec::new(), setgroups: false };
        let lines = lines(&Contents::User(user));
        assert_eq!((lines[1].1.as_str(), lines[2].1.as_str()), ("none is mapped", "denied"));
    }

    #[test]
    fn counts_agree_with_their_nouns() {
        let counts = [counted(1, "process"), counted(2, "process"), counted(0, "mount")];
        assert_eq!(counts, ["1 process", "2 processes", "0 mounts"]);
    }

    #[test]
    fn only_roots_that_differ_are_told_in_short() {
        let root = |hierarchy: &str, path: &str| (hierarchy.to_owned(), path.to_owned());
        assert_eq!(cgroup_summary(&[root("cpu", "/"), root("", "/")]), "root /");
        assert_eq!(cgroup_summary(&[root("cpu", "/a"), root("", "/b")]), "root /a (cpu), /b (v2)");
    }

    #[test]
    fn names_of_others_do_not_steer_the_terminal() {
        let names = Contents::Uts { hostname: "a\u{1b}[2J".to_owned(), domainname: String::new() };
        assert_eq!(lines(&names)[0].1, "a?[2J");
    }
}
