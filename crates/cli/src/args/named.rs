//! `izba ps`, `exec`, `kill` and `inspect`: runs that can be found by their names.

use clap::Args;

/// List what runs.
#[derive(Debug, Args)]
pub struct PsArgs {}

/// Run a second program in a running sandbox.
#[derive(Debug, Args)]
pub struct ExecArgs {}

/// Send a signal to the program of a run.
#[derive(Debug, Args)]
pub struct KillArgs {}

/// Show what is known of a run.
#[derive(Debug, Args)]
pub struct InspectArgs {}
