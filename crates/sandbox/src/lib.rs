//! Linux isolation as a library: say what is wanted, look at the plan, run it.
//!
//! 1. **Intent**: a [`sandbox::Sandbox`] is plain typed data.
//! 2. **Plan**: [`plan::Plan::new`] turns it, with the [`facts::Facts`] of this machine, into an ordered list of steps;
//!    a pure function that needs no root.
//! 3. **Kernel**: [`parent::spawn`] makes the calls of the plan, and no others, between clone3(2) and execve(2).

pub mod account;
pub mod capability;
pub mod diagnose;
pub mod host;
pub mod idmap;
pub mod namespace;
pub mod probe;
pub mod rlimit;
pub mod rootfs;
pub mod sandbox;
mod call;
pub mod facts;
pub mod plan;
pub mod text;
pub mod visibility;
mod child;
mod message;
mod supervise;

/// The exit status of a start that failed before the program could: as env(1), chroot(1) and container engines have it.
pub const STATUS_FAILED: i32 = 125;
pub mod parent;
pub mod report;
