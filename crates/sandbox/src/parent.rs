//! The parent: makes the first child, does its own steps while the child waits, and hears what becomes of the rest.

mod give_up;
mod group;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use izba_sys::Errno;
use izba_sys::path::{self, CWD, Mode, OFlags};
use izba_sys::process::{self, CStringArray, Cloned, PidfdFlags, Stack, WaitId, WaitIdOptions};
use izba_sys::signal::{self, SignalSet};
use izba_sys::socket::{self, MOST_DESCRIPTORS};

use crate::call::{Call, Slot};
use crate::cgroup::{Bound, Group, OwnGroup, PATIENCE, Place, SHORT_PATIENCE, frozen_group_of};
use crate::child::Executor;
use crate::message::{Message, Report};
use crate::plan::{Plan, Step};
use crate::report::{Problem, StartError, StepError};
use give_up::{GiveUp, comes_within};
use group::Held;

/// Where PATH has a program, or, as PATH may lack them, the directories of every system.
fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/sbin", "/bin"].map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program));
    candidates.find(|candidate| candidate.is_absolute() && candidate.is_file()).unwrap_or_else(|| program.into())
}

/// A step that has been done.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// Which.
    pub step: &'a Step,
    /// How long it took, in nanoseconds.
    pub nanoseconds: u64,
}

/// A running sandbox. It ends with the calling process, however that ends; dropping this ends nothing.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    program: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
    namespaces: Vec<OwnedFd>,
    group: OwnGroup,
    left_out: Vec<String>,
}

/// How a sandbox has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program's own status, or 128+N where signal N ended it inside.
    Exited(i32),
    /// This signal ended the first process of the sandbox, from outside.
    Signalled(i32),
}

impl Outcome {
    /// The status that a shell shows: 128+N for signal N.
    pub fn status(self) -> i32 {
        match self {
            Self::Exited(status) => status,
            Self::Signalled(signal) => 128 + signal,
        }
    }
}

impl Child {
    /// The first process's id, as the caller sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The program's process id, as the caller sees it, though the process was made in another PID namespace. It is the first process's own
    /// only where that is the program. Once the sandbox has ended the number may be another process's.
    pub fn program(&self) -> i32 {
        self.program
    }

    /// Can be polled: it is readable when the sandbox has ended. pidfd_open(2).
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The outer end of the new terminal, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// The program's namespaces that the intent has wanted handed out, in that order, once.
    pub fn take_namespaces(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.namespaces)
    }

    /// The control group that was made for it, once. It stays as long as somebody is in it, or this is kept.
    pub fn take_group(&mut self) -> OwnGroup {
        std::mem::take(&mut self.group)
    }

    /// Where that is.
    pub fn group(&self) -> &Place {
        self.group.place()
    }

    /// Limits that the kernel has refused, in words, where the intent can do without:
    /// [`Enforcement::BestEffort`](crate::cgroup::Enforcement::BestEffort).
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// ESRCH where it has ended, EINVAL for a number that is no signal.
    pub fn signal(&self, signal: i32) -> std::io::Result<()> {
        signal::pidfd_send_signal(self.pidfd.as_fd(), signal).map_err(Into::into)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// ECHILD where somebody else has waited for it.
    pub fn wait(&mut self) -> std::io::Result<Outcome> {
        wait(&self.pidfd).map_err(Into::into)
    }
}

fn wait(pidfd: &OwnedFd) -> Result<Outcome, Errno> {
    loop {
        match process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) | Ok(None) => {}
            Err(errno) => return Err(errno),
            Ok(Some(status)) => {
                let exited = status.exit_status().map(Outcome::Exited);
                return Ok(exited
                    .unwrap_or_else(|| Outcome::Signalled(status.terminating_signal().unwrap_or(signal::SIGKILL))));
            }
        }
    }
}

