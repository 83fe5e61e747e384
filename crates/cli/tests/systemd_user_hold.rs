//! Limits hold in scopes of the user's own systemd, from a session outside of what is delegated. See `scope/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod disk;
mod group;
mod scope;
mod support;

/// Whose systemd makes the scopes.
const USER: support::User = support::User::Ranges;
