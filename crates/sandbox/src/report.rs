//! Failures, in words: what failed, on what, why, and what to do.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use izba_sys::Errno;
use izba_sys::namespace::CloneFlags;

use crate::call::Call;
use crate::message::Report;
use crate::parent::Problem;
use crate::plan::{Plan, Step};

/// Why a sandbox didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A call of the caller's own process failed before there was a child.
    #[error("{call} failed: {errno}")]
    Call {
        /// Its name.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The first process couldn't be made.
    #[error("can't make the new namespaces: clone3({}) failed: {errno}", namespaces.names())]
    Clone {
        /// In these new namespaces.
        namespaces: CloneFlags,
        /// Why.
        errno: Errno,
    },
    /// A step of the plan failed.
    #[error("{0}")]
    Step(StepError),
}

/// A step of the plan that failed.
#[derive(Debug, thiserror::Error)]
#[error("can't {title}: {call_text}: {}", self.reason())]
pub struct StepError {
    /// What it was for.
    pub title: String,
    /// The call, as strace(1) shows it.
    pub call_text: String,
    /// Why.
    pub errno: Option<Errno>,
    helper: Option<String>,
    pub(crate) call: Call,
    /// The root as the child had it, to look for the cause in.
    pub(crate) root: Option<OwnedFd>,
    pub(crate) candidates: Vec<CString>,
}

impl StepError {
    pub(crate) fn outside(plan: &Plan, step: &Step, call: &Call, problem: Problem) -> Self {
        let (errno, helper) = match problem {
            Problem::Errno(errno) => (Some(errno), None),
            Problem::Helper(said) => (None, Some(said)),
        };
        Self { helper, ..Self::new(plan, step, call.clone(), errno, None) }
    }

    pub(crate) fn inside(plan: &Plan, report: &Report, root: Option<OwnedFd>) -> Self {
        let nothing = Step { title: "start".to_owned(), shell: None, calls: Vec::new() };
        let step = plan.inside.get(report.step).unwrap_or(&nothing);
        let call = step.calls.get(report.call).cloned().unwrap_or(Call::Exec);
        Self::new(plan, step, call, Some(Errno::from_raw_os_error(report.errno)), root)
    }

    fn new(plan: &Plan, step: &Step, call: Call, errno: Option<Errno>, root: Option<OwnedFd>) -> Self {
        Self {
            title: step.title.clone(),
            call_text: plan.text_of(&call),
            errno,
            helper: None,
            call,
            root,
            candidates: plan.program.candidates.clone(),
        }
    }

    fn reason(&self) -> String {
        match (&self.helper, self.errno) {
            (Some(said), _) => said.clone(),
            (None, Some(errno)) => errno.to_string(),
            (None, None) => "unknown".to_owned(),
        }
    }
}
