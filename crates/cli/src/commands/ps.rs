//! `izba ps`.

use serde_json::{Value, json};

use crate::args::TableFormat;
use crate::args::named::PsArgs;
use crate::caller::Caller;
use crate::failure::{FAILED, Result};
use crate::output;
use crate::record::{Record, Run, State};

/// Lists what runs. A record that can't be read hides no other.
pub fn ps(args: &PsArgs) -> Result<u8> {
    let (runs, failures) = Run::all(&Caller::of_this_process());
    output::print(|out| match args.format {
        _ if args.quiet => runs.iter().try_for_each(|run| writeln!(out, "{}", run.name)),
        TableFormat::Json => writeln!(out, "{:#}", Value::from(runs.iter().map(json).collect::<Vec<_>>())),
        TableFormat::Table => lines(&runs).iter().try_for_each(|line| writeln!(out, "{line}")),
    })?;
    failures.iter().for_each(output::failure);
    Ok(if failures.is_empty() { 0 } else { FAILED })
}

const HEADINGS: [&str; 6] = ["NAME", "PID", "USER", "RUNS FOR", "ROOT", "COMMAND"];

/// Every column as wide as its widest cell, but for the last.
fn lines(runs: &[Run]) -> Vec<String> {
    let rows: Vec<[String; 6]> = [HEADINGS.map(str::to_owned)].into_iter().chain(runs.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(run: &Run) -> [String; 6] {
    let name = run.name.to_string();
    match &run.state {
        State::Starting => {
            let none = || "-".to_owned();
            [name, none(), none(), none(), none(), "(starting)".to_owned()]
        }
        State::Running(record) => {
            let words: Vec<_> = record.command.iter().map(|word| word.shown()).collect();
            let pid = record.program.pid.to_string();
            [name, pid, user(record), duration(record.age()), record.root.shown().into_owned(), words.join(" ")]
        }
    }
}

fn user(record: &Record) -> String {
    record.user.clone().unwrap_or_else(|| record.intent.uid.to_string())
}

/// The two largest units.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn json(run: &Run) -> Value {
    match &run.state {
        State::Starting => json!({ "name": run.name.as_str(), "state": "starting" }),
        State::Running(record) => json!({
            "name": run.name.as_str(),
            "state": "running",
            "pid": record.program.pid,
            "user": user(record),
            "startedAt": record.started_at,
            "seconds": record.age(),
            "root": record.root,
            "command": record.command,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, shown) in [(0, "0s"), (59, "59s"), (61, "1m01s"), (3_660, "1h01m"), (90_000, "1d01h")] {
            assert_eq!(duration(seconds), shown);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let run = |name: &str| Run { name: name.parse().unwrap(), path: "/".into(), state: State::Starting };
        let expected = [
            "NAME      PID  USER  RUNS FOR  ROOT  COMMAND",
            "web       -    -     -         -     (starting)",
            "long-one  -    -     -         -     (starting)",
        ];
        assert_eq!(lines(&[run("web"), run("long-one")]), expected);
        assert_eq!(json(&run("web")), json!({ "name": "web", "state": "starting" }));
    }
}
