//! Removing a group.

use std::time::Duration;

use izba_sys::Errno;

use super::deadline::Deadline;
use super::{Group, GroupError, RemoveError, walk};

impl Group {
    /// Removes the group with its sub-groups from every hierarchy, after [killing](Self::kill) what is left in it. What the kernel still lets
    /// go of (EBUSY) is tried again for so long.
    ///
    /// Goes on after an error. That something has been removed already is none, so it can be called again, and on what is left of a group:
    /// [`open_rest`](Self::open_rest).
    ///
    /// # Errors
    /// All that went wrong, in the last round.
    pub fn remove(&self, patience: Duration) -> Result<(), RemoveError> {
        let mut deadline = Deadline::after(patience);
        loop {
            let mut errors: Vec<_> = self.kill(deadline.left()).err().into_iter().collect();
            if let [GroupError::CallerInside(_)] = errors[..] {
                return Err(RemoveError { errors });
            }
            errors.extend(self.remove_directories());
            if errors.is_empty() {
                return Ok(());
            }
            let busy = errors.iter().any(|error| error.errno() == Some(Errno::BUSY));
            if !busy || !deadline.pause() {
                return Err(RemoveError { errors });
            }
        }
    }

    fn remove_directories(&self) -> Vec<GroupError> {
        self.directories().flat_map(|top| walk::children_first(top, &mut |directory| directory.remove())).collect()
    }
}
