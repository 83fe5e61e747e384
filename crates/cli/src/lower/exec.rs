//! `izba exec`: a second program like a run's first one.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use izba_sandbox::account::{Account, Accounts, UserSpec, Who};
use izba_sandbox::capability::Capabilities;
use izba_sandbox::cgroup::{ControlGroup, Membership, may_enter};
use izba_sandbox::idmap::{IdMap, IdMaps, MapWriter};
use izba_sandbox::namespace::{Kind, Namespace, Namespaces};
use izba_sandbox::rlimit::Rlimit;
use izba_sandbox::rootfs::{CallerRoot, Root, SystemMounts};
use izba_sandbox::sandbox::{Ids, Init, Process, Sandbox, Terminal, User, WorkingDirectory};
use izba_sys::credential::{self, CapabilitySet};
use izba_sys::path::{CWD, Mode, OFlags, openat};

use super::environment::Environment;
use super::group::bus;
use super::process::{DEFAULT_PATH, candidates, cwd, terminal, words};
use super::{Lowered, c_string, identity};
use crate::args::named::ExecArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::record::{Cgroup, Intent, Record, id};

/// The intent. `program` is a pidfd of the run's program, whose /proc/PID is read and joined: the start is refused if that has ended.
pub fn lower(args: &ExecArgs, caller: &Caller, record: &Record, program: BorrowedFd<'_>) -> Result<Lowered> {
    let pid = record.program.pid;
    let mut notes = Vec::new();
    let namespaces = namespaces(record)?;
    let mut account = account(args, record)?;
    if args.user.is_some() && namespaces.joined(Kind::User).is_some() {
        fit_ids(&mut account.ids, pid, &mut notes)?;
    }
    let mut sandbox = Sandbox::new(root(record), c"", &[]);
    // Nothing is mounted: the run's own are there.
    sandbox.system = SystemMounts::Caller;
    sandbox.requires = Some(program.as_raw_fd());
    sandbox.cgroup = group(record, caller)?;
    let may_raise = namespaces.is_shared(Kind::User)
        && credential::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    let own: Vec<Rlimit> = Rlimit::own().collect();
    let limits = limits(&record.intent.limits, &own, may_raise, &mut notes);
    sandbox.process = process(args, caller, &record.intent, &account, limits)?;
    sandbox.namespaces = namespaces;
    Ok(Lowered { sandbox, user: account.name, notes })
}

/// The groups that the program is in, which may be below the run's own. A run without groups of its own is where its izba was.
fn group(record: &Record, caller: &Caller) -> Result<ControlGroup> {
    let Some(Cgroup(place)) = &record.cgroup else { return Ok(ControlGroup::Caller) };
    let joined = Membership::of(record.program.pid).map_err(|error| {
        Failure::new(format!("cannot join the groups of the run {}", record.name)).caused_by(&error)
    })?;
    match (&place.unit, &place.unified, &joined.unified) {
        (Some(unit), Some(top), Some(dir)) if !may_enter(dir) => {
            let below = dir.strip_prefix(top).unwrap_or(Path::new("")).display().to_string();
            let below = if below.is_empty() { below } else { format!("/{below}") };
            Ok(ControlGroup::Attached { bus: bus(caller)?, unit: unit.name.clone(), below })
        }
        _ => Ok(ControlGroup::Joined(joined)),
    }
}

/// chroot(2) is a process's own, so the mount namespace doesn't lead to it.
fn root(record: &Record) -> Root {
    let chroot = record.no_pivot.then(|| PathBuf::from(format!("/proc/{}/root", record.program.pid)));
    Root::Caller(CallerRoot { chroot, ..CallerRoot::default() })
}

/// Those of the program that aren't the caller's already: some can't be entered by who is in them.
fn namespaces(record: &Record) -> Result<Namespaces> {
    let pid = record.program.pid;
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut namespaces = Namespaces::shared();
    for kind in Kind::ALL {
        // The kernel may have none of this kind.
        let Ok(ours) = id(own, kind) else { continue };
        let theirs = id(pid, kind).map_err(|error| closed(record, kind, &error))?;
        if ours != theirs {
            namespaces.join(kind, format!("/proc/{pid}/ns/{kind}").into());
        }
    }
    Ok(namespaces)
}

fn closed(record: &Record, kind: Kind, error: &std::io::Error) -> Failure {
    let failure =
        Failure::new(format!("cannot enter the run {}: its program's {kind} namespace is closed to you", record.name))
            .caused_by(error);
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        return failure
            .because("its program may not be traced by you: a set-user-ID file, or one that can't be read (ptrace(2), \"dumpable\")")
            .remedy("izba exec as root, or give the run another program");
    }
    failure
}

/// Who runs the program. The run's own files are read only where a name or a shell is asked for.
fn account(args: &ExecArgs, record: &Record) -> Result<Account> {
    let intent = &record.intent;
    let ids = Ids { uid: intent.uid, gid: intent.gid, groups: intent.groups.clone() };
    let own = Account { ids, name: record.user.clone(), home: None, shell: None };
    match &args.user {
        None if args.name_and_command.len() > 1 => Ok(own),
        None => {
            let found = accounts(record)?.find(&UserSpec { user: Who::Id(intent.uid), group: None });
            Ok(Account { shell: found.ok().and_then(|found| found.shell), ..own })
        }
        // Numbers need no files, which the run's own programs may have made into anything.
        Some(UserSpec { user: Who::Id(uid), group: Some(Who::Id(gid)) }) => {
            let ids = Ids { uid: *uid, gid: *gid, groups: Vec::new() };
            Ok(Account { ids, name: None, home: None, shell: None })
        }
        Some(spec) => accounts(record)?.find(spec).map_err(|error| Failure::from_error(&error)),
    }
}

