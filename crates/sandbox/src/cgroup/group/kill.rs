//! Ending every process of a group.

use std::time::Duration;

use izba_sys::signal::SIGKILL;

use super::deadline::Deadline;
use super::directory::if_there;
use super::events::Events;
use super::{Group, GroupError};
use crate::cgroup::Controller;

const KILL: &str = "cgroup.kill";

/// How long a v1 group may take to stop before its processes are killed as they are.
const STILL: Duration = Duration::from_millis(100);

impl Group {
    /// Kills every process of the group and its sub-groups, frozen ones too, and waits until all have ended.
    ///
    /// The kernel does it at once by cgroup.kill (cgroup v2). On v1 the group is frozen, everybody gets SIGKILL, and it is thawed, in rounds
    /// until nobody is left; without a freezer nobody may fork from then on (pids.max), where that can be limited.
    ///
    /// A group that has been killed must not be started into again: in Linux 6.1 and 6.12 each process that clone3(2) makes in it by
    /// CLONE_INTO_CGROUP is killed too, and on v1 its pids.max may be 0. Make a new one.
    ///
    /// # Errors
    /// [`NotEmpty`](GroupError::NotEmpty) where there still are processes after this time; [`CallerInside`](GroupError::CallerInside); or the caller
    /// may not signal them.
    pub fn kill(&self, patience: Duration) -> Result<(), GroupError> {
        let mut deadline = Deadline::after(patience);
        if self.is_empty()? {
            return Ok(());
        }
        self.check_caller_outside()?;
        self.kill_by_kernel()?;
        self.thaw_to_end()?;
        self.wait_for_events(deadline)?;
        while !self.is_empty()? {
            self.kill_each(deadline)?;
            if !deadline.pause() {
                let path = self.directories().map(|directory| directory.path.clone()).next().unwrap_or_default();
                return Err(GroupError::NotEmpty { path, processes: self.processes()? });
            }
        }
        Ok(())
    }

    /// Only the root of the hierarchy lacks the file, and v1.
    fn kill_by_kernel(&self) -> Result<(), GroupError> {
        let Some(directory) = self.unified.as_ref().filter(|directory| directory.has(KILL)) else { return Ok(()) };
        if_there(directory.write(KILL, "1")).map(drop)
    }

    /// One round. Whatever it comes to, the group is thawed at its end.
    fn kill_each(&self, deadline: Deadline) -> Result<(), GroupError> {
        self.forbid_forks(deadline)?;
        let signalled = self.signal(SIGKILL);
        self.thaw_to_end()?;
        signalled.map(drop)
    }

    /// As far as it goes: who is forked in spite of it is killed in the next round.
    fn forbid_forks(&self, deadline: Deadline) -> Result<(), GroupError> {
        if let Some(freezer) = self.v1(Controller::Freezer) {
            return if_there(super::freeze::freeze_v1(freezer, Deadline::after(STILL.min(deadline.left())))).map(drop);
        }
        self.v1(Controller::Pids).map_or(Ok(()), |pids| if_there(pids.write("pids.max", "0")).map(drop))
    }

    /// Waits for the end of those that the kernel has killed.
    fn wait_for_events(&self, deadline: Deadline) -> Result<(), GroupError> {
        let Some(directory) = &self.unified else { return Ok(()) };
        let Some(events) = if_there(Events::open(directory))? else { return Ok(()) };
        while if_there(events.says("populated"))? == Some(true) && !deadline.left().is_zero() {
            events.wait(deadline.left())?;
        }
        Ok(())
    }

    /// Has every process ended, in each hierarchy? Those whose ids aren't the caller's to see count too, as far as the kernel tells.
    fn is_empty(&self) -> Result<bool, GroupError> {
        if let Some(directory) = &self.unified {
            let populated = if_there(Events::open(directory).and_then(|events| events.says("populated")))?;
            if populated == Some(true) {
                return Ok(false);
            }
        }
        Ok(self.processes()?.is_empty())
    }
}