/// What the caller of a start has of its own.
#[derive(Default)]
pub struct Start<'a> {
    /// The program's signal mask, where the caller has blocked signals so as to miss none that comes before it attends to the child. Else it is the
    /// caller's.
    pub mask: Option<SignalSet>,
    /// Readable when the start is to be given up ([`StartError::GivenUp`]): it may wait for ever for a frozen group, a mount's source or a helper
    /// program. Nothing is read from it. A start that has succeeded before isn't given up any more.
    pub give_up: Option<BorrowedFd<'a>>,
    /// Hears of every step as it is done.
    pub observe: Option<&'a mut dyn FnMut(Done<'_>)>,
}

/// Starts what is planned, and comes back when the program has been executed.
///
/// May be called in a program with threads: the child allocates nothing and takes no lock until it executes. `observe`, where there is one, hears of every step as it is done.
///
/// # Errors
/// What failed, on what, why, and what to do about it. Nothing is left then.
pub fn spawn(plan: &Plan, observe: Option<&mut dyn FnMut(Done<'_>)>) -> Result<Child, StartError> {
    spawn_with(plan, Start { observe, ..Start::default() })
}

/// The same for a caller that has more to say.
///
/// # Errors
/// As [`spawn`]; and [`GivenUp`](StartError::GivenUp) and [`Left`](StartError::Left), which say what is left where something doesn't end.
pub fn spawn_with(plan: &Plan, start: Start<'_>) -> Result<Child, StartError> {
    let Start { mask, give_up, mut observe } = start;
    let setup = |call: &'static str| move |errno: Errno| StartError::Call { call, errno };
    let held = Held::before(plan, &mut observe)?;
    let group = plan.group.map(|slot| held.fd(slot)).transpose().map_err(setup("openat2"))?;
    let caller = process::pidfd_open(process::getpid(), PidfdFlags::empty()).map_err(setup("pidfd_open"))?;
    let (channel, inner) = socket::pair().map_err(setup("socketpair"))?;
    socket::ask_for_senders(channel.as_fd()).map_err(setup("setsockopt"))?;
    let args = CStringArray::new(plan.program.args.clone());
    let env = CStringArray::new(plan.program.env.clone());
    let everything = SignalSet::full();
    let slots = empty_slots(plan);
    let explain = observe.is_some();
    let stack = Stack::new().map_err(setup("mmap"))?;
    // No handler of the caller's may run in the child.
    let callers = signal::set_mask(&everything);
    let started = if explain { process::monotonic_nanoseconds() } else { 0 };
    let cloned = process::clone3(plan.clone_flags, group);
    if let Ok(None) = cloned {
        drop(channel);
        let (umask, mask) = (Mode::empty(), mask.unwrap_or(callers));
        let stack = Some(stack);
        Executor { plan, args: &args, env: &env, slots, channel: inner, caller, mask, umask, stack, explain }.run();
    }
    signal::set_mask(&callers);
    drop(inner);
    let child = match cloned {
        Ok(Some(child)) => child,
        Ok(None) => process::exit(crate::STATUS_FAILED),
        Err(errno) => return Err(not_cloned(plan, errno)),
    };
    let program = child.pid;
    let give_up = GiveUp(give_up);
    Parent { plan, channel, child, program, held, give_up, observe, terminal: None, namespaces: Vec::new() }
        .run(started)
}

/// The kernel says what it minds about the group in words that mean something else of namespaces.
fn not_cloned(plan: &Plan, errno: Errno) -> StartError {
    let of_group = matches!(errno, Errno::ACCESS | Errno::BUSY | Errno::OPNOTSUPP | Errno::NODEV | Errno::AGAIN);
    match plan.first_group().filter(|_| of_group) {
        Some(group) => StartError::CloneIntoGroup { group: group.to_owned(), errno },
        None => StartError::Clone { namespaces: plan.clone_flags, errno },
    }
}

fn empty_slots(plan: &Plan) -> Vec<Option<OwnedFd>> {
    plan.slots.iter().map(|_| None).collect()
}

struct Parent<'a, 'o> {
    plan: &'a Plan,
    channel: OwnedFd,
    child: Cloned,
    /// The process that is to execute the program, as far as is known.
    program: i32,
    held: Held,
    give_up: GiveUp<'o>,
    observe: Option<&'o mut dyn FnMut(Done<'_>)>,
    terminal: Option<OwnedFd>,
    namespaces: Vec<OwnedFd>,
}

