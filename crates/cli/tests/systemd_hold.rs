//! Limits hold in scopes of root's systemd. See `scope/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod disk;
mod group;
mod scope;
mod support;

/// Whose systemd makes the scopes.
const USER: support::User = support::User::Root;
