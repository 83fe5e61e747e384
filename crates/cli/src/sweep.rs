//! What killed starts have left, and the kernel doesn't free: half-unpacked archives, and the writes of `--ephemeral=disk`.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use izba_image::Cache;
use izba_sys::signal::{self, SignalSet};

use crate::args::cache::CachePlace;
use crate::args::internal;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::identity::usual_unpacking_maps;
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

/// Removes what is left of subordinate ids, in a user namespace that has them, if the caller has such ids.
pub fn finish_inside(dir: &Path, maps: scratch::Maps<'_>) -> Option<Result<()>> {
    match maps() {
        Ok(Some(maps)) => Some(inside::run(maps, vec![internal::SWEEP.into(), dir.as_os_str().to_owned()])),
        Ok(None) => None,
        Err(failure) => Some(Err(failure)),
    }
}

/// Sweeps while the program runs, if there is something to look at: two calls that find nothing, most of the time.
pub fn in_background(place: &CachePlace, caller: &Caller) -> Option<JoinHandle<()>> {
    let dir = cache_place::existing(place, caller)?;
    let places = [dir.join("v1/making"), scratch::parent(&dir)];
    if !places.iter().any(has_members) {
        return None;
    }
    let caller = caller.clone();
    // Signals are for the thread that passes them on.
    let before = signal::set_mask(&SignalSet::full());
    // Nobody has asked for it: what doesn't work is said by gc.
    let sweeping = std::thread::Builder::new().spawn(move || drop(sweep(&dir, &caller))).ok();
    signal::set_mask(&before);
    sweeping
}

fn has_members(dir: &PathBuf) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut members| members.next().is_some())
}
