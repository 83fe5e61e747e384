//! What a run's group counts.

use std::os::fd::{AsFd, BorrowedFd};

use izba_sandbox::cgroup::group::{Usage, Watch};
use izba_sandbox::cgroup::{ControlGroup, Controller, Group, Place};

use crate::{output, result};

/// Reads it for the end of a run. systemd removes a group as soon as it is empty, so one of its own is read while the program runs, too.
#[derive(Debug, Default)]
pub struct Count {
    /// Whether its end may be explained with a lack of memory.
    memory: bool,
    /// Whether somebody wants all that was used.
    all: bool,
    /// A group that systemd removes.
    scope: Option<Group>,
    watch: Option<Watch>,
    usage: Option<Usage>,
}

impl Count {
    /// A run whose memory isn't counted, and whose usage nobody wants, has nothing read.
    pub fn of(group: &ControlGroup, all: bool) -> Self {
        Self { memory: counts_memory(group), all, ..Self::default() }
    }

    /// The program has been executed.
    pub fn begin(&mut self, group: &Place) {
        if group.unit.is_none() || !(self.memory || self.all) {
            return;
        }
        self.scope = Group::open(group).ok();
        self.watch = self.scope.as_ref().and_then(|group| group.watch().ok().flatten());
    }

    /// What tells by POLLPRI that there is more.
    pub fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().filter(|watch| !watch.is_gone()).map(AsFd::as_fd)
    }

    /// Reads what may not be there any more at the end.
    pub fn read(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.update();
        }
        if let (true, Some(group)) = (self.all, &self.scope) {
            self.keep(group.usage().ok());
        }
    }

    /// What can't be read doesn't replace what was known.
    fn keep(&mut self, usage: Option<Usage>) {
        self.usage = usage.or_else(|| self.usage.take());
    }

    /// The program has ended. Only who wants all of the usage waits for it, which takes as long as making the group.
    pub fn end(&mut self, group: &Place) {
        if !(self.memory || self.all) {
            return;
        }
        let group = Group::open(group).ok();
        let oom = match &mut self.watch {
            Some(watch) => watch.update(),
            None => group.as_ref().and_then(|group| group.oom().ok()).unwrap_or_default(),
        };
        if let Some(note) = result::out_of_memory(oom) {
            output::note(note);
        }
        if self.all {
            self.keep(group.and_then(|group| group.usage().ok()));
            let memory = &mut self.usage.get_or_insert_default().memory;
            (memory.events.killed, memory.limit, memory.peak) = (oom.kills, oom.limit, oom.peak);
        }
    }

    /// What the run has used, if somebody wants it.
    pub fn usage(self) -> Option<Usage> {
        self.usage
    }
}

/// Where memory is counted processes may be ended for want of it, whichever option has limited it, or limits it later.
fn counts_memory(group: &ControlGroup) -> bool {
    let ControlGroup::New(new) = group else { return false };
    new.controllers.contains(&Controller::Memory) || new.limits.controllers().contains(&Controller::Memory)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use izba_sandbox::cgroup::{Driver, Enforcement, Limits, NewGroup, Parent};

    use super::*;

    fn group(conf: &[&str], controllers: &[Controller]) -> ControlGroup {
        let unified = conf.iter().map(|&file| (file.to_owned(), "1".to_owned())).collect();
        ControlGroup::New(Box::new(NewGroup {
            name: "izba-7".to_owned(),
            driver: Driver::Files(Parent::Nearest),
            limits: Limits { unified, ..Limits::default() },
            controllers: controllers.iter().copied().collect::<BTreeSet<_>>(),
            enforcement: Enforcement::Required,
        }))
    }

    #[test]
    fn memory_is_counted_by_whatever_it_is_limited() {
        assert!(counts_memory(&group(&["memory.max"], &[])) && counts_memory(&group(&[], &[Controller::Memory])));
        assert!(!counts_memory(&group(&["pids.max"], &[Controller::Cpu])) && !counts_memory(&ControlGroup::Caller));
    }

    #[test]
    fn what_was_read_last_stays_when_the_group_has_gone() {
        let mut count = Count::of(&group(&[], &[]), true);
        let mut usage = Usage::default();
        usage.pids.peak = Some(3);
        count.keep(Some(usage));
        count.keep(None);
        let gone = Place { unified: Some("/nonexistent".into()), ..Place::default() };
        count.end(&gone);
        assert_eq!(count.usage().unwrap().pids.peak, Some(3));
    }
}
