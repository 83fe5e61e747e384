//! What is written down of a run for as long as it runs: who it is, where its processes are, and what a second program in it has
//! to be like.

mod cgroup;
mod name;
mod process;
mod reservation;
mod runs;
mod text;

pub use cgroup::Cgroup;
pub use name::Name;
pub use process::Process;
pub use reservation::Reservation;
pub use runs::{Run, Runs, State};
pub use text::Text;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{SystemTime, UNIX_EPOCH};

use izba_sandbox::capability::Capability;
use izba_sandbox::cgroup::{Group, group};
use izba_sandbox::namespace::{Kind, Namespaces};
use izba_sandbox::parent::Child;
use izba_sandbox::rlimit::Rlimit;
use izba_sandbox::sandbox::{self, Sandbox, User, WorkingDirectory};
use izba_sandbox::survey::Id;
use izba_sys::Errno;
use izba_sys::process::{Pid, PidfdFlags, PollFd, PollFlags, Timespec, pidfd_open, poll};
use izba_sys::signal::check_running;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::start;

/// The layout of the document: a new number for a change that readers would stumble over.
const VERSION: u32 = 1;

/// Everything of a run that another izba needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    pub version: u32,
    pub name: String,
    /// The izba that holds the run's lock.
    pub izba: Process,
    /// The first process: our init, our watcher, or the program itself. Closed to the caller where /proc hides it.
    pub first: Option<Process>,
    pub program: Process,
    /// In seconds after 1970.
    pub started_at: u64,
    /// The PID namespace of izba, where these ids mean something: its inode number.
    pub pid_namespace: Option<u64>,
    /// As the user named it.
    pub root: Text,
    pub command: Vec<Text>,
    /// What the program's user is called inside.
    pub user: Option<String>,
    /// Has the root been changed by chroot(2)?
    pub no_pivot: bool,
    pub namespaces: Kinds,
    /// The group that was made for it. Without one the field is left out, as an older izba reads strictly, and writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Cgroup>,
    pub intent: Intent,
}

/// Of the intent what a second program has to share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Intent {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    #[serde(with = "text::each")]
    pub capabilities: Vec<Capability>,
    pub no_new_privs: bool,
    /// All limits that the program has started with, asked for or inherited.
    #[serde(with = "text::each")]
    pub limits: Vec<Rlimit>,
    pub oom_score_adj: Option<i16>,
    pub env: Vec<Text>,
    pub cwd: Text,
}

/// The namespaces of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Entered>", into = "BTreeMap<String, Entered>")]
pub struct Kinds(pub BTreeMap<Kind, Entered>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entered {
    pub state: How,
    /// Its inode number, if the program lets its owner look.
    pub id: Option<u64>,
}

/// Where a namespace came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    New,
    Shared,
    Joined,
}

/// What only the command line knows.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub root: &'a OsStr,
    /// What the program's user is called inside.
    pub user: Option<&'a str>,
}

impl Record {
    /// Of a program that has just been executed. `None` if it has ended already, or is none that a second one can be made like.
    pub fn of(name: &Name, child: &Child, sandbox: &Sandbox, asked: Asked<'_>) -> Option<Self> {
        let program = pidfd_open(Pid::from_raw(child.program())?, PidfdFlags::empty()).ok()?;
        let record = Self::read(name, child, sandbox, asked)?;
        // Who has reaped the program, and that isn't us, has let its number go. What has been read is its own if it is there still, and
        // it was there when the descriptor was opened if the first process is, which ends with it.
        let running =
            [program.as_raw_fd(), child.pidfd().as_raw_fd()].into_iter().all(|pidfd| check_running(pidfd).is_ok());
        running.then_some(record)
    }

    /// By numbers, which may be those of others meanwhile.
    fn read(name: &Name, child: &Child, sandbox: &Sandbox, asked: Asked<'_>) -> Option<Self> {
        Some(Self {
            version: VERSION,
            name: name.to_string(),
            izba: Process::running(i32::try_from(std::process::id()).ok()?)?,
            first: Process::running(child.pid()),
            program: Process::running(child.program())?,
            started_at: now(),
            pid_namespace: own_pid_namespace(),
            root: Text(asked.root.as_bytes().to_vec()),
            command: sandbox.process.args.iter().map(|word| Text(word.to_bytes().to_vec())).collect(),
            user: asked.user.map(str::to_owned),
            no_pivot: sandbox.no_pivot,
            namespaces: Kinds::of(child.program(), &sandbox.namespaces),
            cgroup: Cgroup::of(child.group()),
            intent: Intent::of(&sandbox.process)?,
        })
    }

