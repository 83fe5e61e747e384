//! `izba gc`.

use izba_sandbox::cgroup;

use crate::args::cache::GcArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::group::PREFIX;
use crate::sweep::Swept;
use crate::{cache_place, output, sweep};

/// Sweeps, and says what was there.
pub fn run(args: &GcArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    // Groups first: a record stays for as long as its group.
    let cgroup::Swept { groups, failed } = cgroup::sweep(PREFIX, None, cgroup::PATIENCE);
    let records = sweep::records(&caller);
    let dir = cache_place::existing(&args.place, &caller);
    let mut swept = dir.map_or_else(|| Ok(Swept::default()), |dir| sweep::sweep(&dir, &caller))?;
    swept.failures.extend(failed.iter().map(|error| Failure::from_error(error)));
    output::print(|out| {
        if swept.archives + swept.scratch + groups + records == 0 {
            writeln!(out, "nothing was left")?;
        } else {
            writeln!(
                out,
                "removed {} unfinished archives, {} directories of writes, {groups} control groups and {records} records of runs",
                swept.archives, swept.scratch
            )?;
        }
        if swept.busy > 0 { writeln!(out, "{} are in use just now", swept.busy) } else { Ok(()) }
    })?;
    Ok(output::failures(&swept.failures))
}
