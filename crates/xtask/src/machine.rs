//! What a test could leave behind on the machine: mounts, network links, cgroups, processes, files.

use crate::{Outcome, setup};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Set in the environment of everything that `cargo xtask test` starts.
pub(crate) const MARKER: &str = "IZBA_TEST_RUN";

/// The kernel takes network namespaces apart, and ends killed processes, a moment after the last program is reaped.
const SETTLE: Duration = Duration::from_secs(3);

/// How often each thing is there: equal mounts can be stacked.
type Count = BTreeMap<String, usize>;

/// The state of the machine at one moment.
pub(crate) struct Machine {
    /// The host name and the NIS domain name.
    names: Count,
    mounts: Count,
    links: Count,
    cgroups: Count,
    processes: Count,
    files: Count,
}

/// Makes this process the parent of every orphan among its descendants, so that none can hide from the comparison.
pub(crate) fn adopt_orphans() -> Outcome {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(|error| format!("prctl(PR_SET_CHILD_SUBREAPER): {error}"))
}

/// An orphan that has ended in a PID namespace keeps process 1 of that from ending until its parent, which we are now, has asked:
/// pid_namespaces(7). Programs of ours have been waited for already.
fn reap_orphans() {
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Machine {
            names: count(
                ["hostname", "domainname"].map(|name| read(&format!("/proc/sys/kernel/{name}")).trim().to_owned()),
            ),
            mounts: count(read("/proc/self/mountinfo").lines().map(mount)),
            links: count(names_in(Path::new("/sys/class/net"))),
            cgroups: count(tree(Path::new("/sys/fs/cgroup"), false)),
            processes: count(processes()),
            files: count(files()),
        }
    }

    /// Compares the machine with what it was, and gives it a moment to come to rest.
    pub(crate) fn compare_when_settled(&self) -> Outcome {
        let deadline = Instant::now() + SETTLE;
        loop {
            reap_orphans();
            let differences = self.differences(&Machine::look());
            if differences.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the tests changed the machine:\n{}", differences.join("\n")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What appeared; of mounts and links also what vanished. Cgroups and processes of others may end at any time.
    fn differences(&self, after: &Machine) -> Vec<String> {
        let rows = [
            ("name of the machine", &self.names, &after.names, true),
            ("mount", &self.mounts, &after.mounts, true),
            ("network link", &self.links, &after.links, true),
            ("cgroup", &self.cgroups, &after.cgroups, false),
            ("process", &self.processes, &after.processes, false),
            ("file", &self.files, &after.files, false),
        ];
        let mut differences = Vec::new();
        for (kind, before, after, both_ways) in rows {
            differences.extend(surplus(after, before).map(|(name, n)| format!("  left behind: {kind} {name}{n}")));
            if both_ways {
                differences.extend(surplus(before, after).map(|(name, n)| format!("  taken away: {kind} {name}{n}")));
            }
        }
        differences
    }
}

fn count(names: impl IntoIterator<Item = String>) -> Count {
    let mut count = Count::new();
    for name in names {
        *count.entry(name).or_default() += 1;
    }
    count
}

/// What `more` has and `less` has not, with a number where it is several.
fn surplus<'a>(more: &'a Count, less: &'a Count) -> impl Iterator<Item = (&'a str, String)> {
    more.iter().filter_map(|(name, n)| {
        let extra = n.saturating_sub(less.get(name).copied().unwrap_or(0));
        (extra > 0).then(|| (name.as_str(), if extra > 1 { format!(" ({extra} times)") } else { String::new() }))
    })
}

/// Mount point and file system type of a line of mountinfo, see proc_pid_mountinfo(5).
fn mount(line: &str) -> String {
    let point = line.split(' ').nth(4).unwrap_or(line);
    let kind = line.split(" - ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("?");
    format!("{point} ({kind})")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Every directory below `top`; with `files` everything else too.
fn tree(top: &Path, files: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::from(top)];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory || files {
                found.push(entry.path().display().to_string());
            }
            if is_directory {
                waiting.push(entry.path());
            }
        }
    }
    found
}

/// Processes that a test may have left: our orphans, izba's by name, those of the test users, those with the marker.
fn processes() -> Vec<String> {
    let pids = names_in(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
    let own = std::process::id();
    pids.filter(|pid| *pid != own).filter_map(suspect).collect()
}

fn suspect(pid: u32) -> Option<String> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let (name, state, parent) = stat_fields(&stat)?;
    let owner = fs::metadata(&directory).ok()?.uid();
    let marked = || {
        let environment = fs::read(directory.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(MARKER.as_bytes()))
    };
    let left = parent == std::process::id() || name.starts_with("izba") || test_users().contains(&owner) || marked();
    // A zombie is an orphan that ended and that we, as its new parent, do not reap.
    (left && state != 'Z').then(|| format!("{pid} {name}"))
}

/// The name may hold spaces and brackets, so the fields are counted from the last bracket, see proc_pid_stat(5).
fn stat_fields(stat: &str) -> Option<(&str, char, u32)> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let mut fields = tail.split(' ');
    Some((name, fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn test_users() -> Vec<u32> {
    let names = [setup::USER_WITH_RANGES, setup::USER_WITHOUT];
    names.into_iter().filter_map(setup::account).map(|account| account.uid).collect()
}

/// Files that izba or its tests may have left: by name, by owner, and whatever is in the test user's home directory.
fn files() -> Vec<String> {
    let mut found = Vec::new();
    let users = test_users();
    for directory in places() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let named = entry.file_name().to_string_lossy().contains("izba");
            if named || entry.metadata().is_ok_and(|metadata| users.contains(&metadata.uid())) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    if let Some(account) = setup::account(setup::USER_WITH_RANGES) {
        found.extend(tree(Path::new(&account.home), true));
    }
    found
}

fn places() -> Vec<PathBuf> {
    let shared = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", "/run/netns", "/run/user"];
    let lasting = ["/var/lib", "/var/cache"];
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let personal = [".cache", ".local/share", ".local/state"];
    let personal = home.iter().flat_map(|home| personal.map(|name| home.join(name)));
    shared.into_iter().chain(lasting).map(PathBuf::from).chain(personal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_hold_brackets_and_spaces() {
        assert_eq!(stat_fields("12 (a) (b) S 7 12 12"), Some(("a) (b", 'S', 7)));
        assert_eq!(stat_fields(""), None);
    }

    #[test]
    fn a_mount_is_its_point_and_type() {
        let line = "67 65 0:42 / /sys ro,nosuid shared:3 - sysfs sysfs ro";
        assert_eq!(mount(line), "/sys (sysfs)");
    }

    #[test]
    fn stacked_mounts_are_counted() {
        let before = count(["a".to_owned()]);
        let after = count(["a".to_owned(), "a".to_owned(), "b".to_owned()]);
        let extra: Vec<_> = surplus(&after, &before).map(|(name, _)| name).collect();
        assert_eq!(extra, ["a", "b"]);
        assert_eq!(surplus(&before, &after).count(), 0);
    }
}