    /// A descriptor of the program, which has not ended.
    pub fn open_program(&self) -> Result<OwnedFd, Failure> {
        if self.pid_namespace != own_pid_namespace() {
            return Err(Failure::new(format!("the run {} was started in another PID namespace", self.name))
                .because("its process ids mean something else here")
                .remedy("do it from where it was started"));
        }
        self.program.open().map_err(|errno| self.ended().caused_by(&errno))
    }

    /// What a verb has come to: it stumbles over many things where the run has ended meanwhile, and none of them is the cause.
    pub fn unless_ended<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        let Err(failure) = result else { return result };
        if failure.said || !self.has_ended() {
            return Err(failure);
        }
        let ended = self.ended();
        if ended.problem == failure.problem { Err(failure) } else { Err(ended.because(failure.problem)) }
    }

    fn ended(&self) -> Failure {
        Failure::new(format!("the program of the run {} has ended", self.name))
    }

    /// A zombie has: pidfd_open(2), "poll".
    fn has_ended(&self) -> bool {
        if self.pid_namespace != own_pid_namespace() {
            return false;
        }
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match self.program.open() {
            Ok(pidfd) => {
                let mut wanted = [PollFd::new(&pidfd, PollFlags::IN)];
                poll(&mut wanted, Some(&at_once)).is_ok_and(|ready| ready > 0)
            }
            Err(errno) => errno == Errno::SRCH,
        }
    }

    /// The group that was made for it, and no other that has its name by now.
    pub fn open_group(&self) -> Result<Group, Failure> {
        let problem = |what: &str| Failure::new(format!("the run {} {what}", self.name));
        let Cgroup(place) = self.cgroup.as_ref().ok_or_else(|| {
            problem("has no control group of its own")
                .because(
                    "izba could make none, was told not to, or needed none, as nothing was limited and no name given",
                )
                .remedy("start it with --name or a limit; izba doctor says whether limits work here")
        })?;
        let opened = Group::open(place)
            .map_err(|error| start::group(problem("has a control group that can't be opened").problem, &error))?;
        // It is removed only when the program has ended, and made by another run only then.
        self.open_program().map(|_running| opened)
    }

    /// Is it stopped? Without a group of its own it can't be.
    pub fn is_paused(&self) -> bool {
        let state = self.cgroup.as_ref().and_then(|Cgroup(place)| Group::open(place).ok()?.state().ok());
        state.is_some_and(|state| state != group::State::Running)
    }

    /// Is its izba there still, as far as can be told from here?
    pub fn has_izba(&self) -> bool {
        self.pid_namespace != own_pid_namespace() || self.izba.open().is_ok()
    }

    /// The namespaces that were made for it, as far as they are known.
    pub fn made(&self) -> impl Iterator<Item = Id> {
        let made = self.namespaces.0.iter().filter(|(_, entered)| entered.state == How::New);
        made.filter_map(|(&kind, entered)| Some(Id { kind, inode: entered.id? }))
    }

    /// Reads one strictly: what this version doesn't know isn't guessed.
    pub fn parse(document: &[u8]) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_slice(document).map_err(|error| error.to_string())?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {
                serde_json::from_value(value).map_err(|error| error.to_string())
            }
            Some(version) => Err(format!("it is of version {version}, and this izba reads version {VERSION}")),
            None => Err("it has no version".to_owned()),
        }
    }

    /// For how many seconds it has been running.
    pub fn age(&self) -> u64 {
        now().saturating_sub(self.started_at)
    }
}

fn own_pid_namespace() -> Option<u64> {
    let own = i32::try_from(std::process::id()).ok()?;
    id(own, Kind::Pid).ok()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Intent {
    fn of(process: &sandbox::Process) -> Option<Self> {
        let (User::Become(ids), WorkingDirectory::Path(cwd)) = (&process.user, &process.cwd) else { return None };
        let asked = &process.rlimits;
        let inherited = Rlimit::own().filter(|limit| !asked.iter().any(|asked| asked.resource == limit.resource));
        Some(Self {
            uid: ids.uid,
            gid: ids.gid,
            groups: ids.groups.clone(),
            capabilities: process.capabilities.iter().collect(),
            no_new_privs: process.no_new_privs,
            limits: asked.iter().copied().chain(inherited).collect(),
            oom_score_adj: process.oom_score_adj,
            env: process.env.iter().map(|variable| Text(variable.to_bytes().to_vec())).collect(),
            cwd: Text(cwd.as_os_str().as_bytes().to_vec()),
        })
    }
}

impl Kinds {
    fn of(program: i32, intended: &Namespaces) -> Self {
        let how = |kind| match intended.joined(kind) {
            Some(_) => How::Joined,
            None if intended.is_new(kind) => How::New,
            None => How::Shared,
        };
        let entered = |kind| Entered { state: how(kind), id: id(program, kind).ok() };
        Self(Kind::ALL.into_iter().map(|kind| (kind, entered(kind))).collect())
    }
}

/// The inode number of a process's namespace of this kind.
pub fn id(pid: i32, kind: Kind) -> std::io::Result<u64> {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}"))?;
    let id: Result<Id, String> = link.to_string_lossy().parse();
    id.map(|id| id.inode).map_err(std::io::Error::other)
}

