//! `izba ps`.

use serde_json::{Value, json};

use crate::args::TableFormat;
use crate::args::named::PsArgs;
use crate::caller::Caller;
use crate::failure::Result;
use crate::output;
use crate::record::{Record, Run, State};
use crate::table::{Table, numbers, terminal_width, words};

/// Lists what runs. A record that can't be read hides no other.
pub fn ps(args: &PsArgs) -> Result<u8> {
    let (runs, failures) = Run::all(&Caller::of_this_process());
    output::print(|out| match args.format {
        _ if args.quiet => runs.iter().try_for_each(|run| writeln!(out, "{}", run.name)),
        TableFormat::Json => writeln!(out, "{:#}", Value::from(runs.iter().map(json).collect::<Vec<_>>())),
        TableFormat::Table => table(&runs).write(out, terminal_width()),
    })?;
    Ok(output::failures(&failures))
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(vec![
        words("NAME"),
        numbers("PID"),
        // Everyone sees the runs of his own, so what is of interest is who he is in them.
        words("USER INSIDE"),
        words("STATE"),
        words("RUNS FOR"),
        words("ROOT"),
        words("COMMAND"),
    ]);
    runs.iter().for_each(|run| table.row(row(run)));
    table
}

fn row(run: &Run) -> Vec<String> {
    let name = run.name.to_string();
    match &run.state {
        State::Starting => {
            let none = || "-".to_owned();
            vec![name, none(), none(), "starting".to_owned(), none(), none(), none()]
        }
        State::Running(record) => {
            let command: Vec<_> = record.command.iter().map(|word| word.shown()).collect();
            let pid = record.program.pid.to_string();
            let state = state(record).to_owned();
            vec![
                name,
                pid,
                user(record),
                state,
                duration(record.age()),
                record.root.shown().into_owned(),
                command.join(" "),
            ]
        }
    }
}

fn state(record: &Record) -> &'static str {
    if record.is_paused() { "paused" } else { "running" }
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
            "state": state(record),
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
        let mut out = Vec::new();
        table(&[run("web"), run("long-one")]).write(&mut out, Some(56)).unwrap();
        let expected = [
            "NAME      PID  USER INSIDE  STATE     RUNS FOR  ROOT  COMMAND",
            "web         -  -            starting  -         -     -",
            "long-one    -  -            starting  -         -     -",
        ];
        assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), expected);
        assert_eq!(json(&run("web")), json!({ "name": "web", "state": "starting" }));
    }
}
