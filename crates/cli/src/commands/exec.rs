//! `izba exec`: run, intent, plan, kernel.

use std::os::fd::AsFd;

use crate::args::named::ExecArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::launch::{Alone, launch};
use crate::lower::{self, Lowered};
use crate::own_binary;
use crate::record::{Name, Record, Run};

/// Runs a second program in a run and ends with its status.
pub fn exec(args: &ExecArgs) -> Result<u8> {
    if !args.show.dry_run {
        // Who is inside sees our process there.
        own_binary::seal()?;
    }
    let caller = Caller::of_this_process();
    let name: Name = args.name_and_command[0].to_string_lossy().parse().map_err(Failure::new)?;
    let record = Run::find(&name, &caller)?.record;
    record.unless_ended(in_run(args, &name, &record, &caller))
}

fn in_run(args: &ExecArgs, name: &Name, record: &Record, caller: &Caller) -> Result<u8> {
    let program = record.open_program()?;
    if record.is_paused() {
        return Err(Failure::new(format!("the run {name} is paused, and a program in it would be too"))
            .remedy(format!("izba resume {name}")));
    }
    let Lowered { sandbox, notes, .. } = lower::exec::lower(args, caller, record, program.as_fd())?;
    launch(&sandbox, &args.show, &notes, &mut Alone)
}
