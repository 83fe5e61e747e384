//! izba: Linux isolation from a single namespace up to a full container.

#![cfg_attr(not(test), no_main)]

mod archive;
mod args;
mod cache_place;
mod caller;
mod commands;
mod failure;
mod inside;
mod kept;
mod launch;
mod lower;
mod output;
mod own_binary;
mod parse;
mod plan_json;
mod plan_text;
mod private_dir;
mod progress;
mod record;
mod result;
mod runtime_dir;
mod scratch;
mod session;
mod start;
mod sweep;
mod table;
mod target;
mod terminal;

use args::{Cli, Verb};
use clap::Parser;

#[cfg(not(test))]
izba_sys::entry!(izba);

#[cfg(test)]
fn main() {
    std::process::exit(i32::from(izba()));
}

/// The exit status.
fn izba() -> u8 {
    if let Err(failure) = caller::refuse_raised_rights() {
        output::failure(&failure);
        return failure.status;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    run(&cli.verb).unwrap_or_else(|failure| {
        output::failure(&failure);
        failure.status
    })
}

fn run(verb: &Verb) -> failure::Result<u8> {
    match verb {
        Verb::Run(args) => commands::run::run(args),
        Verb::Ps(args) => commands::ps::ps(args),
        Verb::Exec(args) => commands::exec::exec(args),
        Verb::Kill(args) => commands::kill::kill(args),
        Verb::Pause(args) => commands::pause::pause(args),
        Verb::Resume(args) => commands::pause::resume(args),
        Verb::Update(args) => commands::update::update(args),
        Verb::Stats(args) => commands::stats::stats(args),
        Verb::Inspect(args) => commands::inspect::inspect(args),
        Verb::Ns(verb) => commands::ns::run(verb),
        Verb::Cache(verb) => commands::cache::run(verb),
        Verb::Gc(args) => commands::gc::run(args),
        Verb::Doctor(args) => doctor(args.format),
        Verb::Unpack(args) => commands::internal::unpack(args),
        Verb::Remove(args) => commands::internal::remove(args),
        Verb::Sweep(args) => commands::internal::sweep(args),
    }
}

/// Ends with 1 where `izba run` can't work for this caller.
fn doctor(format: args::TableFormat) -> failure::Result<u8> {
    let mut works = false;
    output::print(|out| commands::doctor::doctor(format, out).map(|found| works = found))?;
    Ok(u8::from(!works))
}

/// Help goes to stdout with status 0; a mistake to stderr with 125, as 2 could be the program's own status.
fn usage(error: &clap::Error) -> u8 {
    // If nobody reads it, nobody misses it.
    let _ = error.print();
    if error.use_stderr() { failure::FAILED } else { 0 }
}
