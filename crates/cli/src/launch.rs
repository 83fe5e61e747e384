//! From the intent to the program's end.

use izba_sandbox::cgroup::Place;
use izba_sandbox::facts::Facts;
use izba_sandbox::parent::{self, Child, Done};
use izba_sandbox::plan::Plan;
use izba_sandbox::sandbox::Sandbox;
use izba_sys::signal::{self, SignalSet};

use crate::args::PlanFormat;
use crate::args::run::ShowArgs;
use crate::failure::{FAILED, Failure, Result};
use crate::{output, plan_json, plan_text, session, start};

/// Does what is wanted, or shows the plan of it; the program's status.
pub fn launch(sandbox: &Sandbox, show: &ShowArgs, notes: &[String]) -> Result<u8> {
    launch_with(sandbox, show, notes, || Ok(()), |_| Ok(()), |(), _| (), |_| ())
}

/// The same with something that is held from before the first process is there, something that goes on `beside` the program, and what is
/// done when it has `settled`: when it hasn't ended at once; and when it has `ended`, and its group is still there. A dry run has none of them. Where what goes on beside it fails the program is ended.
pub fn launch_with<Held, Beside>(
    sandbox: &Sandbox,
    show: &ShowArgs,
    notes: &[String],
    hold: impl FnOnce() -> Result<Held>,
    beside: impl FnOnce(&mut Child) -> Result<Beside>,
    settled: impl FnOnce(&Held, &Child),
    ended: impl FnOnce(&Place),
) -> Result<u8> {
    let facts = Facts::gather(sandbox)
        .map_err(|error| Failure::new("cannot look at the root file system").caused_by(&error))?;
    let plan = Plan::new(sandbox, &facts).map_err(|error| start::unplanned(&error))?;
    if show.dry_run {
        return print(&plan, notes, show.format.unwrap_or(PlanFormat::Text)).map(|()| 0);
    }
    let held = hold()?;
    notes.iter().chain(&plan.notes).for_each(output::note);
    // None is missed between the program's first moment and ours with it.
    let mask = signal::set_mask(&SignalSet::full());
    let status = spawn(&plan, mask, show.explain).and_then(|mut child| {
        let _beside = beside(&mut child).inspect_err(|_| end(&mut child))?;
        let status = attend(&mut child, |child| settled(&held, child));
        ended(child.group());
        if let Err(error) = child.take_group().remove() {
            // It doesn't change what the program ended with.
            output::failure(&Failure::from_error(&error));
        }
        status
    });
    signal::set_mask(&mask);
    status
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
    parent::spawn_with_mask(plan, mask, observe).map_err(|error| start::failure(&error))
}

/// With the first process everything ends.
fn end(child: &mut Child) {
    let _gone = child.signal(signal::SIGKILL);
    let _reaped = child.wait();
}

/// Stays with the program until it ends: its terminal, its signals, its status.
fn attend(child: &mut Child, settled: impl FnOnce(&Child)) -> Result<u8> {
    let outcome =
        session::attend(child, settled).map_err(|error| Failure::new("cannot attend the program").caused_by(&error))?;
    Ok(u8::try_from(outcome.status()).unwrap_or(FAILED))
}