impl Parent<'_, '_> {
    fn run(mut self, started: u64) -> Result<Child, StartError> {
        if let Some(observe) = &mut self.observe {
            observe(Done { step: &self.plan.clone, nanoseconds: process::monotonic_nanoseconds() - started });
        }
        match self.outside().and_then(|()| self.listen()) {
            Ok(()) => {
                let Self { child, program, terminal, namespaces, held: Held { group, left_out, .. }, .. } = self;
                Ok(Child { pid: child.pid, program, pidfd: child.pidfd, terminal, namespaces, group, left_out })
            }
            Err(error) => Err(self.undo(error)),
        }
    }

    /// Nothing is left: with the first process goes everything that it has made.
    fn undo(mut self, error: StartError) -> StartError {
        let pidfd = self.child.pidfd.as_fd();
        let _gone = signal::pidfd_send_signal(pidfd, signal::SIGKILL);
        let ended = self.give_up.wait_for_killed(pidfd);
        let error = self.explained(error);
        // The start's failure is what counts; an izba that sweeps finds what is left.
        let patience = if ended { PATIENCE } else { give_up::PATIENCE };
        let removed = std::mem::take(&mut self.held.group).remove_within(patience);
        // One that was frozen in its own group has been thawed with that.
        if ended || (removed.is_ok() && comes_within(pidfd, SHORT_PATIENCE)) {
            let _reaped = wait(&self.child.pidfd);
            return error;
        }
        let (frozen, left) = (frozen_group_of(self.child.pid), self.child.pid);
        match error {
            StartError::GivenUp { step, .. } => StartError::GivenUp { step, frozen, left: Some(left) },
            error => StartError::Left { error: Box::new(error), left },
        }
    }

    /// With what it waits for, as long as that can be seen.
    fn given_up(&self, step: Option<&Step>) -> StartError {
        let step = step.map(|step| step.title.clone());
        StartError::GivenUp { step, frozen: frozen_group_of(self.child.pid), left: None }
    }

    /// A death without a word is explained by the group, if the kernel has ended something in it.
    fn explained(&self, error: StartError) -> StartError {
        let StartError::Died = error else { return error };
        let oom = Group::open(self.held.group.place()).and_then(|group| group.oom()).unwrap_or_default();
        match (oom.kills, oom.limit) {
            (Some(1..), Some(Bound::At(limit))) => StartError::OutOfMemory { limit },
            _ => error,
        }
    }