impl TryFrom<BTreeMap<String, Entered>> for Kinds {
    type Error = String;

    fn try_from(map: BTreeMap<String, Entered>) -> Result<Self, String> {
        map.into_iter().map(|(kind, entered)| Ok((kind.parse()?, entered))).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Kinds> for BTreeMap<String, Entered> {
    fn from(kinds: Kinds) -> Self {
        kinds.0.into_iter().map(|(kind, entered)| (kind.to_string(), entered)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use izba_sandbox::cgroup::Place;

    fn record() -> Record {
        let process = Process { pid: 7, start_time: 99 };
        let intent = Intent {
            uid: 1,
            gid: 2,
            groups: vec![3],
            capabilities: vec!["CHOWN".parse().unwrap()],
            no_new_privs: true,
            limits: vec!["nofile=10:20".parse().unwrap(), "core=unlimited".parse().unwrap()],
            oom_score_adj: Some(-5),
            env: vec![Text(b"A=\xff".to_vec()), Text(b"B=c".to_vec())],
            cwd: Text(b"/".to_vec()),
        };
        let entered = Entered { state: How::New, id: Some(4_026_531_833) };
        Record {
            version: VERSION,
            name: "web".to_owned(),
            izba: process,
            first: None,
            program: process,
            started_at: 1_700_000_000,
            pid_namespace: Some(8),
            root: Text(b"./root".to_vec()),
            command: vec![Text(b"sh".to_vec())],
            user: Some("ann".to_owned()),
            no_pivot: false,
            namespaces: Kinds([(Kind::Net, entered)].into()),
            cgroup: Some(Cgroup(Place { unified: Some("/sys/fs/cgroup/web".into()), ..Place::default() })),
            intent,
        }
    }

    #[test]
    fn a_record_of_an_izba_without_groups_is_read() {
        let record = Record { cgroup: None, ..record() };
        let document = serde_json::to_string(&record).unwrap();
        assert!(!document.contains("cgroup"));
        assert_eq!(Record::parse(document.as_bytes()), Ok(record));
    }

    #[test]
    fn what_is_written_is_read() {
        let document = serde_json::to_vec(&record()).unwrap();
        assert_eq!(Record::parse(&document), Ok(record()));
    }

    /// A fuzzer can't reach a program's modules, so here are all documents that are next to a good one.
    #[test]
    fn what_is_damaged_is_refused_or_read_as_it_would_be_written() {
        let document = serde_json::to_vec(&record()).unwrap();
        let mut refused = 0;
        for place in 0..document.len() {
            assert!(Record::parse(&document[..place]).is_err(), "cut at {place}");
            for byte in [0, b'"', b'\\', b'-', b'.', b'0', b'9', b'e', b'[', b'}', b',', b' ', 0x7f, 0x80, 0xff] {
                let mut damaged = document.clone();
                damaged[place] = byte;
                match Record::parse(&damaged) {
                    Ok(record) => assert_eq!(Record::parse(&serde_json::to_vec(&record).unwrap()), Ok(record)),
                    Err(why) => refused += usize::from(!why.is_empty()),
                }
            }
        }
        assert!(refused > document.len(), "{refused}");
    }

    #[test]
    fn nothing_is_guessed() {
        let document = serde_json::to_string(&record()).unwrap();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"version\":1,", ""),
            ("\"pid\":7", "\"pid\":\"7\""),
            ("\"no", "\"unknown\":1,\"no"),
            ("CAP_CHOWN", "CAP_CHEWN"),
            ("nofile=10:20", "nofile=30:20"),
            ("\"net\"", "\"nett\""),
            ("\"new\"", "\"old\""),
            ("}}", "}"),
        ] {
            let broken = document.replace(from, to);
            assert!(broken != document && Record::parse(broken.as_bytes()).is_err(), "{from}");
        }
        assert!(Record::parse(b"").is_err() && Record::parse(b"[]").is_err() && Record::parse(b"\xff").is_err());
    }
}
