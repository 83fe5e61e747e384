//! `izba pause` and `izba resume`.

use std::time::Duration;

use crate::args::named::{PauseArgs, ResumeArgs};
use crate::caller::Caller;
use crate::failure::Result;
use crate::record::Run;
use crate::start;

/// A process in an uninterruptible call of the kernel stops when that is done.
const PATIENCE: Duration = Duration::from_secs(10);

/// Comes back when every process of the run has stopped.
pub fn pause(args: &PauseArgs) -> Result<u8> {
    let group = Run::find(&args.name, &Caller::of_this_process())?.record.open_group()?;
    let failure = |error| start::group(format!("cannot pause the run {}", args.name), &error);
    group.freeze(PATIENCE).map(|()| 0).map_err(failure)
}

/// Lets all of them go on.
pub fn resume(args: &ResumeArgs) -> Result<u8> {
    let group = Run::find(&args.name, &Caller::of_this_process())?.record.open_group()?;
    let failure = |error| start::group(format!("cannot resume the run {}", args.name), &error);
    group.thaw().map(|()| 0).map_err(failure)
}
