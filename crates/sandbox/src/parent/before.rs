//! What the parent does before there is a child: the group that this is made in.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use izba_sys::path::{self, CWD, Mode, OFlags};
use izba_sys::{Errno, process};

use super::{Done, empty_slots};
use crate::call::{At, Call, Resolve, Slot};
use crate::cgroup::{OwnGroup, device};
use crate::child::write_once;
use crate::plan::{Plan, Step};
use crate::report::{Problem, StartError, StepError};

/// What these steps have opened and made.
pub(super) struct Before {
    slots: Vec<Option<OwnedFd>>,
    /// Dropping it removes it.
    pub group: OwnGroup,
}

impl Before {
    /// Does them all.
    pub fn run(plan: &Plan, observe: &mut Option<&mut dyn FnMut(Done<'_>)>) -> Result<Self, StartError> {
        let mut before = Self { slots: empty_slots(plan), group: OwnGroup::default() };
        for step in &plan.before {
            let started = process::monotonic_nanoseconds();
            before.step(plan, step)?;
            if let Some(observe) = observe {
                observe(Done { step, nanoseconds: process::monotonic_nanoseconds() - started });
            }
        }
        Ok(before)
    }

    /// What a slot holds, if it is one.
    pub fn fd(&self, slot: Slot) -> Result<BorrowedFd<'_>, Errno> {
        self.slots.get(usize::from(slot.0)).and_then(Option::as_ref).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    fn step(&mut self, plan: &Plan, step: &Step) -> Result<(), StartError> {
        step.calls.iter().try_for_each(|call| {
            self.call(call).map_err(|errno| {
                StartError::Step(Box::new(StepError::outside(plan, step, call, Problem::Errno(errno))))
            })
        })
    }

    fn call(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::MakeGroupAbove { path } => self.group.make_above(host(path)),
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

    fn write(&self, group: Slot, file: &CStr, content: &[u8]) -> Result<(), Errno> {
        let (flags, resolve) = (OFlags::WRONLY | OFlags::CLOEXEC, Resolve::NoLinks.flags());
        write_once(&path::openat2(self.fd(group)?, file, flags, Mode::empty(), resolve)?, content)
    }

    fn write_limit(&self, group: Slot, files: &[(CString, Vec<u8>)], required: bool) -> Result<(), Errno> {
        let mut written = !required;
        for (file, content) in files {
            match self.write(group, file, content) {
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
                Ok(()) => written = true,
            }
        }
        if written { Ok(()) } else { Err(Errno::NOENT) }
    }

    fn keep(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), Errno> {
        *self.slots.get_mut(usize::from(slot.0)).ok_or(Errno::BADF)? = Some(fd);
        Ok(())
    }
}

fn host(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}
