//! The last steps: host name, loopback, and the program's process with its rights.

use izba_sys::namespace::CloneFlags;
use izba_sys::path::OFlags;

use super::{Planner, in_root};
use crate::call::{At, Call, Resolve, Slot};
use crate::capability::{Capabilities, Capability};
use crate::namespace::{Kind, Namespace};
use crate::rootfs::SystemMounts;
use crate::sandbox::{Ids, Process, Terminal};
use crate::text::quoted;

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
        if self.is_new(Kind::Net) {
            self.step("set the loopback up", "ip link set lo up".to_owned(), vec![Call::LoopbackUp]);
        }
    }

    /// From here on the process is the program's own.
    pub(super) fn become_program(&mut self) {
        let process = &self.sandbox.process;
        let pty = self.open_terminal();
        if self.forks_late() {
            self.fork_program();
        }
        self.session(pty);
        self.keep_descriptors(process);
        self.working_directory(process);
        // Late, as a low limit of descriptors would stop us too; before the rights to raise one are gone.
        self.limits(process);
        self.rights(process);
        self.step("restore the caller's umask and signal mask", None, vec![Call::RestoreUmask, Call::RestoreSignals]);
        let shown: Vec<String> = process.args.iter().map(|arg| quoted(arg.to_string_lossy().as_ref())).collect();
        self.step("execute the program", format!("exec {}", shown.join(" ")), vec![Call::Exec]);
        self.promise();
    }

    fn fork_program(&mut self) {
        let stays = if self.is_new(Kind::Pid) { "as its init" } else { "to watch it" };
        // Memory can't be shared across time namespaces: clone(2), EINVAL.
        let enters_time = !self.sandbox.namespaces.is_shared(Kind::Time);
        let fork = if enters_time { Call::Fork { namespaces: CloneFlags::empty() } } else { Call::Vfork };
        self.step(format!("make the program's process; this one stays {stays}"), None, vec![fork]);
        if !self.is_new(Kind::Pid) {
            self.die_with_supervisor();
        }
    }

    fn open_terminal(&mut self) -> Option<Slot> {
        let Terminal::New { rows, columns } = self.sandbox.process.terminal else { return None };
        let (master, slave) = (self.slot("pseudo-terminal"), self.slot("terminal"));
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let open = match self.devpts {
            Some(devpts) => {
                Call::Open { at: At::In(devpts, c"ptmx".to_owned()), flags, resolve: Resolve::NoLinks, to: master }
            }
            None => Call::Open { at: At::Host(c"/dev/ptmx".to_owned()), flags, resolve: Resolve::Freely, to: master },
        };
        let calls =
            vec![open, Call::OpenTerminal { master, to: slave, rows, columns }, Call::SendToParent { slot: master }];
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
        let dir = self.slot("working directory");
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let at = match self.root {
            Some(root) => At::In(root, in_root(&process.cwd)),
            None => At::Host(super::c_path(&process.cwd)),
        };
        let resolve = if self.root.is_some() { Resolve::InRoot } else { Resolve::Freely };
        let calls = vec![Call::Open { at, flags, resolve, to: dir }, Call::Fchdir { dir }];
        self.step("enter the working directory", format!("cd {}", quoted(&process.cwd)), calls);
    }

    fn rights(&mut self, process: &Process) {
        let available = self.bounding();
        let kept = process.capabilities.intersection(available);
        self.bounding_set(available, kept);
        self.ids(&process.user);
        let held = if process.user.uid == 0 { kept } else { Capabilities::NONE };
        let names: Vec<&str> = held.iter().map(Capability::name).collect();
        let shell = format!("capsh --caps='{}=ep'", names.join(",").to_ascii_lowercase());
        self.step("set the capabilities", shell, vec![Call::ClearAmbient, Call::SetCapabilities(held.bits())]);
        if process.no_new_privs {
            self.step("forbid new privileges", "setpriv --no-new-privs".to_owned(), vec![Call::NoNewPrivs]);
        }
    }

    /// Who enters a user namespace gets a full bounding set, whatever the caller's lacks: user_namespaces(7).
    fn bounding(&self) -> Capabilities {
        if self.sandbox.namespaces.is_shared(Kind::User) { self.facts.bounding } else { Capabilities::all() }
    }

    fn bounding_set(&mut self, available: Capabilities, kept: Capabilities) {
        let dropped = available.iter().filter(|&capability| !kept.contains(capability));
        let calls: Vec<Call> = dropped.map(|capability| Call::DropFromBoundingSet(capability.number())).collect();
        // Taking from the bounding set needs CAP_SETPCAP. Who lacks it keeps the set, and with it what execve(2) of a file with
        // capabilities could give the caller as well.
        if self.is_new(Kind::User) || self.sandbox.namespaces.joined(Kind::User).is_some() || self.facts.may("SETPCAP")
        {
            let names: Vec<&str> = kept.iter().map(Capability::name).collect();
            self.step("shrink the bounding set", format!("capsh --drop=... # keep {}", names.join(",")), calls);
        }
    }

    fn ids(&mut self, user: &Ids) {
        let denied = match &self.sandbox.namespaces.user {
            Namespace::New(maps) => maps.deny_setgroups,
            Namespace::Join(_) => self.facts.joined_denies_setgroups,
            Namespace::Share => false,
        };
        let denied = denied || self.facts.denies_setgroups;
        let mut calls = Vec::new();
        let changes =
            self.is_new(Kind::User) || self.sandbox.namespaces.joined(Kind::User).is_some() || self.facts.may("SETUID");
        if changes {
            // Groups before the user id, which takes the right to change them: CVE-2022-29162.
            if !denied {
                calls.push(Call::SetGroups(user.groups.clone()));
            }
            calls.push(Call::SetGid(user.gid));
            calls.push(Call::SetUid(user.uid));
        }
        let shell = format!("setpriv --reuid {} --regid {} --groups ...", user.uid, user.gid);
        self.step(format!("become user {} and group {}", user.uid, user.gid), shell, calls);
    }

    /// What the user should know.
    fn promise(&mut self) {
        // Who repairs a system with the host's own /proc has asked for it.
        if !self.is_new(Kind::Pid) && self.sandbox.system != SystemMounts::Caller {
            self.notes.push(
                "the PID namespace is shared: when izba dies the program is killed, but not what it has left in the background".to_owned(),
            );
        }
    }
}
