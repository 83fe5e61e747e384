//! `cargo xtask test`: every check of the project in one command, and proof that the tests left the machine as it was.

use crate::machine::{self, Machine};
use crate::{Outcome, command, setup, vm};
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The sums of cargo test's own summary lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    passed: usize,
    failed: usize,
}

/// Runs all checks, or with a filter only the tests that match it. Goes on after a failure and reports all of them.
pub(crate) fn run(filter: &[String]) -> Outcome {
    setup::run()?;
    vm::tests::prepare()?;
    machine::adopt_orphans()?;
    let mut failures = Vec::new();
    if filter.is_empty() {
        failures.extend(checks().into_iter().filter_map(|mut check| announced(&mut check).err()));
    }
    let before = Machine::look();
    let mut tally = Tally::default();
    failures.extend(tests(filter, &mut tally).err());
    failures.extend(tests_in_machines(filter, &mut tally));
    failures.extend(before.compare_when_settled().err());
    for failure in &failures {
        println!("failed: {failure}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if failures.is_empty() { Ok(()) } else { Err(format!("{} of the checks failed, see above", failures.len())) }
}

fn checks() -> [Command; 3] {
    let mut format = command::cargo();
    format.args(["fmt", "--all", "--check"]);
    let mut lints = command::cargo();
    lints.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let mut docs = command::cargo();
    docs.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]);
    [format, lints, docs]
}

fn announced(check: &mut Command) -> Outcome {
    println!("== {}", command::shown(check));
    command::run(check)
}

fn tests(filter: &[String], tally: &mut Tally) -> Outcome {
    let mut cargo = command::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast", "--"]).args(filter);
    println!("== {}", command::shown(&cargo));
    counted("cargo test", &mut cargo, tally)
}

/// The tests that need another kernel or another PID 1 than this machine has; gives what failed.
fn tests_in_machines(filter: &[String], tally: &mut Tally) -> Vec<String> {
    let machines = match vm::tests::machines(&[], filter) {
        Ok(machines) => machines,
        Err(error) => return vec![error],
    };
    let run = |mut machine: vm::tests::Machine| {
        println!("== virtual machine: {}", machine.title);
        counted(&format!("virtual machine: {}", machine.title), &mut machine.command, tally).err()
    };
    machines.into_iter().filter_map(run).collect()
}

/// Runs a program that runs tests, with its output passed on as it comes.
fn counted(name: &str, program: &mut Command, tally: &mut Tally) -> Outcome {
    program.env(machine::MARKER, std::process::id().to_string());
    let started = program.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("{name}: {error}"))?;
    let (sender, summaries) = mpsc::channel();
    let reader = child.stdout.take().map(|stdout| std::thread::spawn(move || pass_on(stdout, &sender)));
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    // A process that a test left behind may hold the pipe open for ever: it must not hold us.
    let deadline = Instant::now() + Duration::from_secs(1);
    while reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    for summary in summaries.try_iter() {
        tally.passed += summary.passed;
        tally.failed += summary.failed;
    }
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}")) }
}

/// Prints every line and sends on what the summaries say.
fn pass_on(stdout: ChildStdout, summaries: &mpsc::Sender<Tally>) {
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(summary) = summary(&line)
            && summaries.send(summary).is_err()
        {
            return;
        }
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn summary(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        let entry = counts.split("; ").find_map(|entry| entry.strip_suffix(word))?;
        entry.trim().parse().ok()
    };
    Some(Tally { passed: count(" passed")?, failed: count(" failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_cargo_test_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(summary(line), Some(Tally { passed: 12, failed: 3 }));
        assert_eq!(summary("test result of something else"), None);
    }
}
