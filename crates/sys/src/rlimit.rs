//! Resource limits: setrlimit(2).

pub use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
