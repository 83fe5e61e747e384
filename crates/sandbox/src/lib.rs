//! Linux isolation as a library: say what is wanted, look at the plan, run it.
//!
//! 1. **Intent**: a [`sandbox::Sandbox`] is plain typed data.
//! 2. **Plan**: [`plan::Plan::new`] turns it, with the [`facts::Facts`] of this machine, into an ordered list of steps;
//!    a pure function that needs no root.
//! 3. **Kernel**: [`parent::spawn`] makes the calls of the plan, and no others, between clone3(2) and execve(2).
//!
//! ```no_run
//! use izba_sandbox::facts::Facts;
//! use izba_sandbox::parent::spawn;
//! use izba_sandbox::plan::Plan;
//! use izba_sandbox::rootfs::{Root, Writes};
//! use izba_sandbox::sandbox::Sandbox;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = Root::Directory { path: "/srv/rootfs".into(), writes: Writes::Refused };
//! let sandbox = Sandbox::new(root, c"/bin/busybox", &[c"busybox", c"id"]);
//! let plan = Plan::new(&sandbox, &Facts::gather(&sandbox)?)?;
//! for (_, step) in plan.steps() {
//!     println!("{}", step.title);
//! }
//! let outcome = spawn(&plan, None)?.wait()?;
//! println!("ended with {}", outcome.status());
//! # Ok(())
//! # }
//! ```
//!
//! It may be called from a program with threads, and changes nothing of the calling process.

pub mod sandbox;

pub mod account;
pub mod capability;
pub mod cgroup;
pub mod host;
pub mod idmap;
pub mod namespace;
pub mod rlimit;
pub mod rootfs;

pub mod facts;
pub mod visibility;

mod call;
pub mod plan;
pub mod text;

mod child;
mod message;
pub mod parent;
mod supervise;
mod visit;

pub mod contents;
pub mod keep;
pub mod limits;
pub mod mountinfo;
pub mod survey;

pub mod diagnose;
pub mod probe;
pub mod report;

/// The exit status of a start that failed before the program could: as env(1), chroot(1) and container engines have it.
pub const STATUS_FAILED: i32 = 125;
