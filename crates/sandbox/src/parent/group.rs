//! The parent's calls for the group that the child is made in, or is put into by systemd.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use izba_sys::path::{self, CWD, Mode, OFlags};
use izba_sys::{Errno, process};

use super::{Done, empty_slots};
use crate::call::{At, Call, Resolve, Slot, StartScope};
use crate::cgroup::systemd::{Address, PATIENCE, Scope, Systemd, SystemdError};
use crate::cgroup::{self, OwnGroup, Unit, device};
use crate::child::write_once;
use crate::plan::{Plan, Step};
use crate::report::{Problem, StartError, StepError};

/// How often the groups above are made again that another run, which has ended, removes before there is a group of ours in them.
const TRIES: u32 = 100;

/// What the parent has opened and made.
pub(super) struct Held {
    pub slots: Vec<Option<OwnedFd>>,
    /// Dropping it removes it.
    pub group: OwnGroup,
    /// Limits that the kernel has refused, in words.
    pub left_out: Vec<String>,
}

impl Held {
    /// Does the steps that come before there is a child.
    pub fn before(plan: &Plan, observe: &mut Option<&mut dyn FnMut(Done<'_>)>) -> Result<Self, StartError> {
        let mut held = Self { slots: empty_slots(plan), group: OwnGroup::default(), left_out: Vec::new() };
        let (mut index, mut way_down, mut tries) = (0, 0, TRIES);
        while let Some(step) = plan.before.get(index) {
            let started = process::monotonic_nanoseconds();
            match held.step(plan, step) {
                Ok(()) => index += 1,
                Err((call, errno)) if tries > 0 && is_removed_above(call, errno) => {
                    (index, tries) = (way_down, tries - 1);
                    continue;
                }
                Err((call, errno)) => {
                    let error = StepError::outside(plan, step, call, Problem::Errno(errno));
                    return Err(StartError::Step(Box::new(error)));
                }
            }
            if !step.calls.iter().all(leads_down) {
                way_down = index;
            }
            if let Some(observe) = observe {
                observe(Done { step, nanoseconds: process::monotonic_nanoseconds() - started });
            }
        }
        Ok(held)
    }

    /// What a slot holds.
    pub fn fd(&self, slot: Slot) -> Result<BorrowedFd<'_>, Errno> {
        self.slots.get(usize::from(slot.0)).and_then(Option::as_ref).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Fills a slot.
    pub fn keep(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), Errno> {
        *self.slots.get_mut(usize::from(slot.0)).ok_or(Errno::BADF)? = Some(fd);
        Ok(())
    }

    fn step<'a>(&mut self, plan: &Plan, step: &'a Step) -> Result<(), (&'a Call, Errno)> {
        step.calls.iter().try_for_each(|call| match self.call(call) {
            Err(errno) if !self.leaves_out(plan, step, call, errno) => Err((call, errno)),
            _ => Ok(()),
        })
    }

    /// Can the start go on without what has just failed? Then it is noted.
    pub fn leaves_out(&mut self, plan: &Plan, step: &Step, call: &Call, errno: Errno) -> bool {
        let left_out = plan.best_effort && matches!(call, Call::WriteLimit { .. } | Call::AttachDevices { .. });
        if left_out {
            self.left_out.push(format!("left out: {}: {errno}", step.title));
        }
        left_out
    }

