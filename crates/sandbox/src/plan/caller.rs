//! A root that isn't new: the caller's own, or that of the mount namespace that is joined.

use izba_sys::path::OFlags;

use super::program::{PSEUDO_TERMINAL, open_ptmx};
use super::system::{inert, no_new_proc};
use super::{PlanError, Planner, c_path};
use crate::call::{At, Call, Resolve, Slot};
use crate::namespace::Kind;
use crate::rootfs::{CallerRoot, Root};
use crate::sandbox::{Terminal, WorkingDirectory};

/// What the slot of the caller's procfs is called.
pub(super) const CALLERS_PROC: &str = "procfs of the caller's";

impl Planner<'_> {
    /// What is named by the caller's paths, and used when they mean something else: it is opened before any namespace is joined.
    pub(super) fn open_outer_places(&mut self) {
        if let Root::Caller(CallerRoot { chroot: Some(path), .. }) = &self.sandbox.root {
            let root = self.open_directory("root directory", path);
            self.root = Some(root);
        }
        if let WorkingDirectory::Outside(path) = &self.sandbox.process.cwd {
            self.outer_directory = Some(self.open_directory(super::program::WORKING_DIRECTORY, path));
        }
        if !self.sandbox.handed_out.is_empty() {
            self.callers_proc = Some(self.open_directory(CALLERS_PROC, "/proc".as_ref()));
        }
        let wanted = matches!(self.sandbox.process.terminal, Terminal::New { .. });
        if wanted && self.sandbox.root.is_callers() && !self.facts.has_terminals {
            let master = self.slot(PSEUDO_TERMINAL);
            let calls = open_ptmx(At::Host(c"/dev/ptmx".to_owned()), Resolve::NoMagicLinks, master);
            self.step("open a terminal of the caller's, as there are none inside", None, calls);
            self.callers_terminal = Some(master);
        }
    }

    fn open_directory(&mut self, name: &str, path: &std::path::Path) -> Slot {
        let to = self.slot(name);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        // The caller's own path, which leads through the magic links of /proc/PID.
        let open = Call::Open { at: At::Host(c_path(path)), flags, resolve: Resolve::Freely, to };
        self.step(format!("open the {name} {}", path.display()), None, vec![open]);
        to
    }

    /// What a new mount namespace is given before anything else happens in it.
    pub(super) fn change_mounts(&mut self, kept: &CallerRoot) -> Result<(), PlanError> {
        if let Some(propagation) = kept.propagation {
            self.propagate(propagation);
        }
        if kept.proc {
            self.new_proc()?;
        }
        Ok(())
    }

    fn new_proc(&mut self) -> Result<(), PlanError> {
        if !self.facts.proc_fully_visible {
            return Err(no_new_proc("leave out the new /proc"));
        }
        if !self.owns(Kind::Pid) {
            return Err(PlanError::new(
                "a new /proc shows the PID namespace, which isn't the new user namespace's own: the kernel refuses it",
                "let the PID namespace be new too (--pid)",
            ));
        }
        let (proc, place) = (self.slot("proc"), self.slot("place of /proc"));
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let (at, resolve) = match self.root {
            Some(root) => (At::In(root, c"proc".to_owned()), Resolve::NoLinks),
            None => (At::Host(c"/proc".to_owned()), Resolve::NoMagicLinks),
        };
        let mut calls = self.new_filesystem("proc", "proc".as_ref(), [], inert(), proc);
        calls.push(Call::Open { at, flags, resolve, to: place });
        calls.push(Call::MoveMount { mount: proc, target: At::Slot(place) });
        self.step("mount a new /proc", "mount -t proc -o nosuid,nodev,noexec proc /proc".to_owned(), calls);
        Ok(())
    }
}
