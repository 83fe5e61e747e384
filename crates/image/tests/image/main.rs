//! Archives from outside go in, trees in a cache come out: real files on a real file system, as root, as an ordinary
//! user and inside a user namespace.
//!
//! Most tests need root (to make owners and devices, and to become somebody else) and say so when they don't have it.
//! They use GNU tar, gzip, xz, zstd, strace and util-linux's unshare.

// Clippy's leave for tests ends at their helper functions.
#![allow(clippy::unwrap_used, clippy::panic)]

mod archive;
mod cache;
mod crash;
mod gnu_tar;
mod hostile;
mod mutations;
mod process;
mod removal;
mod scratch;
mod sharing;
mod users;
