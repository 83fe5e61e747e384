//! Namespaces that are kept under a name, whether a process is in them or not.

use std::path::PathBuf;

use crate::survey::Id;

/// Namespaces that are kept under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name.
    pub name: String,
    /// Each with a path that leads to it: a bind mount, or a descriptor of the process that holds it.
    pub namespaces: Vec<(Id, PathBuf)>,
    /// How they are kept.
    pub how: Keeping,
}

/// How namespaces are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// By bind mounts: root's way.
    Mounts,
    /// By the descriptors of this process: an ordinary user's way.
    Process(i32),
}