    /// One call that needs no child.
    pub fn call(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::MakeGroupAbove { path } => self.group.make_above(host(path)),
            Call::FillGroupAbove { file, content } => cgroup::fill(file, content),
            Call::MakeGroup { path, controllers, to } => {
                let made = self.group.make(host(path), controllers)?;
                self.keep(*to, made)
            }
            Call::Open { at: At::Host(path), flags, resolve, to } => {
                let flags = *flags | OFlags::CLOEXEC;
                let opened = path::openat2(CWD, path, flags, Mode::empty(), resolve.flags())?;
                self.keep(*to, opened)
            }
            Call::WriteSetting { at: At::Host(path), content } => {
                write_once(&path::openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?, content)
            }
            Call::WriteSetting { at: At::In(group, file), content } => self.write(*group, file, content),
            Call::WriteLimit { group, files, required } => self.write_limit(*group, files, *required),
            Call::AttachDevices { group, program } => device::attach(self.fd(*group)?, program)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            _ => Err(Errno::NOSYS),
        }
    }

    /// Has systemd put the child into a scope.
    pub fn start_scope(&mut self, wanted: &StartScope, to: Slot, child: i32) -> Result<(), Problem> {
        let StartScope { bus, slice, unit, description, properties, top } = wanted;
        let pids = [child.unsigned_abs()];
        let scope = Scope { unit, slice: slice.as_ref(), description, pids: &pids, properties };
        let started = Systemd::connect(bus, PATIENCE).and_then(|mut systemd| systemd.start_scope(&scope));
        let path = started.map_err(|error| Problem::Systemd(Box::new(error)))?;
        let dir = top.join(path.strip_prefix("/").unwrap_or(&path));
        let adopted = self.group.adopt(&dir, Unit { name: unit.clone(), manager: bus.manager() }, child);
        let opened = adopted.map_err(|errno| match errno {
            Errno::SRCH => {
                let elsewhere = SystemdError::Elsewhere { unit: unit.clone(), process: child, group: dir };
                Problem::Systemd(Box::new(elsewhere))
            }
            errno => Problem::Errno(errno),
        })?;
        self.keep(to, opened).map_err(Problem::Errno)
    }

    fn write(&self, group: Slot, file: &CStr, content: &[u8]) -> Result<(), Errno> {
        let (flags, resolve) = (OFlags::WRONLY | OFlags::CLOEXEC, Resolve::NoLinks.flags());
        write_once(&path::openat2(self.fd(group)?, file, flags, Mode::empty(), resolve)?, content)
    }

    /// Writes every file that the kernel has. Of two that stand for each other one may be there without working: io.weight says EOPNOTSUPP of a
    /// single disk where io.cost was never enabled for it.
    fn write_limit(&self, group: Slot, files: &[(CString, Vec<u8>)], required: bool) -> Result<(), Errno> {
        let twins = files.len() > 1;
        let mut outcome = if required { Err(Errno::NOENT) } else { Ok(()) };
        for (file, content) in files {
            match self.write(group, file, content) {
                Err(Errno::NOENT) => {}
                // Of a file that isn't there, too, this is the better reason.
                Err(Errno::OPNOTSUPP) if twins => outcome = outcome.map_err(|_absent| Errno::OPNOTSUPP),
                Err(errno) => return Err(errno),
                Ok(()) => outcome = Ok(()),
            }
        }
        outcome
    }
}

/// Does it make a group above the new one, or have it hand controllers on? Until the new one is made, these can be removed.
fn leads_down(call: &Call) -> bool {
    matches!(call, Call::MakeGroupAbove { .. } | Call::WriteSetting { at: At::Host(_), .. })
}

/// A file that is open says ENODEV once its group is gone.
fn is_removed_above(call: &Call, errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NODEV) && (leads_down(call) || matches!(call, Call::MakeGroup { .. }))
}

/// Has systemd put the child into a unit that is there.
pub(super) fn attach(bus: &Address, unit: &str, below: &str, child: i32) -> Result<(), Problem> {
    let attached =
        Systemd::connect(bus, PATIENCE).and_then(|mut systemd| systemd.attach(unit, below, &[child.unsigned_abs()]));
    attached.map_err(|error| Problem::Systemd(Box::new(error)))
}

