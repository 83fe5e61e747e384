//! The groups that processes are in: cgroups(7), proc_pid_cgroup(5).

use std::io;
use std::path::{Component, Path, PathBuf};

use super::is_frozen;
use crate::mountinfo::{self, MountLine, unescape};

/// Groups that exist and are joined, as directories. Those that the caller is in already are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// In the cgroup v2 hierarchy: the first process is made there, clone3(2), CLONE_INTO_CGROUP.
    pub unified: Option<PathBuf>,
    /// In v1 hierarchies: the first process writes itself into their `tasks`.
    pub v1: Vec<PathBuf>,
}

impl Membership {
    /// Those of a process.
    ///
    /// # Errors
    /// The process has ended, or a group of it lies outside of what the caller has mounted.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// use izba_sandbox::cgroup::Membership;
    /// if let Some(dir) = Membership::of(1234)?.unified {
    ///     println!("it is in {}, and we are not", dir.display());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn of(pid: i32) -> io::Result<Self> {
        let theirs = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let ours = std::fs::read_to_string("/proc/self/cgroup")?;
        Self::of_texts(&theirs, &ours, &mountinfo::read(Path::new("/proc/self/mountinfo"))?)
    }

    /// Of /proc/PID/cgroup of the process, the same of the caller, and the caller's /proc/PID/mountinfo.
    ///
    /// # Errors
    /// A group of the process lies outside of what is mounted.
    pub fn of_texts(theirs: &str, ours: &str, mountinfo: &str) -> io::Result<Self> {
        let mut membership = Self::default();
        for (hierarchy, path) in memberships(theirs) {
            if memberships(ours).any(|ours| ours == (hierarchy, path)) {
                continue;
            }
            let not_mounted = || io::Error::other(format!("the cgroup {hierarchy}:{path} isn't mounted here"));
            let dir = place(mountinfo, hierarchy, path).ok_or_else(not_mounted)?;
            match hierarchy {
                "" => membership.unified = Some(dir),
                _ => membership.v1.push(dir),
            }
        }
        Ok(membership)
    }
}

/// A group of a process that keeps it from running; what the caller is in isn't frozen.
pub(crate) fn frozen_group_of(pid: i32) -> Option<PathBuf> {
    let Membership { unified, v1 } = Membership::of(pid).ok()?;
    let state = |dir: &PathBuf| std::fs::read_to_string(dir.join("freezer.state")).unwrap_or_default();
    let is_frozen_v1 = |dir: &PathBuf| ["FROZEN", "FREEZING"].contains(&state(dir).trim());
    unified.filter(|dir| is_frozen(dir)).or_else(|| v1.into_iter().find(is_frozen_v1))
}

/// Hierarchies, empty for cgroup v2, and the path in each, from lines such as "3:cpu,cpuacct:/group", "1:name=systemd:/group", "0::/group".
pub(crate) fn memberships(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    })
}

/// The directory of a group, if what is mounted shows it.
fn place(mountinfo: &str, hierarchy: &str, path: &str) -> Option<PathBuf> {
    let lines = mountinfo.lines().filter_map(MountLine::parse);
    let mut mounted = lines.filter(|line| is_of(line, hierarchy));
    mounted.find_map(|line| {
        let below = Path::new(path).strip_prefix(unescape(line.root)).ok()?;
        // Outside of the caller's cgroup namespace, where this mount doesn't lead: cgroup_namespaces(7).
        if below.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        Some(unescape(line.point).join(below))
    })
}

/// A v1 mount has its controllers, or its name, among the options of the file system.
fn is_of(line: &MountLine<'_>, hierarchy: &str) -> bool {
    if hierarchy.is_empty() {
        return line.fstype == "cgroup2";
    }
    let mut wanted = hierarchy.split(',');
    line.fstype == "cgroup" && wanted.all(|wanted| line.super_options.split(',').any(|option| option == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /docker/7 /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn groups_are_found_where_they_are_mounted() {
        let found = |hierarchy, path| place(MOUNTS, hierarchy, path).map(|dir| dir.display().to_string());
        assert_eq!(found("cpu,cpuacct", "/a").as_deref(), Some("/sys/fs/cgroup/cpu,cpuacct/a"));
        assert_eq!(found("name=systemd", "/").as_deref(), Some("/sys/fs/cgroup/systemd/"));
        assert_eq!(found("", "/x.slice/y").as_deref(), Some("/sys/fs/cgroup/unified/x.slice/y"));
        assert_eq!(found("pids", "/docker/7/b").as_deref(), Some("/sys/fs/cgroup/pids/b"));
        assert_eq!(found("pids", "/other"), None);
        assert_eq!(found("memory", "/"), None);
        assert_eq!(found("cpu,cpuacct", "/../../host"), None);
        assert_eq!(found("", "/a/../.."), None);
    }
}
