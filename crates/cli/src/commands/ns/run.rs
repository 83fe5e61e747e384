//! `izba ns run`.

use crate::args::ns::run::NsRunArgs;
use crate::caller::Caller;
use crate::failure::Result;
use crate::launch::launch;
use crate::lower::unshare;

/// Runs a program in new namespaces and ends with its status.
pub fn run(args: &NsRunArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let sandbox = unshare::lower(args, &caller)?;
    launch(&sandbox, &args.show, &[])
}
