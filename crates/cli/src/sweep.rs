//! What killed starts have left, and the kernel doesn't free: half-unpacked archives, the writes of `--ephemeral=disk`, control groups, and
//! records of runs.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use izba_image::Cache;
use izba_sandbox::cgroup;
use izba_sys::signal::{self, SignalSet};

use crate::args::cache::CachePlace;
use crate::args::internal;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::group::PREFIX;
use crate::lower::identity::usual_unpacking_maps;
use crate::record::Runs;
use crate::{cache_place, inside, scratch};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// What is gone: archives half made or half removed.
    pub archives: u64,
    /// What is gone: directories of writes.
    pub scratch: u64,
    /// What somebody is using just now.
    pub busy: u64,
    /// What is still there.
    pub failures: Vec<Failure>,
}

/// Sweeps a cache directory.
pub fn sweep(dir: &Path, caller: &Caller) -> Result<Swept> {
    let maps: scratch::Maps<'_> = &|| usual_unpacking_maps(caller);
    let (scratch, mut failures) = scratch::sweep(dir, maps);
    let cache = Cache::open(dir).map_err(|error| Failure::from_error(&error))?;
    let swept = cache.sweep().map_err(|error| Failure::from_error(&error))?;
    let mut archives = swept.removed;
    if !swept.failed.is_empty() {
        match finish_inside(dir, maps) {
            Some(Ok(())) => archives += swept.failed.len() as u64,
            Some(Err(failure)) => failures.push(failure),
            None => failures.extend(swept.failed.iter().map(|left| Failure::from_error(left))),
        }
    }
    Ok(Swept { archives, scratch, busy: swept.busy, failures })
}

/// Removes the records of runs whose izba is gone; says how many.
pub fn records(caller: &Caller) -> u64 {
    let removed = |runs: &Runs| runs.names().iter().filter(|name| runs.sweep(name)).count() as u64;
    Runs::existing(caller).iter().map(removed).sum()
}

/// Removes what is left of subordinate ids, in a user namespace that has them, if the caller has such ids.
pub fn finish_inside(dir: &Path, maps: scratch::Maps<'_>) -> Option<Result<()>> {
    match maps() {
        Ok(Some(maps)) => Some(inside::run(maps, vec![internal::SWEEP.into(), dir.as_os_str().to_owned()])),
        Ok(None) => None,
        Err(failure) => Some(Err(failure)),
    }
}

/// A sweep beside the program. Dropping it waits for its end.
#[derive(Debug)]
pub struct Sweeping(Option<JoinHandle<()>>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        // It says nothing, and a panic of it is no business of the program's.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

/// Sweeps while the program runs, if there is something to look at: a few calls that find nothing, most of the time. Groups are looked for in
/// `groups`.
pub fn in_background(place: &CachePlace, caller: &Caller, groups: Option<cgroup::Parent>) -> Option<Sweeping> {
    let has_work = |dir: &PathBuf| [dir.join("v1/making"), scratch::parent(dir)].iter().any(has_members);
    let dir = cache_place::existing(place, caller).filter(has_work);
    if dir.is_none() && groups.is_none() {
        return None;
    }
    let caller = caller.clone();
    let work = move || {
        drop(groups.map(|parent| cgroup::sweep(PREFIX, Some(&parent), cgroup::SHORT_PATIENCE)));
        drop(dir.map(|dir| sweep(&dir, &caller)));
    };
    // Signals are for the thread that passes them on.
    let before = signal::set_mask(&SignalSet::full());
    // Nobody has asked for it: what doesn't work is said by gc.
    let sweeping = std::thread::Builder::new().spawn(work).ok();
    signal::set_mask(&before);
    Some(Sweeping(sweeping))
}

fn has_members(dir: &PathBuf) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut members| members.next().is_some())
}
