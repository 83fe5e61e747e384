//! Who is in a group, and signals for them.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::process::{Pid, PidfdFlags, getpid, pidfd_open};
use izba_sys::signal::pidfd_send_signal;

use super::directory::Directory;
use super::{Group, GroupError, Operation, walk};

/// How many processes are held at a time: descriptors are few.
const HELD: usize = 100;

impl Group {
    /// The processes of the group and its sub-groups, in whichever of its hierarchies, by their ids in the caller's PID namespace, in
    /// ascending order. Those that have no id there aren't listed.
    ///
    /// # Errors
    /// A file may not be read; or the group itself is threaded, and its processes belong to a group above. That the group has been removed is
    /// no error: it has no processes.
    pub fn processes(&self) -> Result<Vec<i32>, GroupError> {
        let mut found = BTreeSet::new();
        for top in self.directories() {
            walk::each(top, &mut |directory| {
                found.extend(members(directory, top)?);
                Ok(())
            })?;
        }
        Ok(found.into_iter().collect())
    }

    /// Sends a signal to each process of the group and its sub-groups, once; returns how many have got it. Who is forked meanwhile may not get
    /// it: freeze the group before where that matters, or [`kill`](Self::kill) it.
    ///
    /// No process outside is hit, though ids are used again: each is held by a pidfd before it is looked whether it still is in the group.
    ///
    /// # Errors
    /// As [`processes`](Self::processes); EPERM of pidfd_send_signal(2), EINVAL for a signal that doesn't exist, after all have been tried.
    pub fn signal(&self, signal: i32) -> Result<usize, GroupError> {
        self.signal_others(signal, &[])
    }

    /// The same, but these processes get none: an init, which would pass it on to one that gets it anyway.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn signal_others(&self, signal: i32, spared: &[i32]) -> Result<usize, GroupError> {
        let mut sending = Sending { signal, spared, reached: BTreeSet::new(), refused: Vec::new() };
        for top in self.directories() {
            walk::each(top, &mut |directory| sending.reach_members(directory, top))?;
        }
        sending.refused.into_iter().next().map_or(Ok(sending.reached.len()), Err)
    }

    /// Whoever stops or kills its own group gets no further. The root of a hierarchy, where that would be everybody, is such a group too.
    pub(super) fn check_caller_outside(&self) -> Result<(), GroupError> {
        let own = getpid().as_raw_nonzero().get();
        for top in self.directories() {
            walk::each(top, &mut |directory| {
                let inside = members(directory, top)?.contains(&own);
                if inside { Err(GroupError::CallerInside(directory.path.clone())) } else { Ok(()) }
            })?;
        }
        Ok(())
    }
}

/// The processes of one group. Those of a threaded sub-group are those of a domain above it, where they are listed: reading there says EOPNOTSUPP.
fn members(directory: &Directory, top: &Directory) -> Result<Vec<i32>, GroupError> {
    match directory.read("cgroup.procs") {
        Ok(text) => Ok(listed(&text).collect()),
        Err(error) if error.errno() == Some(Errno::OPNOTSUPP) && directory.path != top.path => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// cgroup v2 lists a process that has no id in the reader's PID namespace as 0.
fn listed(text: &str) -> impl Iterator<Item = i32> {
    text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0)
}

/// A signal on its way to many.
struct Sending<'a> {
    signal: i32,
    spared: &'a [i32],
    reached: BTreeSet<i32>,
    refused: Vec<GroupError>,
}

impl Sending<'_> {
    fn reach_members(&mut self, directory: &Directory, top: &Directory) -> Result<(), GroupError> {
        let mut unreached = members(directory, top)?;
        unreached.retain(|pid| !self.reached.contains(pid) && !self.spared.contains(pid));
        for some in unreached.chunks(HELD) {
            let held = hold(some).map_err(|errno| GroupError::call(Operation::Read, &directory.path, errno))?;
            let still = members(directory, top)?;
            for (pid, pidfd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
                self.reach(*pid, pidfd, directory);
            }
        }
        Ok(())
    }

    fn reach(&mut self, process: i32, pidfd: &OwnedFd, directory: &Directory) {
        match pidfd_send_signal(pidfd.as_fd(), self.signal) {
            Ok(()) => drop(self.reached.insert(process)),
            Err(Errno::SRCH) => {}
            Err(errno) => {
                let operation = Operation::Signal { signal: self.signal, process };
                self.refused.push(GroupError::call(operation, &directory.path, errno));
            }
        }
    }
}

/// Holds those that are still there.
fn hold(processes: &[i32]) -> Result<Vec<(i32, OwnedFd)>, Errno> {
    let mut held = Vec::new();
    for &process in processes {
        match Pid::from_raw(process).map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            Some(Ok(pidfd)) => held.push((process, pidfd)),
            Some(Err(Errno::SRCH)) | None => {}
            Some(Err(errno)) => return Err(errno),
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_other_namespaces_are_left_out() {
        assert_eq!(listed("12\n0\n7\n").collect::<Vec<_>>(), [12, 7]);
        assert_eq!(listed("").count(), 0);
    }
}
