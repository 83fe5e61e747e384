//! What killed processes have left of the groups that they had made.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::group::RemoveError;
use super::layout::may_write;
use super::own::{is_of_a_sandbox, remove_above};
use super::{Layout, Parent, remove_abandoned};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many groups are gone, or parts of them that were left.
    pub groups: u64,
    /// What couldn't be removed.
    pub failed: Vec<RemoveError>,
}

/// Removes the groups whose names begin with `prefix`, and whose makers have ended without doing it: whose [`OwnGroup`](super::OwnGroup) nobody holds.
/// What is left in them is ended, and waited for as long as `patience` says, for each. They are looked for in `parent`, in every hierarchy; without one
/// in every group that there is, and so are the groups above that were made for them, which go where they are empty. What the caller may not change is
/// none of his.
///
/// ```no_run
/// use izba_sandbox::cgroup::{PATIENCE, Parent, sweep};
///
/// let swept = sweep("example-", None, PATIENCE);
/// println!("{} groups were left", swept.groups);
/// // Cheaper, on a host with many:
/// sweep("example-", Some(&Parent::Nearest), PATIENCE);
/// ```
pub fn sweep(prefix: &str, parent: Option<&Parent>, patience: Duration) -> Swept {
    let (mut gone, mut failed) = (BTreeSet::new(), Vec::new());
    let tops = parent.map_or_else(Layout::tops, Layout::writable_parents);
    for top in &tops {
        let found = if parent.is_some() { groups_in(top) } else { groups_below(top) };
        // A group above follows what is in it.
        for Found { path, of_a_sandbox } in found.into_iter().rev() {
            let named = path.file_name().is_some_and(|name| name.as_bytes().starts_with(prefix.as_bytes()));
            let removed = match of_a_sandbox {
                true if named && may_write(&path) == Some(true) => remove_abandoned(&path, patience),
                true => Ok(false),
                false => Ok(parent.is_none() && remove_above(&path)),
            };
            match removed {
                // In several hierarchies it is one.
                Ok(true) => drop(gone.insert(path.strip_prefix(top).unwrap_or(&path).to_owned())),
                Ok(false) => {}
                Err(error) => failed.push(error),
            }
        }
    }
    Swept { groups: gone.len() as u64, failed }
}

struct Found {
    path: PathBuf,
    /// What is in it is none of ours to look at.
    of_a_sandbox: bool,
}

/// Without what is mounted there.
fn groups_in(parent: &Path) -> Vec<Found> {
    let Ok(device) = fs::symlink_metadata(parent).map(|parent| parent.dev()) else { return Vec::new() };
    // Most are files, which their kind tells without a look at each.
    let members = fs::read_dir(parent).into_iter().flatten().flatten();
    let dirs = members.filter(|member| member.file_type().is_ok_and(|kind| kind.is_dir())).map(|member| member.path());
    dirs.filter_map(|path| {
        let found = fs::symlink_metadata(&path).ok().filter(|found| found.dev() == device)?;
        Some(Found { path, of_a_sandbox: is_of_a_sandbox(found.mode()) })
    })
    .collect()
}

/// The deeper ones later.
fn groups_below(top: &Path) -> Vec<Found> {
    let mut found = groups_in(top);
    let mut next = 0;
    while let Some(group) = found.get(next) {
        if !group.of_a_sandbox {
            found.extend(groups_in(&group.path));
        }
        next += 1;
    }
    found
}
