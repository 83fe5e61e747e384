//! The project's chores, run as `cargo xtask COMMAND`: set-up of a test machine, every test in one command, the benchmark.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to the developer who started it")]

mod bench;
mod command;
mod machine;
mod setup;
mod test;

use std::process::ExitCode;

/// What a chore ends with: nothing to add, or one sentence that says what is wrong and what to do.
type Outcome<T = ()> = Result<T, String>;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  setup                            install what the tests and the benchmark need (Debian, as root)
  test [-- FILTER]                 set up, check format and lints, run every test, check that nothing was left behind;
                                   with FILTER: only the tests that match it, and the check for leftovers
  bench [ns] [--runs N] [--idle-ms N]
                                   time izba beside its peers and the kernel floor; prints a table
                                   ns: `izba ns list` beside lsns, with 5,000 processes in 1,000 namespaces
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Outcome {
    let Some((chore, rest)) = arguments.split_first() else { return Err(format!("no command\n\n{USAGE}")) };
    match (chore.as_str(), rest) {
        ("setup", []) => setup::run(),
        ("test", []) => test::run(&[]),
        ("test", [dashes, filter @ ..]) if dashes == "--" => test::run(filter),
        ("bench", _) => bench::run(rest),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("not understood: {}\n\n{USAGE}", arguments.join(" "))),
    }
}
