//! The last steps: host name, loopback, and the program's process with its rights.

use std::path::{Path, PathBuf};

use izba_sys::namespace::CloneFlags;
use izba_sys::path::OFlags;

use super::{PlanError, Planner, in_root};
use crate::call::{At, Call, Resolve, Sent, Slot};
use crate::capability::{Capabilities, Capability};
use crate::namespace::{Kind, Loopback, Namespace};
use crate::rootfs::SystemMounts;
use crate::sandbox::{Ids, Process, Terminal, User, WorkingDirectory};
use crate::text::quoted;

/// What the slot of the working directory is called.
pub(super) const WORKING_DIRECTORY: &str = "working directory";

/// What the slot of a terminal's outer end is called.
pub(super) const PSEUDO_TERMINAL: &str = "pseudo-terminal";

/// A file that is called so need not be it, in a root of somebody else's: CVE-2025-52565.
pub(super) fn open_ptmx(at: At, resolve: Resolve, to: Slot) -> Vec<Call> {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    vec![Call::Open { at, flags, resolve, to }, Call::RequireDevice { slot: to, major: 5, minor: 2 }]
}

/// For who looks for the cause of a failure.
pub(super) fn shown_directory(cwd: &WorkingDirectory) -> Option<PathBuf> {
    match cwd {
        WorkingDirectory::Path(path) => Some(path.clone()),
        WorkingDirectory::Kept | WorkingDirectory::Outside(_) => None,
    }
}

