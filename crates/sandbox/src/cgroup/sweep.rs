//! What killed processes have left of the groups that they had made.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::group::RemoveError;
use super::{Layout, Parent, remove_abandoned};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many groups are gone, or parts of them that were left.
    pub groups: u64,
    /// What couldn't be removed.
    pub failed: Vec<RemoveError>,
}

/// Removes the groups in `parent`, in every hierarchy, whose names begin with `prefix`, and whose makers have ended without doing it: whose
/// [`OwnGroup`](super::OwnGroup) nobody holds. What is left in them is ended, and waited for as long as `patience` says, for each. Where the caller may make no groups, there is nothing of his.
///
/// ```no_run
/// use izba_sandbox::cgroup::{PATIENCE, Parent, sweep};
///
/// let swept = sweep("example-", &Parent::Nearest, PATIENCE);
/// println!("{} groups were left", swept.groups);
/// ```
pub fn sweep(prefix: &str, parent: &Parent, patience: Duration) -> Swept {
    let (mut gone, mut failed) = (BTreeSet::<OsString>::new(), Vec::new());
    let dirs = Layout::writable_parents(parent).into_iter().flat_map(|parent| groups_in(&parent, prefix));
    for dir in dirs {
        match remove_abandoned(&dir, patience) {
            Ok(removed) => gone.extend(dir.file_name().filter(|_| removed).map(ToOwned::to_owned)),
            Err(error) => failed.push(error),
        }
    }
    Swept { groups: gone.len() as u64, failed }
}

fn groups_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let members = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let dirs = members.filter(|member| member.file_type().is_ok_and(|kind| kind.is_dir()));
    let named = dirs.filter(|dir| dir.file_name().as_bytes().starts_with(prefix.as_bytes()));
    named.map(|dir| dir.path()).collect()
}
