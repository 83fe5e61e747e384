//! `izba pause` and `izba resume`.

use std::time::Duration;

use izba_sandbox::cgroup::{Group, GroupError};

use crate::args::named::{PauseArgs, ResumeArgs};
use crate::caller::Caller;
use crate::failure;
use crate::record::{Name, Run};
use crate::start;

/// A process in an uninterruptible call of the kernel stops when that is done.
const PATIENCE: Duration = Duration::from_secs(10);

/// Comes back when every process of the run has stopped.
pub fn pause(args: &PauseArgs) -> failure::Result<u8> {
    in_group(&args.name, "pause", |group| group.freeze(PATIENCE))
}

/// Lets all of them go on.
pub fn resume(args: &ResumeArgs) -> failure::Result<u8> {
    in_group(&args.name, "resume", Group::thaw)
}

fn in_group(name: &Name, verb: &str, act: impl FnOnce(&Group) -> Result<(), GroupError>) -> failure::Result<u8> {
    let record = Run::find(name, &Caller::of_this_process())?.record;
    let failed = |error| start::group(format!("cannot {verb} the run {name}"), &error);
    record.unless_ended(record.open_group().and_then(|group| act(&group).map(|()| 0).map_err(failed)))
}
