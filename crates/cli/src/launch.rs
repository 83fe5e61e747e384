//! From the intent to the program's end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sandbox::cgroup::Place;
use izba_sandbox::facts::Facts;
use izba_sandbox::parent::{self, Child, Done, Start};
use izba_sandbox::plan::Plan;
use izba_sandbox::report::StartError;
use izba_sandbox::sandbox::Sandbox;
use izba_sys::signal::{self, SignalSet};

use crate::args::PlanFormat;
use crate::args::run::ShowArgs;
use crate::failure::{FAILED, Failure, Result};
use crate::{output, plan_json, plan_text, session, start};

/// What goes on beside a program. A dry run has none of it.
pub trait Company {
    /// Before there is a first process.
    fn before(&mut self) -> Result<()> {
        Ok(())
    }

    /// The program has been executed. Where this fails it is ended.
    fn started(&mut self, _child: &mut Child) -> Result<()> {
        Ok(())
    }

    /// It hasn't ended at once.
    fn settled(&mut self, _child: &Child) {}

    /// What tells by POLLPRI that it has changed.
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// It has.
    fn changed(&mut self) {}

    /// The program has ended. Its group is still there, unless it is systemd's.
    fn ended(&mut self, _group: &Place) {}
}

/// A program with nothing beside it.
pub struct Alone;

impl Company for Alone {}

/// Does what is wanted, or shows the plan of it; the program's status.
pub fn launch(sandbox: &Sandbox, show: &ShowArgs, notes: &[String], company: &mut dyn Company) -> Result<u8> {
    let facts = Facts::gather(sandbox)
        .map_err(|error| Failure::new("cannot look at the root file system").caused_by(&error))?;
    let plan = Plan::new(sandbox, &facts).map_err(|error| start::unplanned(&error))?;
    if show.dry_run {
        return print(&plan, notes, show.format.unwrap_or(PlanFormat::Text)).map(|()| 0);
    }
    company.before()?;
    notes.iter().chain(&plan.notes).for_each(output::note);
    // None is missed between the program's first moment and ours with it. They stay blocked: what comes after the program's end, or after a start that
    // was given up, is cleaning up, which no second signal is to interrupt.
    let mask = signal::set_mask(&SignalSet::full());
    spawn(&plan, mask, show.explain).and_then(|mut child| {
        child.left_out().iter().for_each(output::note);
        let status = company.started(&mut child).and_then(|()| attend(&mut child, company));
        if status.is_err() {
            end(&mut child);
        }
        company.ended(child.group());
        if let Err(error) = child.take_group().remove() {
            // It doesn't change what the program ended with.
            output::failure(&Failure::from_error(&error));
        }
        status
    })
}

fn print(plan: &Plan, notes: &[String], format: PlanFormat) -> Result<()> {
    output::print(|out| match format {
        PlanFormat::Text => {
            notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
            plan_text::write(plan, out)
        }
        PlanFormat::Json => writeln!(out, "{:#}", plan_json::value(plan, notes)),
    })
}

fn spawn(plan: &Plan, mask: SignalSet, explain: bool) -> Result<Child> {
    let mut say = |done: Done<'_>| output::say(plan_text::done(done.step, done.nanoseconds));
    let observe: Option<&mut dyn FnMut(Done<'_>)> = if explain { Some(&mut say) } else { None };
    let endings = Endings::watch(&mask)?;
    let start = Start { mask: Some(mask), give_up: Some(endings.as_fd()), observe };
    parent::spawn_with(plan, start).map_err(|error| {
        // In any case, or what has come would end us before we have cleaned up. What comes after a success is the program's.
        match (endings.take(), &error) {
            (Some(signal), StartError::GivenUp { .. }) => start::given_up(&error, signal),
            _ => start::failure(&error),
        }
    })
}

/// The signals that end izba as long as there is no program that they could be passed on to.
struct Endings(OwnedFd);

impl Endings {
    /// Every signal is blocked by now. Those that the caller ignores (nohup(1)) or had blocked wouldn't have ended us.
    fn watch(callers: &SignalSet) -> Result<Self> {
        let mut set = SignalSet::empty();
        [signal::SIGHUP, signal::SIGINT, signal::SIGQUIT, signal::SIGTERM]
            .into_iter()
            .filter(|&ending| !callers.contains(ending) && !signal::is_ignored(ending))
            .for_each(|ending| set.add(ending));
        let fd = signal::signalfd(&set).map_err(|errno| Failure::new("cannot watch for signals").caused_by(&errno))?;
        Ok(Self(fd))
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// All that have come, of which the first counts.
    fn take(&self) -> Option<i32> {
        let read = || signal::read_signal(self.as_fd()).ok().flatten();
        std::iter::from_fn(read).fold(None, |first, signal| first.or(Some(signal)))
    }
}

/// With the first process everything ends.
fn end(child: &mut Child) {
    let _gone = child.signal(signal::SIGKILL);
    let _reaped = child.wait();
}

/// Stays with the program until it ends: its terminal, its signals, its status.
fn attend(child: &mut Child, company: &mut dyn Company) -> Result<u8> {
    let outcome =
        session::attend(child, company).map_err(|error| Failure::new("cannot attend the program").caused_by(&error))?;
    Ok(u8::try_from(outcome.status()).unwrap_or(FAILED))
}
