//! What goes on beside the program of an `izba run`: its record, the sweep, and what its group counts.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use izba_sandbox::cgroup::group::Usage;
use izba_sandbox::cgroup::{ControlGroup, Driver, Parent, Place};
use izba_sandbox::keep::KeepError;
use izba_sandbox::parent::Child;
use izba_sandbox::sandbox::Sandbox;
use izba_sys::signal;

use super::count::Count;
use crate::args::run::RunArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::launch::Company;
use crate::record::{Asked, Name, Record, Reservation};
use crate::sweep::{self, Sweeping};
use crate::{kept, output};

/// What is held and gathered as long as the program runs.
pub struct RunCompany<'a> {
    args: &'a RunArgs,
    caller: &'a Caller,
    sandbox: &'a Sandbox,
    asked: Asked<'a>,
    /// The run's name, ours until it has ended.
    reservation: Option<Reservation>,
    /// Why the run couldn't be given the name that was asked for.
    unfindable: Option<Failure>,
    /// Ends with the run.
    _sweeping: Option<Sweeping>,
    count: Count,
}

impl<'a> RunCompany<'a> {
    pub fn new(args: &'a RunArgs, caller: &'a Caller, sandbox: &'a Sandbox, asked: Asked<'a>) -> Self {
        Self {
            args,
            caller,
            sandbox,
            asked,
            reservation: None,
            unfindable: None,
            _sweeping: None,
            count: Count::of(&sandbox.cgroup, args.group.result.is_some()),
        }
    }

    /// What the run has used, if somebody wants it; or why it had to be ended.
    pub fn end(self) -> Result<Option<Usage>> {
        self.unfindable.map_or(Ok(self.count.usage()), Err)
    }

    fn announce(&mut self, child: &Child) -> Result<()> {
        if self.reservation.is_none() {
            // Nobody else's name has our number in it, so it needn't be taken before: a short run leaves no trace at all.
            self.reservation = Some(Reservation::of_any(program_name(self.sandbox), self.caller)?);
        }
        let Some(reservation) = &self.reservation else { return Ok(()) };
        // One that has ended meanwhile needs none.
        let Some(record) = Record::of(reservation.name(), child, self.sandbox, self.asked) else { return Ok(()) };
        let problem = || Failure::new(format!("cannot write the record of the run {}", reservation.name()));
        reservation.announce(&record).map_err(|error| problem().caused_by(&error))
    }
}

impl Company for RunCompany<'_> {
    fn before(&mut self) -> Result<()> {
        self.reservation = self.args.name.as_ref().map(|name| reserve(name, self.caller)).transpose()?;
        Ok(())
    }

    fn started(&mut self, child: &mut Child) -> Result<()> {
        self.count.begin(child.group());
        let parent = swept_parent(self.sandbox);
        self._sweeping = sweep::in_background(&self.args.root.cache, self.caller, parent);
        Ok(())
    }

    fn settled(&mut self, child: &Child) {
        self.count.read();
        let Err(failure) = self.announce(child) else { return };
        if self.args.name.is_some() {
            // A name was asked for, so it has to be of use.
            let _gone = child.signal(signal::SIGKILL);
            self.unfindable = Some(failure);
        } else {
            unrecorded(&failure);
        }
    }

    fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.count.watched()
    }

    fn changed(&mut self) {
        self.count.read();
    }

    fn ended(&mut self, group: &Place) {
        self.count.end(group);
    }
}

/// Where to look for groups that killed runs have left, which takes the longer the more groups there are: one run in so many does it.
fn swept_parent(sandbox: &Sandbox) -> Option<Parent> {
    const EVERY: u32 = 64;
    match &sandbox.cgroup {
        ControlGroup::New(new) if std::process::id().is_multiple_of(EVERY) => match &new.driver {
            Driver::Files(parent) => Some(parent.clone()),
            // It removes scopes itself.
            Driver::Systemd { .. } => None,
        },
        _ => None,
    }
}

/// The run's name is ours from here on.
fn reserve(name: &Name, caller: &Caller) -> Result<Reservation> {
    let reservation = Reservation::of(name, caller)?;
    // TARGET is looked for among runs first, so what is kept couldn't be found any more.
    match kept::find(name.as_str(), caller) {
        Some(_) => Err(kept::failure(&KeepError::Taken(name.to_string()))),
        None => Ok(reservation),
    }
}

fn program_name(sandbox: &Sandbox) -> &OsStr {
    sandbox.process.args.first().map(|word| OsStr::from_bytes(word.to_bytes())).unwrap_or_default()
}

fn unrecorded(failure: &Failure) {
    let causes: Vec<&str> = failure.causes.iter().map(String::as_str).collect();
    output::note(format_args!(
        "izba ps and izba exec won't find this run: {} ({})",
        failure.problem,
        causes.join("; ")
    ));
}
