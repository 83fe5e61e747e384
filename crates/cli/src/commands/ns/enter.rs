//! `izba ns enter`.

use izba_sandbox::namespace::Kind;

use crate::args::ns::enter::EnterArgs;
use crate::caller::Caller;
use crate::failure::Result;
use crate::launch::{Alone, launch};
use crate::lower::nsenter;
use crate::{own_binary, target};

/// Runs a program in existing namespaces and ends with its status.
pub fn enter(args: &EnterArgs) -> Result<u8> {
    let kinds = args.kinds.named();
    // Who is inside can look into us by way of /proc, or have us execute what it wants. First of all, as it starts us anew.
    let may_have_company = kinds.is_empty() || kinds.contains(&Kind::Pid) || kinds.contains(&Kind::Mount);
    if may_have_company && !args.show.dry_run {
        own_binary::seal()?;
    }
    let caller = Caller::of_this_process();
    let target = target::resolve(&args.target, &caller)?;
    let sandbox = nsenter::lower(args, &target, &caller)?;
    launch(&sandbox, &args.show, &[], &mut Alone)
}
