//! From the library's errors to what a user reads.

use izba_sandbox::cgroup::GroupError;
use izba_sandbox::plan::PlanError;
use izba_sandbox::report::StartError;
use izba_sys::signal;

use crate::failure::{FAILED, Failure};

/// There can be no plan.
pub fn unplanned(error: &PlanError) -> Failure {
    let failure = Failure::new(&error.problem);
    match &error.remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

/// The sandbox didn't start: with the cause that probing has found, and the status that says so.
pub fn failure(error: &StartError) -> Failure {
    let status = u8::try_from(error.status()).unwrap_or(FAILED);
    let failure = Failure::from_error(error).status(status);
    match (error.hint(), error) {
        (Some(hint), _) => failure.because(hint.cause).remedy(hint.remedy),
        (None, StartError::Step(step)) => {
            step.exec_remedy().into_iter().fold(failure, |failure, remedy| failure.remedy(remedy))
        }
        (None, _) => failure,
    }
}

/// A signal has come before there was a program to pass it on to.
pub fn given_up(error: &StartError, signal: i32) -> Failure {
    let failure = failure(error);
    let name = signal::name(signal).map_or_else(|| signal.to_string(), |name| format!("SIG{name}"));
    Failure { problem: format!("{}: {name}", failure.problem), ..failure }
        .status(u8::try_from(128 + signal).unwrap_or(FAILED))
}

/// Something can't be done to a run's group.
pub fn group(problem: String, error: &GroupError) -> Failure {
    let failure = Failure::new(problem).caused_by(error);
    match error.hint() {
        Some(hint) => failure.because(hint.cause).remedy(hint.remedy),
        None => failure,
    }
}