fn accounts(record: &Record) -> Result<Accounts> {
    let path = format!("/proc/{}/root", record.program.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty()).map_err(|errno| {
        Failure::new(format!("cannot open the root file system of the run {}", record.name)).caused_by(&errno)
    })?;
    Accounts::read(root.as_fd()).map_err(|error| Failure::from_error(&error))
}

/// What the user namespace doesn't map can't be had there.
fn fit_ids(ids: &mut Ids, pid: i32, notes: &mut Vec<String>) -> Result<()> {
    let (Some(uids), Some(gids)) = (map(pid, "uid_map"), map(pid, "gid_map")) else { return Ok(()) };
    for (id, map, word) in [(ids.uid, &uids, "user"), (ids.gid, &gids, "group")] {
        if map.outside_of(id).is_none() {
            return Err(Failure::new(format!(
                "{word} {id} can't run the program: the run's user namespace doesn't map it"
            )));
        }
    }
    let denied = std::fs::read(format!("/proc/{pid}/setgroups")).is_ok_and(|word| word.starts_with(b"deny"));
    let maps = IdMaps { uids, gids, writer: MapWriter::Direct, deny_setgroups: denied };
    identity::fit_groups(ids, &Namespace::New(maps), notes);
    Ok(())
}

fn map(pid: i32, file: &str) -> Option<IdMap> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?.parse().ok()
}

fn process(
    args: &ExecArgs,
    caller: &Caller,
    intent: &Intent,
    account: &Account,
    rlimits: Vec<Rlimit>,
) -> Result<Process> {
    let terminal = terminal(args.terminal);
    let environment = environment(args, caller, intent, account, terminal);
    let words = words(&args.name_and_command[1..], account);
    let path = environment.get("PATH").unwrap_or(DEFAULT_PATH);
    Ok(Process {
        candidates: candidates(words[0].as_bytes(), path)?,
        args: words.into_iter().map(|word| c_string(word.into_vec())).collect::<Result<_>>()?,
        env: environment.strings()?,
        cwd: WorkingDirectory::Path(match &args.workdir {
            Some(dir) => cwd(Some(dir))?,
            None => OsString::from_vec(intent.cwd.0.clone()).into(),
        }),
        user: User::Become(account.ids.clone()),
        capabilities: intent.capabilities.iter().copied().collect::<Capabilities>(),
        no_new_privs: intent.no_new_privs,
        rlimits,
        oom_score_adj: intent.oom_score_adj,
        descriptors: Vec::new(),
        terminal,
        init: Init::Program,
    })
}

/// The run's, with what another user and another terminal change.
fn environment(
    args: &ExecArgs,
    caller: &Caller,
    intent: &Intent,
    account: &Account,
    terminal: Terminal,
) -> Environment {
    let mut environment = Environment::of_strings(intent.env.iter().map(|variable| variable.0.as_slice()));
    if args.user.is_some() {
        environment.set(b"HOME", account.home.as_ref().map_or(b"/", |home| home.as_os_str().as_bytes()));
        if let Some(name) = &account.name {
            environment.set(b"USER", name.as_bytes());
        }
    }
    if let (Terminal::New { .. }, Some(kind)) = (terminal, caller.variable("TERM")) {
        environment.set(b"TERM", kind.as_bytes());
    }
    args.env.iter().for_each(|assignment| environment.assign(assignment, caller));
    environment
}

/// Those in which the caller differs. A ceiling that is below the run's can't be raised without CAP_SYS_RESOURCE, setrlimit(2): the program
/// then gets less, never more.
fn limits(wanted: &[Rlimit], own: &[Rlimit], may_raise: bool, notes: &mut Vec<String>) -> Vec<Rlimit> {
    let lower = |one: Option<u64>, other: Option<u64>| one.min(other).or(one).or(other);
    let mut changed = Vec::new();
    for limit in wanted.iter().filter(|limit| !own.contains(limit)) {
        let ceiling = own.iter().find(|own| own.resource == limit.resource && !may_raise).and_then(|own| own.hard);
        let hard = lower(limit.hard, ceiling);
        let fitted = Rlimit { soft: lower(limit.soft, hard), hard, ..*limit };
        if fitted != *limit {
            notes.push(format!("the run has {limit}, and you may not raise yours: the program gets {fitted}"));
        }
        changed.extend((!own.contains(&fitted)).then_some(fitted));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(wanted: &[&str], own: &[&str], may_raise: bool) -> (Vec<String>, usize) {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<Rlimit>>();
        let mut notes = Vec::new();
        let limits = limits(&parse(wanted), &parse(own), may_raise, &mut notes);
        (limits.iter().map(ToString::to_string).collect(), notes.len())
    }

    #[test]
    fn only_limits_that_differ_are_set() {
        let own = ["core=0:unlimited", "nofile=1024:4096"].map(|text| text.replace("core=0:unlimited", "core=0"));
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        assert_eq!(fitted(&own, &own, false), (vec![], 0));
        assert_eq!(fitted(&["nofile=100:200"], &own, false), (vec!["nofile=100:200".to_owned()], 0));
    }

    #[test]
    fn a_low_ceiling_is_said() {
        let own = ["nofile=1024:4096"];
        assert_eq!(fitted(&["nofile=1024:8192"], &own, false), (vec![], 1));
        assert_eq!(fitted(&["nofile=5000:unlimited"], &own, false), (vec!["nofile=4096:4096".to_owned()], 1));
        assert_eq!(fitted(&["nofile=5000:8192"], &own, true), (vec!["nofile=5000:8192".to_owned()], 0));
        assert_eq!(fitted(&["nofile=unlimited"], &["nofile=unlimited"], false), (vec![], 0));
    }
}