    fn outside(&mut self) -> Result<(), StartError> {
        for step in &self.plan.outside {
            let started = process::monotonic_nanoseconds();
            for call in &step.calls {
                match self.call(call) {
                    Err(Problem::Errno(errno)) if self.held.leaves_out(self.plan, step, call, errno) => {}
                    Err(Problem::GivenUp) => return Err(self.given_up(Some(step))),
                    called => called.map_err(|problem| {
                        StartError::Step(Box::new(StepError::outside(self.plan, step, call, problem)))
                    })?,
                }
            }
            if let Some(observe) = &mut self.observe {
                observe(Done { step, nanoseconds: process::monotonic_nanoseconds() - started });
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &Call) -> Result<(), Problem> {
        match call {
            Call::WriteMap { file, content } => self.write_map(file, content).map_err(Problem::Errno),
            Call::RunMapHelper { helper, args } => self.run_map_helper(helper, args),
            Call::OpenChildNamespace { kind, to } => {
                let path = format!("/proc/{}/ns/{kind}", self.child.pid);
                let opened = path::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
                self.held.keep(*to, opened).map_err(Problem::Errno)
            }
            Call::ReleaseChild { send } => self.release(send).map_err(Problem::Errno),
            Call::OpenTree { from: crate::call::At::Host(path), recursive, to } => {
                let tree = izba_sys::mount::copy_tree(CWD, path, *recursive)?;
                self.held.keep(*to, tree).map_err(Problem::Errno)
            }
            Call::MountSetattr { at: crate::call::At::Slot(slot), recursive, set, propagation, idmap } => {
                let idmap = idmap.map(|slot| self.held.fd(slot)).transpose()?;
                let change = izba_sys::mount::MountChange { set: *set, propagation: *propagation, idmap };
                izba_sys::mount::mount_setattr(self.held.fd(*slot)?, c"", *recursive, change).map_err(Problem::Errno)
            }
            Call::AttachToUnit { bus, unit, below } => group::attach(bus, unit, below, self.child.pid),
            Call::StartScope { scope, to } => self.held.start_scope(scope, *to, self.child.pid),
            other => self.held.call(other).map_err(Problem::Errno),
        }
    }

    /// The kernel takes a map in one write: user_namespaces(7).
    fn write_map(&self, file: &str, content: &[u8]) -> Result<(), Errno> {
        let path = format!("/proc/{}/{file}", self.child.pid);
        let file = path::openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        path::write(&file, content).map(drop)
    }

    fn run_map_helper(&self, helper: &str, args: &[String]) -> Result<(), Problem> {
        let mut command = Command::new(found(helper));
        command.arg0(helper);
        command.arg(self.child.pid.to_string()).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        self.give_up.run(&mut command)
    }

    fn release(&self, send: &[Slot]) -> Result<(), Errno> {
        let descriptors = send.iter().map(|&slot| self.held.fd(slot)).collect::<Result<Vec<_>, _>>()?;
        if descriptors.is_empty() {
            return socket::send(self.channel.as_fd(), b"+", &[]);
        }
        descriptors.chunks(MOST_DESCRIPTORS).try_for_each(|chunk| socket::send(self.channel.as_fd(), b"+", chunk))
    }

    /// Hears the child out. The channel closes when the program is executed, or when all have died before.
    fn listen(&mut self) -> Result<(), StartError> {
        // What the child has received it holds itself.
        self.held.slots.clear();
        let (mut ready, mut given_up) = (false, false);
        // Without an observer the child doesn't tell how far it is.
        let mut next = self.observe.is_some().then_some(0);
        loop {
            let channel = self.channel.as_fd();
            let heard = self.give_up.wait_for(channel).map_err(|errno| StartError::Call { call: "poll", errno })?;
            if !heard && !ready {
                // Who can't say any more that it is ready ends instead of executing the program. What was said before is heard still.
                socket::close_for_receiving(channel).map_err(|errno| StartError::Call { call: "shutdown", errno })?;
                given_up = true;
            } else if !heard && !comes_within(channel, give_up::PATIENCE) {
                // The program may be running, and who watches it closes the channel a moment later: but that was long.
                return Err(self.given_up(None));
            }
            let mut buffer = Message::buffer();
            let mut descriptor = None;
            let received = socket::receive(self.channel.as_fd(), &mut buffer, &mut |fd| descriptor = Some(fd));
            let received = received.map_err(|errno| StartError::Call { call: "recvmsg", errno })?;
            match Message::decode(buffer.get(..received.length).unwrap_or_default()) {
                None if ready => return Ok(()),
                None if given_up => return Err(self.given_up(next.and_then(|next| self.plan.inside.get(next)))),
                None => return Err(StartError::Died),
                Some(Message::Terminal) => self.terminal = descriptor,
                Some(Message::Namespace) => self.namespaces.extend(descriptor),
                Some(Message::Done(report)) => {
                    next = Some(report.step + 1);
                    self.tell(&report);
                }
                Some(Message::Ready(report)) => {
                    ready = true;
                    // It is the last that the program's process says before it executes.
                    self.program = received.sender.unwrap_or(self.program);
                    next = next.map(|_| report.step + 1);
                    self.tell(&report);
                    if self.observe.is_some() {
                        // A child that is gone needs no answer, and is noticed at the next turn.
                        let _gone = socket::send(self.channel.as_fd(), b"+", &[]);
                    }
                }
                Some(Message::Failed(report)) => {
                    return Err(StartError::Step(Box::new(StepError::inside(self.plan, &report, descriptor.as_ref()))));
                }
            }
        }
    }

    fn tell(&mut self, report: &Report) {
        if let (Some(observe), Some(step)) = (&mut self.observe, self.plan.inside.get(report.step)) {
            observe(Done { step, nanoseconds: report.ended.saturating_sub(report.started) });
        }
    }
}