fn host(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;
    use crate::cgroup::{Bound, ControlGroup, Driver, Enforcement, Layout, Limits, NewGroup, Parent};
    use crate::facts::Facts;
    use crate::rootfs::{Root, Writes};
    use crate::sandbox::Sandbox;

    /// A group `name` in `parent` with a limit of processes.
    fn plan(name: &str, parent: &Path, enforcement: Enforcement) -> Plan {
        limited(name, parent, enforcement, Limits { pids: Some(Bound::At(20)), ..Limits::default() })
    }

    fn limited(name: &str, parent: &Path, enforcement: Enforcement, limits: Limits) -> Plan {
        let root = Root::Directory { path: "/".into(), writes: Writes::InPlace };
        let mut sandbox = Sandbox::new(root, c"/bin/true", &[c"true"]);
        let new = NewGroup {
            name: name.to_owned(),
            driver: Driver::Files(Parent::Path(parent.to_owned())),
            limits,
            controllers: BTreeSet::new(),
            enforcement,
        };
        let cgroups = Layout::look(&new);
        sandbox.cgroup = ControlGroup::New(Box::new(new));
        let facts = Facts { cgroups, ..Facts::gather(&sandbox).unwrap() };
        Plan::new(&sandbox, &facts).unwrap()
    }

    /// Where the groups are.
    fn dirs(held: &Held) -> Vec<PathBuf> {
        held.group.place().dirs().map(Path::to_owned).collect()
    }

    #[test]
    fn runs_that_share_a_group_above_do_not_hinder_each_other_and_leave_nothing() {
        let name = format!("izba-test-shared-{}", std::process::id());
        let parent = Path::new("/").join(&name).join("inner");
        let mut limits = Limits { pids: Some(Bound::At(20)), ..Limits::default() };
        // A new cpuset of v1 has to be filled.
        if Path::new("/sys/fs/cgroup/cpuset").is_dir() {
            limits.cpu.cpus = Some("0".parse().unwrap());
        }
        let made = std::thread::scope(|scope| {
            let makers = [0, 1, 2].map(|maker| {
                let (parent, limits) = (&parent, &limits);
                scope.spawn(move || {
                    let mut made = Vec::new();
                    for round in 0..60 {
                        let name = format!("{maker}-{round}");
                        let plan = limited(&name, parent, Enforcement::Required, limits.clone());
                        let held = Held::before(&plan, &mut None).unwrap();
                        made = dirs(&held);
                        held.group.remove().unwrap();
                    }
                    made
                })
            });
            makers.map(|maker| maker.join().unwrap())
        });
        for dir in made.iter().flatten() {
            let top = dir.ancestors().find(|above| above.ends_with(&name)).expect("a group below the named one");
            assert!(!top.exists(), "{}", top.display());
        }
        assert!(made.iter().all(|dirs| !dirs.is_empty()));
    }

    #[test]
    fn a_limit_that_the_kernel_refuses_is_an_error_or_is_said() {
        let parent = PathBuf::from(format!("/izba-test-left-out-{}", std::process::id()));
        let refused = |enforcement| {
            let mut plan = plan("a", &parent, enforcement);
            for call in plan.before.iter_mut().flat_map(|step| &mut step.calls) {
                if let Call::WriteLimit { files, .. } = call {
                    files[0].1 = b"many".to_vec();
                }
            }
            Held::before(&plan, &mut None)
        };
        assert!(refused(Enforcement::Required).is_err());
        let held = refused(Enforcement::BestEffort).unwrap();
        assert_eq!(held.left_out, ["left out: set pids.max to 20: Invalid argument (os error 22)"]);
        assert!(dirs(&held).iter().all(|dir| dir.is_dir()), "the start goes on");
    }

    /// A threaded group says EOPNOTSUPP of cgroup.kill.
    #[test]
    fn of_two_files_one_has_to_work_and_a_refusal_says_more_than_an_absence() {
        let name = format!("izba-test-twins-{}", std::process::id());
        let tops = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let top = tops.into_iter().find(|top| top.join("cgroup.procs").exists()).unwrap();
        let mut held = Held { slots: vec![None], group: OwnGroup::default(), left_out: Vec::new() };
        let made = held.group.make(&top.join(name), &[]).unwrap();
        held.keep(Slot(0), made).unwrap();
        held.write(Slot(0), c"cgroup.type", b"threaded").unwrap();
        let limit = |files: &[&CStr], required| {
            let files: Vec<_> = files.iter().map(|&file| (file.to_owned(), b"1".to_vec())).collect();
            held.write_limit(Slot(0), &files, required)
        };
        let (absent, refused, works) = (c"cgroup.absent", c"cgroup.kill", c"cgroup.max.depth");
        assert_eq!(limit(&[absent, absent], true), Err(Errno::NOENT));
        for both in [[refused, absent], [absent, refused], [refused, refused]] {
            assert_eq!(limit(&both, true), Err(Errno::OPNOTSUPP), "{both:?}");
            assert_eq!(limit(&both, false), Ok(()), "{both:?}");
        }
        assert_eq!(limit(&[refused, works], true), Ok(()));
        assert_eq!(limit(&[works, refused], true), Ok(()));
        held.group.remove().unwrap();
    }
}
