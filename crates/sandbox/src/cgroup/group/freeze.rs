//! Stopping a group and letting it go on: cgroup.freeze of cgroup v2, and freezer.state of v1 (cgroup-v1/freezer-subsystem.rst).

use std::time::Duration;

use super::deadline::Deadline;
use super::directory::{Directory, if_there};
use super::events::Events;
use super::{Group, GroupError, walk};
use crate::cgroup::Controller;

/// Does a group run?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing stops its processes.
    Running,
    /// It, or a group above, is to be frozen, and some of its processes still run.
    Freezing,
    /// None of its processes runs.
    Frozen,
}

const V2: &str = "cgroup.freeze";
const V1: &str = "freezer.state";

/// After so many looks in vain a v1 group is thawed and frozen again.
const LOOKS: u32 = 10;

impl Group {
    /// Stops every process of the group and its sub-groups, and waits until all have stopped. New ones are stopped from their start.
    ///
    /// By cgroup v2 where the group has a directory there, else by the v1 freezer.
    ///
    /// # Errors
    /// [`NoFreezer`](GroupError::NoFreezer); [`NotFrozen`](GroupError::NotFrozen) where some still run after this time, and then the group
    /// has been thawed; [`CallerInside`](GroupError::CallerInside); or a file may not be written.
    pub fn freeze(&self, patience: Duration) -> Result<(), GroupError> {
        self.check_caller_outside()?;
        let deadline = Deadline::after(patience);
        let (directory, frozen) = if let Some(directory) = self.freezable_v2() {
            (directory, freeze_v2(directory, deadline)?)
        } else {
            let directory = self.v1(Controller::Freezer).ok_or(GroupError::NoFreezer)?;
            (directory, freeze_v1(directory, deadline)?)
        };
        if frozen {
            return Ok(());
        }
        self.thaw()?;
        Err(GroupError::NotFrozen(directory.path.clone()))
    }

    /// Lets the group's processes go on, whoever has frozen it and in whichever hierarchy. Sub-groups that were frozen by themselves, and a
    /// group that is below a frozen one, stay frozen.
    ///
    /// # Errors
    /// [`NoFreezer`](GroupError::NoFreezer), or a file may not be written.
    pub fn thaw(&self) -> Result<(), GroupError> {
        let (v2, v1) = (self.freezable_v2(), self.v1(Controller::Freezer));
        if v2.is_none() && v1.is_none() {
            return Err(GroupError::NoFreezer);
        }
        v2.map_or(Ok(()), |directory| directory.write(V2, "0"))?;
        v1.map_or(Ok(()), |directory| directory.write(V1, "THAWED"))
    }

    /// Does the group run? It is frozen where any of its hierarchies has it frozen. Where nothing can freeze it, it runs.
    ///
    /// # Errors
    /// A file may not be read, or the group has been removed.
    pub fn state(&self) -> Result<State, GroupError> {
        let v2 = self.freezable_v2().map_or(Ok(State::Running), state_v2)?;
        let v1 = self.v1(Controller::Freezer).map_or(Ok(State::Running), state_v1)?;
        Ok(match (v2, v1) {
            (State::Running, other) | (other, State::Running) => other,
            (State::Frozen, _) | (_, State::Frozen) => State::Frozen,
            (State::Freezing, State::Freezing) => State::Freezing,
        })
    }

    /// The root of a hierarchy can't be frozen, and has no such file.
    fn freezable_v2(&self) -> Option<&Directory> {
        self.unified.as_ref().filter(|directory| directory.has(V2))
    }

    /// Thaws the v1 group with each of its sub-groups, so that what was killed can end. Frozen processes of cgroup v2 end as they are.
    pub(super) fn thaw_to_end(&self) -> Result<(), GroupError> {
        let Some(top) = self.v1(Controller::Freezer) else { return Ok(()) };
        walk::each(top, &mut |directory| if_there(directory.write(V1, "THAWED")).map(drop))
    }
}

fn freeze_v2(directory: &Directory, deadline: Deadline) -> Result<bool, GroupError> {
    let events = Events::open(directory)?;
    directory.write(V2, "1")?;
    // Nobody would thaw it after an error.
    wait_frozen(&events, deadline).inspect_err(|_| drop(directory.write(V2, "0")))
}

fn wait_frozen(events: &Events, deadline: Deadline) -> Result<bool, GroupError> {
    while !events.says("frozen")? {
        if deadline.left().is_zero() {
            return Ok(false);
        }
        events.wait(deadline.left())?;
    }
    Ok(true)
}

/// Who is forked, or moved here, while the group is being frozen can keep it from ever getting there: writing FROZEN again goes through all
/// processes once more, and where that doesn't help they are let go on for a moment.
pub(super) fn freeze_v1(directory: &Directory, deadline: Deadline) -> Result<bool, GroupError> {
    freeze_in_rounds(directory, deadline).inspect_err(|_| drop(directory.write(V1, "THAWED")))
}

fn freeze_in_rounds(directory: &Directory, mut deadline: Deadline) -> Result<bool, GroupError> {
    for look in 1.. {
        directory.write(V1, "FROZEN")?;
        if state_v1(directory)? == State::Frozen {
            return Ok(true);
        }
        if look % LOOKS == 0 {
            directory.write(V1, "THAWED")?;
        }
        if !deadline.pause() {
            break;
        }
    }
    Ok(false)
}

fn state_v2(directory: &Directory) -> Result<State, GroupError> {
    if Events::open(directory)?.says("frozen")? {
        return Ok(State::Frozen);
    }
    // Of a group above that is being frozen the file says nothing.
    let wanted = directory.read(V2)?.trim() == "1";
    Ok(if wanted { State::Freezing } else { State::Running })
}

fn state_v1(directory: &Directory) -> Result<State, GroupError> {
    Ok(match directory.read(V1)?.trim() {
        "FROZEN" => State::Frozen,
        "FREEZING" => State::Freezing,
        _ => State::Running,
    })
}
