//! The command line: what may be written, and what it says about itself.

pub mod cache;
pub mod internal;
pub mod limit;
pub mod named;
pub mod ns;
pub mod run;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs Linux programs in a house of their own.
#[derive(Debug, Parser)]
#[command(name = "izba", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

// A start makes the options of its own verb only: of all, they would be a twentieth of its time.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Run a program in a root file system and namespaces of its own.
    Run(Box<run::RunArgs>),
    /// List what runs.
    Ps(named::PsArgs),
    /// Run a second program in a running sandbox.
    Exec(Box<named::ExecArgs>),
    /// Send a signal to the program of a run.
    Kill(named::KillArgs),
    /// Stop every process of a run, until it is resumed.
    Pause(named::PauseArgs),
    /// Let a paused run go on.
    #[command(alias = "unpause")]
    Resume(named::ResumeArgs),
    /// Change the limits of a run.
    Update(Box<named::UpdateArgs>),
    /// Show what runs use.
    Stats(named::StatsArgs),
    /// Show what is known of a run.
    Inspect(named::InspectArgs),
    #[command(subcommand)]
    Ns(ns::NsVerb),
    #[command(subcommand)]
    Cache(cache::CacheVerb),
    /// Remove what killed runs have left.
    Gc(cache::GcArgs),
    /// Show what works on this machine for you, and how to get the rest.
    Doctor(DoctorArgs),
    #[command(name = internal::UNPACK, hide = true)]
    Unpack(internal::UnpackArgs),
    #[command(name = internal::REMOVE, hide = true)]
    Remove(internal::RemoveArgs),
    #[command(name = internal::SWEEP, hide = true)]
    Sweep(internal::SweepArgs),
}

/// Show what works on this machine for you, and how to get the rest.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