impl Planner<'_> {
    /// What only concerns the new namespaces themselves.
    pub(super) fn set_up_namespaces(&mut self) {
        if let Some(name) = &self.sandbox.hostname {
            let shell = format!("hostname {}", quoted(name.to_string_lossy().as_ref()));
            self.step("set the host name", shell, vec![Call::SetHostname(name.clone())]);
        }
        if let Some(name) = &self.sandbox.domainname {
            let shell = format!("domainname {}", quoted(name.to_string_lossy().as_ref()));
            self.step("set the NIS domain name", shell, vec![Call::SetDomainname(name.clone())]);
        }
        if self.sandbox.namespaces.net == Namespace::New(Loopback::Up) {
            self.step("set the loopback up", "ip link set lo up".to_owned(), vec![Call::LoopbackUp]);
        }
    }

    /// From here on the process is the program's own.
    pub(super) fn become_program(&mut self) -> Result<(), PlanError> {
        let process = &self.sandbox.process;
        let pty = self.open_terminal();
        if self.forks_late() {
            self.fork_program();
        }
        self.session(pty);
        self.hand_out_namespaces();
        self.keep_descriptors(process);
        self.working_directory(process);
        // Late, as a low limit of descriptors would stop us too; before the rights to raise one are gone.
        self.limits(process);
        self.rights(process)?;
        self.step("restore the caller's umask and signal mask", None, vec![Call::RestoreUmask, Call::RestoreSignals]);
        let shown: Vec<String> = process.args.iter().map(|arg| quoted(arg.to_string_lossy().as_ref())).collect();
        self.step("execute the program", format!("exec {}", shown.join(" ")), vec![Call::Announce, Call::Exec]);
        self.promise();
        Ok(())
    }

    fn fork_program(&mut self) {
        let stays = if self.is_new(Kind::Pid) { "as its init" } else { "to watch it" };
        // Memory can't be shared across time namespaces: clone(2), EINVAL.
        let enters_time = !self.sandbox.namespaces.is_shared(Kind::Time);
        let fork = if enters_time { Call::Fork { namespaces: CloneFlags::empty(), group: None } } else { Call::Vfork };
        self.step(format!("make the program's process; this one stays {stays}"), None, vec![fork]);
        if !self.is_new(Kind::Pid) {
            self.die_with_supervisor();
        }
    }

    fn open_terminal(&mut self) -> Option<Slot> {
        let Terminal::New { rows, columns } = self.sandbox.process.terminal else { return None };
        let (mut master, slave) = (self.slot(PSEUDO_TERMINAL), self.slot("terminal"));
        let mut calls = match (self.devpts, self.callers_terminal) {
            (Some(devpts), _) => open_ptmx(At::In(devpts, c"ptmx".to_owned()), Resolve::NoLinks, master),
            (None, Some(callers)) => {
                master = callers;
                Vec::new()
            }
            (None, None) => open_ptmx(At::Host(c"/dev/ptmx".to_owned()), Resolve::NoMagicLinks, master),
        };
        calls.push(Call::OpenTerminal { master, to: slave, rows, columns });
        if let User::Become(Ids { uid: uid @ 1.., .. }) = self.sandbox.process.user {
            calls.push(Call::Chown { at: At::Slot(slave), uid, gid: None });
        }
        calls.push(Call::SendToParent { slot: master, what: Sent::Terminal });
        self.step("open a new terminal", None, calls);
        Some(slave)
    }

    fn session(&mut self, pty: Option<Slot>) {
        // A new session has no controlling terminal to push input into with TIOCSTI: CVE-2017-5226.
        self.step("start a new session", "setsid".to_owned(), vec![Call::Setsid]);
        self.step("join a new session keyring", "keyctl new_session".to_owned(), vec![Call::NewSessionKeyring]);
        if let Some(slot) = pty {
            self.step("make the terminal the standard streams", None, vec![Call::AttachTerminal { slot }]);
        }
    }

    /// By the caller's /proc, opened while it was there: its `self` is whoever asks.
    fn hand_out_namespaces(&mut self) {
        let Some(proc) = self.callers_proc else { return };
        for &kind in &self.sandbox.handed_out {
            let to = self.slot(format!("{kind} namespace of the program"));
            let at = At::In(proc, super::c_path(format!("self/ns/{kind}")));
            let open = Call::Open { at, flags: OFlags::RDONLY, resolve: Resolve::Freely, to };
            let send = Call::SendToParent { slot: to, what: Sent::Namespace };
            self.step(format!("hand out the {kind} namespace"), None, vec![open, send]);
        }
    }

    fn limits(&mut self, process: &Process) {
        for limit in &process.rlimits {
            let call = Call::SetRlimit { resource: limit.resource, soft: limit.soft, hard: limit.hard };
            self.step(format!("limit {limit}"), format!("prlimit --{limit}"), vec![call]);
        }
    }

    /// None of ours, and none that the caller has left open by mistake: CVE-2024-21626.
    fn keep_descriptors(&mut self, process: &Process) {
        self.step("keep no descriptors but the standard streams", None, vec![Call::CloseOnExec]);
        for &fd in &process.descriptors {
            self.step(format!("keep descriptor {fd}"), None, vec![Call::KeepOverExec(fd)]);
        }
    }

    /// Opened by descriptor inside the root, so that it can't lie outside: CVE-2024-21626.
    fn working_directory(&mut self, process: &Process) {
        let (path, calls) = match (&process.cwd, self.outer_directory) {
            (WorkingDirectory::Path(path), _) => (path, self.enter_directory(path)),
            (WorkingDirectory::Outside(path), Some(dir)) => (path, vec![Call::Fchdir { dir }]),
            (WorkingDirectory::Outside(_), None) | (WorkingDirectory::Kept, _) => return,
        };
        self.step("enter the working directory", format!("cd {}", quoted(path)), calls);
    }

    fn enter_directory(&mut self, path: &Path) -> Vec<Call> {
        let dir = self.slot(WORKING_DIRECTORY);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let at = match self.root {
            Some(root) => At::In(root, in_root(path)),
            None => At::Host(super::c_path(path)),
        };
        let resolve = if self.root.is_some() { Resolve::InRoot } else { Resolve::NoMagicLinks };
        vec![Call::Open { at, flags, resolve, to: dir }, Call::Fchdir { dir }]
    }

    fn rights(&mut self, process: &Process) -> Result<(), PlanError> {
        if let User::Become(ids) = &process.user {
            let kept = process.capabilities.intersection(self.bounding());
            self.bounding_set(kept, process.no_new_privs)?;
            self.ids(ids)?;
            self.capabilities(ids, kept);
        }
        if process.no_new_privs {
            self.step("forbid new privileges", "setpriv --no-new-privs".to_owned(), vec![Call::NoNewPrivs]);
        }
        Ok(())
    }

    fn capabilities(&mut self, ids: &Ids, kept: Capabilities) {
        let held = if ids.uid == 0 { kept } else { Capabilities::NONE };
        let held = if self.keeps_user_namespace() { held.intersection(self.facts.effective) } else { held };
        let names: Vec<&str> = held.iter().map(Capability::name).collect();
        let shell = format!("capsh --caps='{}=ep'", names.join(",").to_ascii_lowercase());
        self.step("set the capabilities", shell, vec![Call::ClearAmbient, Call::SetCapabilities(held.bits())]);
    }

    fn keeps_user_namespace(&self) -> bool {
        self.sandbox.namespaces.is_shared(Kind::User)
    }

    /// Who enters a user namespace gets a full bounding set, whatever the caller's lacks: user_namespaces(7).
    fn bounding(&self) -> Capabilities {
        if self.keeps_user_namespace() { self.facts.bounding } else { Capabilities::all() }
    }

    /// Takes out what isn't kept, and what the kernel has beyond what this version knows.
    fn bounding_set(&mut self, kept: Capabilities, no_new_privs: bool) -> Result<(), PlanError> {
        let known = self.bounding().iter().filter(|&capability| !kept.contains(capability)).map(Capability::number);
        let dropped: Vec<u8> = known.chain(self.facts.unknown_capabilities.iter().copied()).collect();
        if self.keeps_user_namespace() && !self.facts.may("SETPCAP") {
            // With no_new_privs execve(2) gives nobody more than it has: capabilities(7).
            if no_new_privs || dropped.is_empty() {
                return Ok(());
            }
            return Err(PlanError::new(
                "capabilities can't be taken out of the bounding set without CAP_SETPCAP, and new privileges are allowed",
                "leave out --new-privs, or keep all capabilities with --cap-add ALL",
            ));
        }
        let names: Vec<&str> = kept.iter().map(Capability::name).collect();
        let calls = dropped.into_iter().map(Call::DropFromBoundingSet).collect();
        self.step("shrink the bounding set", format!("capsh --drop=... # keep {}", names.join(",")), calls);
        Ok(())
    }

    fn ids(&mut self, user: &Ids) -> Result<(), PlanError> {
        if self.keeps_user_namespace() && !self.facts.may("SETUID") {
            if (user.uid, user.gid) == (self.facts.uid, self.facts.gid) {
                return Ok(());
            }
            return Err(PlanError::new(
                format!("becoming user {} and group {} takes CAP_SETUID, which you lack", user.uid, user.gid),
                "let the user namespace be new (leave out --share user), or run izba as root",
            ));
        }
        let denied = match &self.sandbox.namespaces.user {
            Namespace::New(maps) => maps.deny_setgroups,
            Namespace::Join(_) => self.facts.joined_denies_setgroups,
            Namespace::Share => false,
        };
        let mut calls = Vec::new();
        // Groups before the user id, which takes the right to change them: CVE-2022-29162.
        if !denied && !self.facts.denies_setgroups {
            calls.push(Call::SetGroups(user.groups.clone()));
        }
        calls.push(Call::SetGid(user.gid));
        calls.push(Call::SetUid(user.uid));
        // A change of ids takes both back: prctl(2), PR_SET_DUMPABLE and PR_SET_PDEATHSIG.
        calls.push(Call::SetDumpable(false));
        if !(self.is_new(Kind::Pid) && self.forks_late()) {
            calls.push(Call::DieWithParent);
        }
        let shell = format!("setpriv --reuid {} --regid {} --groups ...", user.uid, user.gid);
        self.step(format!("become user {} and group {}", user.uid, user.gid), shell, calls);
        Ok(())
    }

    /// What the user should know.
    fn promise(&mut self) {
        // Who repairs a system with the host's own /proc has asked for it, and whose root isn't new expects no house.
        let keeps_the_house = self.sandbox.root.is_callers() || self.sandbox.system == SystemMounts::Caller;
        if !self.is_new(Kind::Pid) && !keeps_the_house {
            self.notes.push(
                "the PID namespace is shared: when izba dies the program is killed, but not what it has left in the background".to_owned(),
            );
        }
    }
}
