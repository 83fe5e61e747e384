//! The child: makes the calls of the plan, one after the other, from clone3(2) to execve(2).
//!
//! Nothing here allocates, locks, formats or panics: another thread of the caller may have held the allocator's lock
//! when the child was made, and will never let go of it.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::credential::{self, CapabilitySet, CapabilitySets, DumpableBehavior, Gid, Uid};
use izba_sys::mount::{self, FsMountFlags, FsOpenFlags, MountChange, MoveMountFlags, UnmountFlags};
use izba_sys::path::{self, AtFlags, CWD, FileType, Mode, OFlags};
use izba_sys::process::{self, CStringArray, Signal, Stack};
use izba_sys::rlimit::Rlimit;
use izba_sys::signal::{self, SignalSet};
use izba_sys::terminal::{self, OpenptFlags, Winsize};
use izba_sys::{namespace, network, socket};

use crate::call::{At, Call, Resolve, Sent, Slot};
use crate::message::{Message, Report};
use crate::plan::Plan;
use crate::supervise::supervise;

/// What the calls of a plan work on, made ready before the clone.
pub(crate) struct Executor<'a> {
    pub plan: &'a Plan,
    pub args: &'a CStringArray,
    pub env: &'a CStringArray,
    /// One place for each slot of the plan.
    pub slots: Vec<Option<OwnedFd>>,
    /// To the parent.
    pub channel: OwnedFd,
    /// A pidfd of the caller, whose end ends everything.
    pub caller: OwnedFd,
    /// The caller's signal mask.
    pub mask: SignalSet,
    /// The caller's umask, once it has been cleared.
    pub umask: Mode,
    /// For the program's process until it executes.
    pub stack: Option<Stack>,
    /// Tell the parent of every step?
    pub explain: bool,
}

