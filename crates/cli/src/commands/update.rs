//! `izba update`.

use izba_sandbox::cgroup::Limits;

use crate::args::named::UpdateArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::lower::limit;
use crate::record::Run;

/// Changes what is named, and nothing else.
pub fn update(args: &UpdateArgs) -> Result<u8> {
    let limits = limit::lower(&args.limits)?;
    if limits == Limits::default() {
        return Err(Failure::new("no limit is named").remedy("izba update --help, which lists them"));
    }
    let group = Run::find(&args.name, &Caller::of_this_process())?.record.open_group()?;
    drop(group);
    Ok(0)
}
