//! `cargo xtask bench ns`: `izba ns list` beside lsns(8), on a machine with 5,000 processes and 1,000 namespaces more than there were.

use super::contender::Contender;
use super::ground::{Ground, build_izba};
use super::peers::program;
use super::table::{self, Heading};
use super::{Options, measure};
use crate::Outcome;
use crate::setup::Account;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The processes, for as long as it lives.
struct Crowd(Child);

impl Crowd {
    fn gather(ground: &Ground) -> Outcome<Self> {
        let mut command = Command::new(&ground.crowd);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut crowd = Self(child.map_err(|error| format!("the crowd of processes can't be started: {error}"))?);
        let mut line = String::new();
        let stdout = crowd.0.stdout.take().ok_or("no pipe")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("the crowd of processes: {error}"))?;
        if line == "ready\n" {
            Ok(crowd)
        } else {
            Err("the crowd of processes couldn't be made: is there a limit?".into())
        }
    }
}

impl Drop for Crowd {
    /// The end of its standard input ends its first process, and with that all.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("bench: the crowd of processes may still be there: {error}");
        }
    }
}

/// lsns comes first: the ratios are to it.
pub(super) fn run(options: &Options) -> Outcome {
    let ground = Ground::prepare(&build_izba(&[])?)?;
    let root = Account::root();
    let entry = |name: &str, program: &Path, arguments: &[&str]| Contender {
        name: name.into(),
        program: program.into(),
        arguments: arguments.iter().map(OsString::from).collect(),
        account: root.clone(),
    };
    let contenders = [
        entry("lsns", &program("lsns"), &[]),
        entry("izba ns list", &ground.izba, &["ns", "list"]),
        entry("lsns --json", &program("lsns"), &["--json"]),
        entry("izba ns list --format json", &ground.izba, &["ns", "list", "--format", "json"]),
        entry("izba ns tree --all", &ground.izba, &["ns", "tree", "--all"]),
    ];
    let crowd = Crowd::gather(&ground)?;
    contenders.iter().try_for_each(Contender::check)?;
    let samples = measure(&contenders, options)?;
    let peaks = contenders.iter().map(|contender| contender.peak(&ground.peak)).collect::<Vec<_>>();
    drop(crowd);
    let heading = Heading { what: "5,000 processes, 1,000 namespaces", beside: "× lsns", tools: &["lsns"] };
    table::print(&heading, &contenders, &samples, &peaks);
    Ok(())
}
