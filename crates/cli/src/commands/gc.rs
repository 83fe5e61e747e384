//! `izba gc`.

use crate::args::cache::GcArgs;
use crate::caller::Caller;
use crate::failure::{FAILED, Result};
use crate::{cache_place, output, sweep};

/// Sweeps, and says what was there.
pub fn run(args: &GcArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let Some(dir) = cache_place::existing(&args.place, &caller) else {
        return output::print(|out| writeln!(out, "nothing was left")).map(|()| 0);
    };
    let swept = sweep::sweep(&dir, &caller)?;
    output::print(|out| {
        if swept.archives + swept.scratch == 0 {
            writeln!(out, "nothing was left")?;
        } else {
            writeln!(
                out,
                "removed {} unfinished archives and {} directories of writes",
                swept.archives, swept.scratch
            )?;
        }
        if swept.busy > 0 { writeln!(out, "{} are in use just now", swept.busy) } else { Ok(()) }
    })?;
    swept.failures.iter().for_each(output::failure);
    Ok(if swept.failures.is_empty() { 0 } else { FAILED })
}
