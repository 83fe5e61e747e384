//! What goes on beside the program of an `izba run`: its record, the sweep, and what its group counts.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use izba_sandbox::cgroup::group::{Usage, Watch};
use izba_sandbox::cgroup::{ControlGroup, Driver, Group, Parent, Place};
use izba_sandbox::keep::KeepError;
use izba_sandbox::parent::Child;
use izba_sandbox::sandbox::Sandbox;
use izba_sys::signal;

use crate::args::run::RunArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::launch::Company;
use crate::record::{Asked, Name, Record, Reservation};
use crate::sweep::{self, Sweeping};
use crate::{kept, output, result};

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
    /// systemd removes a group as soon as it is empty, so want of memory is noticed when it comes.
    watch: Option<Watch>,
    usage: Option<Usage>,
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
            watch: None,
            usage: None,
        }
    }

    /// What the run has used, if somebody wants it; or why it had to be ended.
    pub fn end(self) -> Result<Option<Usage>> {
        self.unfindable.map_or(Ok(self.usage), Err)
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

    /// A run that can't lack memory, and whose usage nobody wants, has nothing read.
    fn is_counted(&self) -> bool {
        self.args.limits.memory.memory.is_some() || self.args.group.result.is_some()
    }
}

impl Company for RunCompany<'_> {
    fn before(&mut self) -> Result<()> {
        self.reservation = self.args.name.as_ref().map(|name| reserve(name, self.caller)).transpose()?;
        Ok(())
    }

    fn started(&mut self, child: &mut Child) -> Result<()> {
        if self.is_counted() && child.group().unit.is_some() {
            self.watch = Group::open(child.group()).and_then(|group| group.watch()).ok().flatten();
        }
        let parent = swept_parent(self.sandbox);
        self._sweeping = sweep::in_background(&self.args.root.cache, self.caller, parent);
        Ok(())
    }

    fn settled(&mut self, child: &Child) {
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
        self.watch.as_ref().filter(|watch| !watch.is_gone()).map(AsFd::as_fd)
    }

    fn changed(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.update();
        }
    }

    /// Only who wants the usage waits for all of it, which takes as long as making the group.
    fn ended(&mut self, group: &Place) {
        if !self.is_counted() {
            return;
        }
        let group = Group::open(group);
        let oom = match &mut self.watch {
            Some(watch) => watch.update(),
            None => group.as_ref().ok().and_then(|group| group.oom().ok()).unwrap_or_default(),
        };
        if let Some(note) = result::out_of_memory(oom) {
            output::note(note);
        }
        if self.args.group.result.is_some() {
            let mut usage = group.and_then(|group| group.usage()).unwrap_or_default();
            usage.memory.events.killed = oom.kills;
            usage.memory.limit = oom.limit;
            usage.memory.peak = oom.peak;
            self.usage = Some(usage);
        }
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
