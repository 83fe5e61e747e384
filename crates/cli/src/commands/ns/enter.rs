//! `izba ns enter`.

use izba_sandbox::namespace::Kind;

use crate::args::ns::enter::EnterArgs;
use crate::caller::Caller;
use crate::failure::Result;
use crate::launch::launch;
use crate::lower::nsenter;
use crate::{own_binary, target};

/// Runs a program in existing namespaces and ends with its status.
pub fn enter(args: &EnterArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let target = target::resolve(&args.target, &caller)?;
    let sandbox = nsenter::lower(args, &target, &caller)?;
    // Who is inside can look into us by way of /proc, or have us execute what it wants.
    let has_company = [Kind::Pid, Kind::Mount].iter().any(|&kind| sandbox.namespaces.joined(kind).is_some());
    if has_company && !args.show.dry_run {
        own_binary::seal()?;
    }
    launch(&sandbox, &args.show, &[])
}
