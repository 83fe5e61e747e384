//! What is written to a group's files.

use super::{Controller, Version};

/// A value for a file of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whose file it is; `None` for a file of the group itself, `cgroup.*`, which is in cgroup v2's directory.
    pub controller: Option<Controller>,
    /// In which of the kernel's interfaces.
    pub version: Version,
    /// Its name: `memory.max`.
    pub file: String,
    /// The whole value of one write(2): some files take one line at a time.
    pub value: String,
    /// What it means if the kernel has no such file.
    pub presence: Presence,
}

/// Whether a file has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has: without it the limit can't be had.
    Required,
    /// It hasn't: without it there is nothing that could be limited.
    Optional,
    /// One of two: both are written that are there, and one has to be. The other one is in the same directory.
    Twin {
        /// The other file's name.
        file: String,
        /// Its own value.
        value: String,
    },
}

/// Why limits can't be written down as files of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct LimitError {
    /// Which limit with which value can't be had, and why.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl LimitError {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}
