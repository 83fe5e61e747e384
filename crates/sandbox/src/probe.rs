//! What works on this machine for this caller, found out by asking the kernel, and what to do where it doesn't.
//!
//! `izba doctor` prints [`findings`]; error messages take their causes from the same probes ([`crate::diagnose`]). A probe that
//! has to make something makes it in a child's own new namespaces, so nothing is left behind.

pub mod attempt;
pub mod caller;
pub mod ids;
pub mod kernel;
pub mod limit;
pub mod mounting;
pub mod refusal;
pub mod system_root;

use std::fmt;
use std::path::Path;

use attempt::Refused;
use refusal::Circumstances;

use crate::namespace::Kind;

/// Does it work?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Works,
    /// In part, or in another way.
    Limited,
    /// No.
    Missing,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Works => "works",
            Self::Limited => "limited",
            Self::Missing => "missing",
        })
    }
}

/// Why something doesn't work, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// A clause that can follow "because": no capital, no full stop.
    pub cause: String,
    /// An instruction.
    pub remedy: String,
}

impl Hint {
    pub(crate) fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into() }
    }
}

/// The outcome of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was probed.
    pub name: &'static str,
    /// Does it work?
    pub state: State,
    /// How, or why not.
    pub detail: String,
    /// What to do where it doesn't work, or not in full.
    pub remedy: Option<String>,
    /// Is `izba run` impossible without it?
    pub essential: bool,
}

impl Finding {
    fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { name, state, detail: detail.into(), remedy: None, essential: false }
    }

    fn works(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Works, detail)
    }

    fn refused(name: &'static str, state: State, hint: Hint) -> Self {
        Self { remedy: Some(hint.remedy), ..Self::new(name, state, hint.cause) }
    }

    fn essential(self) -> Self {
        Self { essential: true, ..self }
    }
}

/// Does `izba run` work in some form?
pub fn run_works(findings: &[Finding]) -> bool {
    !findings.iter().any(|finding| finding.essential && finding.state == State::Missing)
}

/// Probes everything, in some milliseconds.
pub fn findings() -> Vec<Finding> {
    let circumstances = Circumstances::read();
    let caller = circumstances.caller.clone();
    let mut findings = vec![kernel::version(), kernel::system_calls(&circumstances), caller::finding(&caller)];
    findings.extend(namespaces(&circumstances));
    findings.push(ids::finding(&caller));
    findings.extend(mounting::findings(&circumstances));
    findings.push(system_root::finding(&circumstances));
    findings.push(kernel::cgroups(&text("/proc/self/mountinfo")));
    findings.push(kernel::security_modules(&circumstances));
    findings
}

const UNTRIED: &str = "can't be tried without the namespaces above";

/// All eight kinds. For an ordinary user all others hang on the user namespace, so its refusal is explained once.
fn namespaces(around: &Circumstances) -> Vec<Finding> {
    let user = namespace(Kind::User, around);
    let closed = user.essential && user.state == State::Missing;
    let other = |kind| match kind {
        Kind::Mount | Kind::Pid if closed => Finding::new(finding_name(kind), State::Missing, UNTRIED).essential(),
        _ if closed => Finding::new(finding_name(kind), State::Missing, UNTRIED),
        _ => namespace(kind, around),
    };
    let others: Vec<Finding> = Kind::ALL.into_iter().filter(|&kind| kind != Kind::User).map(other).collect();
    [user].into_iter().chain(others).collect()
}

/// Can a namespace of this kind be made? Tried for real.
fn namespace(kind: Kind, around: &Circumstances) -> Finding {
    let name = finding_name(kind);
    let needed = matches!(kind, Kind::Mount | Kind::Pid) || (kind == Kind::User && !around.caller.is_privileged());
    let finding = match attempt::create(kind, &around.caller) {
        Ok(()) => {
            let limit = limit::of(kind).map_or_else(String::new, |limit| format!("at most {limit} per user"));
            Finding::works(name, limit)
        }
        Err(Refused::Clone(errno)) => {
            let hint = refusal::explain(kind, errno, around);
            Finding::refused(name, State::Missing, Hint::new(format!("{errno}: {}", hint.cause), hint.remedy))
        }
        Err(Refused::Within(errno)) => Finding::refused(name, State::Missing, refusal::powerless(errno, around)),
    };
    if needed { finding.essential() } else { finding }
}

fn finding_name(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user namespace",
        Kind::Mount => "mount namespace",
        Kind::Pid => "PID namespace",
        Kind::Net => "network namespace",
        Kind::Ipc => "IPC namespace",
        Kind::Uts => "UTS namespace",
        Kind::Cgroup => "cgroup namespace",
        Kind::Time => "time namespace",
    }
}

/// The text of a file of the kernel's, empty where it can't be read.
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The number in a file of the kernel's.
pub(crate) fn number(path: impl AsRef<Path>) -> Option<u64> {
    text(path).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use izba_sys::mount::{MountAttributes, MountChange, Propagation, mount_setattr};
    use izba_sys::namespace::{CloneFlags, unshare};
    use izba_sys::path::CWD;

    use super::*;

    /// In a mount namespace of its own thread, as tests beside it make mounts.
    fn findings_and_mounts() -> (Vec<Finding>, [String; 2]) {
        unshare(CloneFlags::NEWNS).unwrap();
        let private =
            MountChange { set: MountAttributes::empty(), propagation: Some(Propagation::Private), idmap: None };
        mount_setattr(CWD, c"/", true, private).unwrap();
        let before = text("/proc/thread-self/mountinfo");
        let findings = findings();
        (findings, [before, text("/proc/thread-self/mountinfo")])
    }

    #[test]
    fn probing_leaves_no_mount_behind_and_asks_each_thing_once() {
        let (findings, [before, after]) = std::thread::spawn(findings_and_mounts).join().unwrap();
        assert_eq!(before, after);
        let mut names: Vec<&str> = findings.iter().map(|finding| finding.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), findings.len());
        for finding in findings.iter().filter(|finding| finding.state == State::Missing) {
            assert!(!finding.detail.is_empty(), "{}", finding.name);
        }
    }

    #[test]
    fn only_what_is_essential_and_missing_stops_a_run() {
        let finding = |state, essential| Finding { essential, ..Finding::new("x", state, "") };
        assert!(run_works(&[finding(State::Missing, false), finding(State::Limited, true)]));
        assert!(!run_works(&[finding(State::Missing, true)]));
    }
}
