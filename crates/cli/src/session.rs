//! The time between start and end: signals are passed on, and a terminal's two ends are joined.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sandbox::parent::{Child, Outcome};
use izba_sys::process::{PollFd, PollFlags, Timespec, poll};
use izba_sys::signal::{self, SignalSet};

use crate::launch::Company;
use crate::terminal::{RawMode, Relay, in_background};

/// How often a session in the background looks whether it has come to the foreground: no signal says so.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Who lives no longer than this is hardly worth more work, which would only keep us from noticing its end.
const SHORT_LIFE: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Stays with the sandbox until it has ended. Every signal has to be blocked already.
///
/// # Errors
/// What signalfd(2), poll(2) or waitid(2) gives; the terminal has been restored then.
pub fn attend(child: &mut Child, company: &mut dyn Company) -> io::Result<Outcome> {
    let mut session = Session::new(child)?;
    if !ends_at_once(child)? {
        company.settled(child);
    }
    // In any case, as signals that have come would end us when they are let through again.
    session.run(child, company)?;
    drop(session);
    child.wait()
}

fn ends_at_once(child: &Child) -> io::Result<bool> {
    match poll(&mut [readable(child.pidfd())], Some(&SHORT_LIFE)) {
        Err(izba_sys::Errno::INTR) => Ok(false),
        polled => Ok(polled? > 0),
    }
}

/// Why a session has woken up.
struct Noticed {
    signalled: bool,
    ended: bool,
    /// What the company watches.
    changed: bool,
}

struct Session {
    signals: OwnedFd,
    relay: Option<Relay>,
    /// Is what is typed meant for us? SIGTTIN and SIGTTOU are blocked, so the kernel wouldn't stop us in the background.
    listening: bool,
    /// Dropping it restores the caller's terminal.
    raw: Option<RawMode>,
}

impl Session {
    fn new(child: &mut Child) -> io::Result<Self> {
        let signals = signal::signalfd(&SignalSet::full())?;
        let relay = child.take_terminal().map(Relay::new).transpose()?;
        let mut session = Self { signals, relay, listening: false, raw: None };
        session.listen()?;
        Ok(session)
    }

    /// The terminal is ours while we are in the foreground.
    fn listen(&mut self) -> io::Result<()> {
        let Some(relay) = &self.relay else { return Ok(()) };
        let listening = !in_background();
        if listening && !self.listening {
            self.raw = RawMode::enter()?;
            relay.resize();
        } else if !listening && let Some(raw) = self.raw.take() {
            raw.forget();
        }
        self.listening = listening;
        Ok(())
    }

    fn run(&mut self, child: &Child, company: &mut dyn Company) -> io::Result<()> {
        loop {
            let Noticed { signalled, ended, changed } = self.wait(child, company.watched())?;
            if changed {
                company.changed();
            }
            if signalled {
                self.pass_on_signals(child);
            }
            if ended {
                break;
            }
        }
        if let Some(relay) = &mut self.relay {
            relay.drain();
        }
        Ok(())
    }

    /// Waits for something to do and does the terminal's part.
    fn wait(&mut self, child: &Child, watched: Option<BorrowedFd<'_>>) -> io::Result<Noticed> {
        let mut wanted = vec![readable(self.signals.as_fd()), readable(child.pidfd())];
        if let Some(relay) = &self.relay {
            wanted.extend(relay.wanted(self.listening));
        }
        let of_relay = 2..wanted.len();
        wanted.extend(watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::PRI)));
        let look = (self.relay.is_some() && !self.listening).then_some(&LOOK);
        if let Err(errno) = poll(&mut wanted, look)
            && errno != izba_sys::Errno::INTR
        {
            return Err(errno.into());
        }
        let found: Vec<PollFlags> = wanted.iter().map(PollFd::revents).collect();
        drop(wanted);
        self.listen()?;
        if let Some(relay) = &mut self.relay {
            relay.move_bytes(found.get(of_relay.clone()).unwrap_or_default(), self.listening);
        }
        let is = |index: usize| found.get(index).is_some_and(|flags| !flags.is_empty());
        Ok(Noticed { signalled: is(0), ended: is(1), changed: watched.is_some() && is(of_relay.end) })
    }

    fn pass_on_signals(&mut self, child: &Child) {
        while let Ok(Some(signal)) = signal::read_signal(self.signals.as_fd()) {
            match signal {
                // SIGPIPE is of our own writes: what is ignored is held all the same while it is blocked.
                signal::SIGCHLD | signal::SIGPIPE => {}
                signal::SIGWINCH if self.relay.is_some() => self.relay.iter().for_each(Relay::resize),
                signal::SIGTSTP | signal::SIGTTIN | signal::SIGTTOU => self.stop(child, signal),
                // It may just have ended; then its pidfd says so.
                other => drop(child.signal(other)),
            }
        }
    }

    /// The shell's job control: the program is stopped first, then we, with the terminal as it was.
    fn stop(&mut self, child: &Child, signal: i32) {
        let _gone = child.signal(signal);
        self.raw = None;
        self.listening = false;
        signal::stop_self();
        let _gone = child.signal(signal::SIGCONT);
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}
