//! The command line: what may be written, and what it says about itself.

pub mod cache;
pub mod internal;
pub mod named;
pub mod ns;
pub mod run;

use std::ffi::OsStr;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs Linux programs in a house of their own.
#[derive(Debug, Parser)]
#[command(name = "izba", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

/// Reads the command line. The definitions of all verbs together take longer to make than a namespace, so for the verbs that start
/// something only their own are made.
pub fn parse() -> Result<Verb, clap::Error> {
    match std::env::args_os().nth(1).as_deref().and_then(OsStr::to_str) {
        Some("run") => only("run").map(|args| Verb::Run(Box::new(args))),
        Some("exec") => only("exec").map(|args| Verb::Exec(Box::new(args))),
        _ => Cli::try_parse().map(|cli| cli.verb),
    }
}

fn only<A: clap::Args>(verb: &'static str) -> Result<A, clap::Error> {
    let izba = clap::Command::new("izba").subcommand(A::augment_args(clap::Command::new(verb)));
    let mut matches = izba.try_get_matches()?;
    let found = matches.remove_subcommand();
    A::from_arg_matches(&found.map(|(_, matches)| matches).unwrap_or_default())
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Run(Box<run::RunArgs>),
    Ps(named::PsArgs),
    Exec(Box<named::ExecArgs>),
    Kill(named::KillArgs),
    Inspect(named::InspectArgs),
    #[command(subcommand)]
    Ns(ns::NsVerb),
    #[command(subcommand)]
    Cache(cache::CacheVerb),
    Gc(cache::GcArgs),
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