impl Executor<'_> {
    /// Runs the plan. Comes back in no process.
    pub(crate) fn run(mut self) -> ! {
        self.run_from(0)
    }

    fn run_from(&mut self, first: usize) -> ! {
        let plan = self.plan;
        for (step_index, step) in plan.inside.iter().enumerate().skip(first) {
            let started = self.now();
            for (call_index, call) in step.calls.iter().enumerate() {
                let result = match call {
                    Call::Vfork => self.vfork(step_index, started),
                    other => self.call(other),
                };
                if let Err(errno) = result {
                    self.fail(step_index, call_index, errno);
                }
            }
            self.done(step_index, started);
        }
        process::exit(crate::STATUS_FAILED)
    }

    /// The child goes on with the next step. This process stands still until the program is executed, and then watches it.
    fn vfork(&mut self, step: usize, started: u64) -> Result<(), Errno> {
        // Never dropped here, as dropping frees.
        let Some(mut stack) = self.stack.take().map(ManuallyDrop::new) else { return Err(Errno::NOMEM) };
        let program = process::vfork(&mut stack, &mut || {
            self.done(step, started);
            self.run_from(step + 1)
        })?;
        supervise(program, self.caller.as_fd())
    }

    fn done(&self, step: usize, started: u64) {
        if self.explain {
            self.tell(&Message::Done(Report { step, call: 0, errno: 0, started, ended: self.now() }), &[]);
        }
    }

    fn now(&self) -> u64 {
        if self.explain { process::monotonic_nanoseconds() } else { 0 }
    }

    fn tell(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) {
        // A parent that is gone has nobody to tell.
        let _gone = socket::send(self.channel.as_fd(), &message.encode(), descriptors);
    }

    /// Reports a failure, with the root as it now is, in which the parent can look for its cause.
    fn fail(&self, step: usize, call: usize, errno: Errno) -> ! {
        let report = Report { step, call, errno: errno.raw_os_error(), started: 0, ended: 0 };
        let message = Message::Failed(report);
        match path::openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(root) => self.tell(&message, &[root.as_fd()]),
            Err(_) => self.tell(&message, &[]),
        }
        // The mounts live as long as we do. The parent ends us, or its own end does.
        let _gone = socket::receive(self.channel.as_fd(), &mut [0], &mut drop);
        process::exit(crate::STATUS_FAILED)
    }

    fn fd(&self, slot: Slot) -> Result<BorrowedFd<'_>, Errno> {
        self.slots.get(usize::from(slot.0)).and_then(Option::as_ref).map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    fn keep(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), Errno> {
        *self.slots.get_mut(usize::from(slot.0)).ok_or(Errno::BADF)? = Some(fd);
        Ok(())
    }

    /// One kernel call.
    pub(crate) fn call(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::OpenTree { .. }
            | Call::FsOpen { .. }
            | Call::FsConfig { .. }
            | Call::FsCreate { .. }
            | Call::FsMount { .. }
            | Call::MountSetattr { .. }
            | Call::MoveMount { .. }
            | Call::PivotRoot
            | Call::DetachOldRoot
            | Call::Chroot => self.mounting(call),
            Call::Open { .. }
            | Call::RefuseFilesystem { .. }
            | Call::RequireDevice { .. }
            | Call::Mkdir { .. }
            | Call::Mknod { .. }
            | Call::Symlink { .. }
            | Call::Unlink { .. }
            | Call::MakeFile { .. }
            | Call::WriteSetting { .. }
            | Call::Chown { .. }
            | Call::Fchdir { .. } => self.files(call),
            Call::AwaitParent { .. } | Call::SendToParent { .. } | Call::Fork { .. } | Call::Announce | Call::Exec => {
                self.processes(call)
            }
            Call::OpenTerminal { .. } | Call::AttachTerminal { .. } => self.terminals(call),
            _ => self.state(call),
        }
    }

    fn mounting(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::OpenTree { from, recursive, to } => {
                let (dir, path) = self.at(from)?;
                let tree = mount::copy_tree(dir, path, *recursive)?;
                self.keep(*to, tree)
            }
            Call::FsOpen { fstype, to } => {
                let fs = mount::fsopen(fstype.as_c_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
                self.keep(*to, fs)
            }
            Call::FsConfig { fs, key, value: Some(value) } => {
                mount::fsconfig_set_string(self.fd(*fs)?, key.as_c_str(), value.as_c_str())
            }
            Call::FsConfig { fs, key, value: None } => mount::fsconfig_set_flag(self.fd(*fs)?, key.as_c_str()),
            Call::FsCreate { fs } => mount::fsconfig_create(self.fd(*fs)?),
            Call::FsMount { fs, attributes, to } => {
                let mount = mount::fsmount(self.fd(*fs)?, FsMountFlags::FSMOUNT_CLOEXEC, *attributes)?;
                self.keep(*to, mount)
            }
            Call::MountSetattr { at, recursive, set, propagation, idmap } => {
                let idmap = idmap.map(|slot| self.fd(slot)).transpose()?;
                let change = MountChange { set: *set, propagation: *propagation, idmap };
                let (dir, path) = self.at(at)?;
                mount::mount_setattr(dir, path, *recursive, change)
            }
            Call::MoveMount { mount, target } => self.move_mount(*mount, target),
            Call::PivotRoot => mount::pivot_root(c".", c"."),
            Call::DetachOldRoot => mount::unmount(c".", UnmountFlags::DETACH),
            Call::Chroot => mount::chroot(c"."),
            _ => Err(Errno::NOSYS),
        }
    }

    fn at<'b>(&'b self, at: &'b At) -> Result<(BorrowedFd<'b>, &'b std::ffi::CStr), Errno> {
        Ok(match at {
            At::Host(path) => (CWD, path),
            At::Slot(slot) => (self.fd(*slot)?, c""),
            At::In(slot, path) => (self.fd(*slot)?, path),
        })
    }

    fn move_mount(&self, mount: Slot, target: &At) -> Result<(), Errno> {
        let (dir, path) = self.at(target)?;
        let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        flags.set(MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH, path.is_empty());
        mount::move_mount(self.fd(mount)?, c"", dir, path, flags)
    }

    fn files(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::Open { at, flags, resolve, to } => {
                let opened = self.open(at, *flags, *resolve)?;
                self.keep(*to, opened)
            }
            Call::RefuseFilesystem { slot, magic } => {
                let found = u64::try_from(path::fstatfs(self.fd(*slot)?)?.f_type).unwrap_or(0);
                if found == *magic { Err(Errno::LOOP) } else { Ok(()) }
            }
            Call::RequireDevice { slot, major, minor } => self.require_device(*slot, *major, *minor),
            Call::Mkdir { dir, path, mode } => {
                exists_is_fine(path::mkdirat(self.fd(*dir)?, path.as_c_str(), Mode::from_raw_mode(*mode)))
            }
            Call::Mknod { dir, name, mode, major, minor } => {
                let (mode, device) = (Mode::from_raw_mode(*mode), path::makedev(*major, *minor));
                path::mknodat(self.fd(*dir)?, name.as_c_str(), FileType::CharacterDevice, mode, device)
            }
            Call::Symlink { target, dir, path } => path::symlinkat(target.as_c_str(), self.fd(*dir)?, path.as_c_str()),
            Call::Unlink { dir, name } => match path::unlinkat(self.fd(*dir)?, name.as_c_str(), AtFlags::empty()) {
                Err(Errno::NOENT) => Ok(()),
                other => other,
            },
            Call::MakeFile { dir, path, mode, content } => self.make_file(*dir, path, *mode, content),
            Call::WriteSetting { at, content } => {
                let resolve = if matches!(at, At::Host(_)) { Resolve::Freely } else { Resolve::NoLinks };
                write_once(&self.open(at, OFlags::WRONLY, resolve)?, content)
            }
            Call::Fchdir { dir } => mount::fchdir(self.fd(*dir)?),
            Call::Chown { at, uid, gid } => {
                let (dir, path) = self.at(at)?;
                path::chown_at(dir, path, *uid, *gid)
            }
            _ => Err(Errno::NOSYS),
        }
    }

    fn open(&self, at: &At, flags: OFlags, resolve: Resolve) -> Result<OwnedFd, Errno> {
        let (dir, path) = self.at(at)?;
        path::openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve.flags())
    }

    fn require_device(&self, slot: Slot, major: u32, minor: u32) -> Result<(), Errno> {
        let stat = path::fstat(self.fd(slot)?)?;
        let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if device && stat.st_rdev == path::makedev(major, minor) { Ok(()) } else { Err(Errno::NODEV) }
    }

    fn make_file(&self, dir: Slot, path: &std::ffi::CStr, mode: u32, content: &[u8]) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match path::openat(self.fd(dir)?, path, flags, Mode::from_raw_mode(mode)) {
            Ok(file) => write_all(&file, content),
            Err(Errno::EXIST) if content.is_empty() => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn processes(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::AwaitParent { receive } => self.await_parent(receive),
            Call::SendToParent { slot, what } => {
                let message = match what {
                    Sent::Terminal => Message::Terminal,
                    Sent::Namespace => Message::Namespace,
                };
                let message = message.encode();
                socket::send(self.channel.as_fd(), &message, &[self.fd(*slot)?])
            }
            Call::Fork { namespaces, .. } => match process::clone3(*namespaces, None)? {
                None => Ok(()),
                Some(program) => supervise(program.pid, self.caller.as_fd()),
            },
            Call::Announce => {
                self.announce();
                Ok(())
            }
            Call::Exec => Err(self.exec()),
            _ => Err(Errno::NOSYS),
        }
    }

    /// Descriptors arrive in the order of their slots, in as many messages as the parent needs.
    fn await_parent(&mut self, receive: &[Slot]) -> Result<(), Errno> {
        let mut waiting = receive.iter();
        loop {
            let expected = waiting.len().min(socket::MOST_DESCRIPTORS);
            let (mut buffer, mut arrived) = ([0; 1], 0);
            let slots = &mut self.slots;
            let mut take = |fd| {
                arrived += 1;
                if let Some(place) = waiting.next().and_then(|slot| slots.get_mut(usize::from(slot.0))) {
                    *place = Some(fd);
                }
            };
            if socket::receive(self.channel.as_fd(), &mut buffer, &mut take)?.length == 0 {
                // The parent is gone, or has met an error that it tells itself.
                process::exit(crate::STATUS_FAILED);
            }
            if arrived < expected {
                // The kernel leaves out what doesn't fit under RLIMIT_NOFILE: unix(7), MSG_CTRUNC.
                return Err(Errno::MFILE);
            }
            if waiting.len() == 0 {
                return Ok(());
            }
        }
    }

    /// Tells the parent that everything is done, so that a channel that closes without this word means death. Who watches reads of
    /// the steps before the program's own output.
    fn announce(&self) {
        let now = self.now();
        let last =
            Report { step: self.plan.inside.len().saturating_sub(1), call: 0, errno: 0, started: now, ended: now };
        // A watcher that is killed with a start that is given up doesn't take the program's process with it.
        if socket::send(self.channel.as_fd(), &Message::Ready(last).encode(), &[]).is_err() {
            process::exit(crate::STATUS_FAILED);
        }
        if self.explain {
            let _gone = socket::receive(self.channel.as_fd(), &mut [0], &mut drop);
        }
    }

    /// As execvp(3): goes on where a candidate isn't there or may not be executed, and then prefers to say the latter.
    fn exec(&self) -> Errno {
        let mut denied = false;
        let mut last = Errno::NOENT;
        for candidate in &self.plan.program.candidates {
            last = process::execve(candidate, self.args, self.env);
            match last {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => denied = true,
                _ => return last,
            }
        }
        if denied { Errno::ACCESS } else { last }
    }

    fn terminals(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::OpenTerminal { master, to, rows, columns } => {
                let size = Winsize { ws_row: *rows, ws_col: *columns, ws_xpixel: 0, ws_ypixel: 0 };
                terminal::unlockpt(self.fd(*master)?)?;
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                let slave = terminal::ioctl_tiocgptpeer(self.fd(*master)?, flags)?;
                terminal::tcsetwinsize(&slave, size)?;
                self.keep(*to, slave)
            }
            Call::AttachTerminal { slot } => {
                let slave = self.fd(*slot)?;
                terminal::dup2_stdin(slave)?;
                terminal::dup2_stdout(slave)?;
                terminal::dup2_stderr(slave)?;
                terminal::ioctl_tiocsctty(slave)
            }
            _ => Err(Errno::NOSYS),
        }
    }

    /// Calls that change a property of the process or of one of its namespaces.
    fn state(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::SetHostname(name) => namespace::sethostname(name.to_bytes()),
            Call::SetDomainname(name) => namespace::setdomainname(name.to_bytes()),
            Call::LoopbackUp => network::loopback_up(),
            Call::Setns { namespace, kind } => namespace::setns(self.fd(*namespace)?, *kind),
            Call::Unshare(flags) => namespace::unshare(*flags),
            Call::ClearUmask => {
                self.umask = process::umask(Mode::empty());
                Ok(())
            }
            Call::RestoreUmask => {
                process::umask(self.umask);
                Ok(())
            }
            Call::HearOfChildren => {
                signal::default_action(signal::SIGCHLD);
                Ok(())
            }
            Call::RequireRunning { pidfd } => signal::check_running(*pidfd),
            Call::ReplaceArguments(name) => izba_sys::title::replace_arguments(name),
            Call::Setsid => terminal::setsid().map(drop),
            Call::NewSessionKeyring => match credential::join_new_session_keyring() {
                // A kernel without keyrings, or a seccomp filter that hides them, from the program as well.
                Err(Errno::NOSYS | Errno::PERM) => Ok(()),
                other => other,
            },
            Call::SetRlimit { resource, soft, hard } => {
                izba_sys::rlimit::setrlimit(*resource, Rlimit { current: *soft, maximum: *hard })
            }
            Call::CloseOnExec => process::close_all_on_exec(),
            Call::KeepOverExec(fd) => process::keep_over_exec(*fd),
            Call::RestoreSignals => {
                signal::default_action(signal::SIGPIPE);
                signal::set_mask(&self.mask);
                Ok(())
            }
            _ => rights(call),
        }
    }
}

