//! `izba kill`.

use std::os::fd::AsFd;
use std::time::Duration;

use izba_sandbox::namespace::Kind;
use izba_sys::signal::{SIGKILL, pidfd_send_signal};

use crate::args::named::KillArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::record::{How, Record, Run};
use crate::{output, start};

/// What has been killed ends when the kernel has let go of what it was doing.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn kill(args: &KillArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let record = Run::find(&args.name, &caller)?.record;
    if args.all { everyone(&record, args.signal.0) } else { program(&record, args.signal.0) }.map(|()| 0)
}

/// Sends the signal to the program itself, as one that a terminal or izba passes on ends up there too. When the program ends, so does our
/// init, and with PID 1 the kernel ends all that is in its namespace.
fn program(record: &Record, signal: i32) -> Result<()> {
    let program = record.open_program()?;
    pidfd_send_signal(program.as_fd(), signal).map_err(|errno| cannot(record, signal).caused_by(&errno))?;
    while_paused(record, signal)
}

/// On cgroup v1 a frozen process doesn't even end by SIGKILL. What other signals do it does when it is resumed.
fn while_paused(record: &Record, signal: i32) -> Result<()> {
    if !record.is_paused() {
        return Ok(());
    }
    if signal == SIGKILL {
        let failure = |error| start::group(cannot(record, signal).problem, &error);
        // Where it can't be opened any more it has ended.
        return record.open_group().map_or(Ok(()), |group| group.thaw().map_err(failure));
    }
    output::note(format_args!("the run {0} is paused: the signal takes effect after izba resume {0}", record.name));
    Ok(())
}

/// Everybody in the run's group: also what izba exec has started, and what has left the program's session.
fn everyone(record: &Record, signal: i32) -> Result<()> {
    if record.cgroup.is_none()
        && signal == SIGKILL
        && record.namespaces.0.get(&Kind::Pid).is_some_and(|pid| pid.state == How::New)
    {
        // With PID 1 of the namespace everybody ends.
        return program(record, signal);
    }
    let group = record.open_group()?;
    let failure = |error| start::group(cannot(record, signal).problem, &error);
    if signal == SIGKILL {
        return group.kill(PATIENCE).map_err(failure);
    }
    // Our init passes on what it gets, and the program would get it twice.
    let init = record.first.filter(|&first| first != record.program).map(|init| init.pid);
    group.signal_others(signal, init.as_slice()).map(drop).map_err(failure)?;
    while_paused(record, signal)
}

fn cannot(record: &Record, signal: i32) -> Failure {
    Failure::new(format!("cannot send signal {signal} to the run {}", record.name))
}
