//! `izba kill`.

use std::os::fd::AsFd;

use izba_sys::signal::pidfd_send_signal;

use crate::args::named::KillArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::record::Run;

/// Sends the signal to the program itself, as one that a terminal or izba passes on ends up there too. When the program ends, so does our
/// init, and with PID 1 the kernel ends all that is in its namespace.
pub fn kill(args: &KillArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let record = Run::find(&args.name, &caller)?.record;
    let program = record.open_program()?;
    pidfd_send_signal(program.as_fd(), args.signal.0).map(|()| 0).map_err(|errno| {
        Failure::new(format!("cannot send signal {} to the run {}", args.signal.0, args.name)).caused_by(&errno)
    })
}
