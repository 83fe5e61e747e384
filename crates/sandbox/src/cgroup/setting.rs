//! What is written to a group's files.

use super::{Controller, Version};

/// A value for a file of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whose file it is.
    pub controller: Controller,
    /// In which of the kernel's interfaces.
    pub version: Version,
    /// Its name: `memory.max`.
    pub file: String,
    /// The whole value of one write(2): some files take one line at a time.
    pub value: String,
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
