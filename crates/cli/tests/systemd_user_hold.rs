//! Limits hold in scopes of the user's own systemd, from a session outside of what is delegated. See `scope/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;
mod scope;
mod support;

use support::User;

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn limits_are_those_of_a_scope() {
    scope::limits_are_those_of_a_scope(User::Ranges);
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn memory_holds_and_its_end_is_said() {
    scope::memory_holds_and_its_end_is_said(User::Ranges);
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn processes_and_cpu_time_hold() {
    scope::processes_and_cpu_time_hold(User::Ranges);
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_scope_is_paused_changed_and_ended() {
    scope::a_scope_is_paused_changed_and_ended(User::Ranges);
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_scope_is_in_the_slice_that_was_named() {
    scope::a_scope_is_in_the_slice_that_was_named(User::Ranges);
}
