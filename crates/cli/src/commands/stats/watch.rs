//! `izba stats --watch`: looks again and again.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use izba_sys::Errno;
use izba_sys::process::{PollFd, PollFlags, Timespec, poll};
use izba_sys::signal::{self, SignalSet};

use super::sample::look;
use super::screen::Screen;
use crate::args::named::StatsArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::output;

/// Until the runs have ended; or until a signal, with the status that a shell gives for it.
pub fn watch(args: &StatsArgs, interval: Duration, caller: &Caller) -> Result<u8> {
    // What would end or stop us comes by a descriptor, so that the terminal is as before in any case.
    signal::set_mask(&SignalSet::full());
    let failed = |errno: Errno| Failure::new("cannot wait for the next look").caused_by(&errno);
    let signals = signal::signalfd(&SignalSet::full()).map_err(failed)?;
    let mut screen = Screen::of(args.format);
    let (mut samples, mut failures) = look(&args.names, caller);
    let mut next = Instant::now();
    let mut ended_by = None;
    while !samples.is_empty() && ended_by.is_none() {
        screen.show(&samples)?;
        // Looks that are due already, as we were stopped or slow, are left out.
        next = (next + interval).max(Instant::now());
        ended_by = wait(&signals, next, &mut screen).map_err(failed)?;
        if ended_by.is_none() {
            let earlier = samples;
            (samples, failures) = look(&args.names, caller);
            samples.iter_mut().for_each(|sample| sample.since(&earlier));
        }
    }
    drop(screen);
    let status = output::failures(&failures);
    Ok(ended_by.and_then(|signal| u8::try_from(128 + signal).ok()).unwrap_or(status))
}

/// Until this time, or until a signal that ends us, which is returned.
fn wait(signals: &OwnedFd, until: Instant, screen: &mut Screen) -> std::result::Result<Option<i32>, Errno> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(None),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        while let Some(signal) = signal::read_signal(signals.as_fd())? {
            match signal {
                signal::SIGTSTP => screen.leave_while(signal::stop_self),
                signal::SIGCONT | signal::SIGCHLD | signal::SIGWINCH | signal::SIGPIPE => {}
                other => return Ok(Some(other)),
            }
        }
    }
}
