//! What went wrong, for the one place that prints it.

use std::error::Error;
use std::fmt;

/// The exit status of a failure of izba itself.
pub const FAILED: u8 = 125;
/// The exit status where the program isn't found.
pub const NOT_FOUND: u8 = 127;

/// The result of everything that can fail for reasons that a user has to know.
pub type Result<T> = std::result::Result<T, Failure>;

/// A failure: what was wanted and didn't work, why, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// One sentence.
    pub problem: String,
    /// From the nearest cause to the farthest.
    pub causes: Vec<String>,
    /// What to do about it.
    pub remedies: Vec<String>,
    /// With what status izba ends.
    pub status: u8,
    /// Has another process, whose stderr is ours, said it already?
    pub said: bool,
}

impl Failure {
    /// A failure without a deeper cause.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), causes: Vec::new(), remedies: Vec::new(), status: FAILED, said: false }
    }

    /// An error with its chain of causes.
    pub fn from_error(error: &dyn Error) -> Self {
        Self::new(error.to_string()).caused_by_sources(error)
    }

    /// A failure that was printed where it happened.
    pub fn said() -> Self {
        Self { said: true, ..Self::new("it has been said already") }
    }

    /// Adds an error, with its own chain, as the cause.
    pub fn caused_by(mut self, error: &dyn Error) -> Self {
        self.causes.push(error.to_string());
        self.caused_by_sources(error)
    }

    /// Adds a cause in words.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    fn caused_by_sources(mut self, error: &dyn Error) -> Self {
        let mut next = error.source();
        while let Some(source) = next {
            self.causes.push(source.to_string());
            next = source.source();
        }
        self
    }

    /// Adds what to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }

    /// Ends with this status instead of 125.
    pub fn status(self, status: u8) -> Self {
        Self { status, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.problem)?;
        self.causes.iter().try_for_each(|cause| write!(f, "\ncause: {cause}"))?;
        self.remedies.iter().try_for_each(|remedy| write!(f, "\ntry: {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_causes_and_remedies() {
        let io = std::io::Error::from_raw_os_error(2);
        let failure = Failure::new("cannot open it").caused_by(&io).remedy("make it").status(NOT_FOUND);
        assert_eq!(
            failure.to_string(),
            "error: cannot open it\ncause: No such file or directory (os error 2)\ntry: make it"
        );
        assert_eq!((failure.status, failure.said), (127, false));
    }
}
