//! From the library's errors to what a user reads.

use izba_sandbox::report::StartError;
use izba_sandbox::plan::PlanError;

use crate::failure::Failure;

/// There can be no plan.
pub fn unplanned(error: &PlanError) -> Failure {
    let failure = Failure::new(&error.problem);
    match &error.remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

/// The sandbox didn't start.
pub fn failure(error: &StartError) -> Failure {
    Failure::from_error(error)
}