fn rights(call: &Call) -> Result<(), Errno> {
    match call {
        Call::SetDumpable(on) => credential::set_dumpable_behavior(if *on {
            DumpableBehavior::Dumpable
        } else {
            DumpableBehavior::NotDumpable
        }),
        Call::DieWithParent => process::set_parent_process_death_signal(Some(Signal::KILL)),
        Call::DropFromBoundingSet(number) => credential::drop_from_bounding_set(*number),
        Call::SetGroups(groups) => credential::setgroups(groups),
        Call::SetGid(gid) => {
            let gid = Gid::from_raw(*gid);
            credential::set_thread_res_gid(gid, gid, gid)
        }
        Call::SetUid(uid) => {
            let uid = Uid::from_raw(*uid);
            credential::set_thread_res_uid(uid, uid, uid)
        }
        Call::ClearAmbient => credential::clear_ambient_capability_set(),
        Call::SetCapabilities(bits) => {
            let held = CapabilitySet::from_bits_retain(*bits);
            let sets = CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
            credential::set_capabilities(None, sets)
        }
        Call::NoNewPrivs => credential::set_no_new_privs(true),
        _ => Err(Errno::NOSYS),
    }
}

fn exists_is_fine(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// A file of the kernel's takes its whole value in one write.
pub(crate) fn write_once(file: &OwnedFd, content: &[u8]) -> Result<(), Errno> {
    path::write(file, content).map(drop)
}

fn write_all(file: &OwnedFd, mut content: &[u8]) -> Result<(), Errno> {
    while !content.is_empty() {
        let written = path::write(file, content)?;
        content = content.get(written..).unwrap_or_default();
    }
    Ok(())
}
