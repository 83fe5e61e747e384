//! The root of a cgroup namespace: cgroup_namespaces(7).
//!
//! No file tells it. But the cgroup of a process has one path for who is in the namespace and another for the caller; what the longer
//! has in front of the shorter is the root.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;

use super::{ENTERING, Unreadable, Way};
use crate::cgroup::memberships;
use crate::survey::Id;
use crate::visit::{Errand, Visitors, is_own};

/// The root in each hierarchy, as the caller sees it: its controllers, empty for cgroup v2, and the path.
pub(super) fn read(id: Id, door: Way<'_>, members: &[i32]) -> Result<Vec<(String, String)>, Unreadable> {
    if is_own(id) {
        let text = std::fs::read_to_string("/proc/self/cgroup").map_err(|_| NOWHERE)?;
        return Ok(memberships(&text).map(|(hierarchy, _)| (hierarchy.to_owned(), "/".to_owned())).collect());
    }
    let namespace = door.open(id)?;
    let mut visitors = Visitors::default();
    for process in members.iter().map(i32::to_string).chain(["self".to_owned()]) {
        // One open file is of one process, whoever gets its id meanwhile.
        let Ok(mut file) = File::open(format!("/proc/{process}/cgroup")) else { continue };
        let mut outside = Vec::new();
        if file.read_to_end(&mut outside).and_then(|_| file.rewind()).is_err() {
            continue;
        }
        let visit = visitors.ask(Errand::Read, id, namespace.fd(), Some(file.as_fd()));
        let (_, found) = visit.map_err(Unreadable::refused(ENTERING))?;
        if let Some(roots) = roots(&String::from_utf8_lossy(&outside), &String::from_utf8_lossy(&found.bytes)) {
            return Ok(roots);
        }
    }
    Err(NOWHERE)
}

const NOWHERE: Unreadable = Unreadable::Unknown("no process that can be seen is below its root");

/// The roots, from a process's cgroups as they are seen from outside and from inside. `None` where it isn't below all of them.
fn roots(outside: &str, inside: &str) -> Option<Vec<(String, String)>> {
    memberships(outside)
        .map(|(hierarchy, path)| {
            let (_, within) = memberships(inside).find(|(other, _)| *other == hierarchy)?;
            let root = path.strip_suffix(if within == "/" { "" } else { within })?;
            // Another process may be below a group of the same name somewhere else: "/../group".
            let known = !within.starts_with("/..") && !root.starts_with("/..");
            known.then(|| (hierarchy.to_owned(), if root.is_empty() { "/".to_owned() } else { root.to_owned() }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_what_is_in_front() {
        let pair = |hierarchy: &str, path: &str| (hierarchy.to_owned(), path.to_owned());
        let outside = "3:cpu,cpuacct:/a/b\n1:name=systemd:/x\n0::/\n";
        let inside = "3:cpu,cpuacct:/b\n1:name=systemd:/\n0::/\n";
        let expected = vec![pair("cpu,cpuacct", "/a"), pair("name=systemd", "/x"), pair("", "/")];
        assert_eq!(roots(outside, inside), Some(expected));
    }

    #[test]
    fn who_is_beside_the_root_tells_nothing() {
        assert_eq!(roots("0::/c\n", "0::/../c\n"), None);
        assert_eq!(roots("0::/a\n", "0::/b\n"), None);
        assert_eq!(roots("0::/../c\n", "0::/c\n"), None);
    }
}
