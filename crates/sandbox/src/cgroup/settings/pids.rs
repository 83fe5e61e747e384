//! How many processes and threads: cgroup-v2.rst "PID".

use super::LimitError;
use super::files::Files;
use super::range::bound_within;
use crate::cgroup::Bound;

/// `PID_MAX_LIMIT` of a 64-bit kernel; pids.max takes no more.
const MOST: u64 = 4 << 20;

/// None at all would keep the program itself from starting. For OCI 0 is not a limit, and -1 no bound.
pub(super) fn check(limit: Option<Bound>) -> Result<(), LimitError> {
    bound_within("a limit of processes", limit, 1..=MOST)
}

pub(super) fn lower(limit: Option<Bound>, files: &mut Files<'_>) {
    match limit {
        Some(Bound::At(limit)) => files.write("pids.max", limit),
        // On both versions.
        Some(Bound::Max) => files.write("pids.max", "max"),
        None => {}
    }
}
