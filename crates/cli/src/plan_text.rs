//! A plan for people.

use std::io::{self, Write};

use izba_sandbox::plan::{Actor, NOT_ENFORCED, Plan, Step};

/// From here on a line says which shell command does the same.
const SHELL_COLUMN: usize = 52;

/// Every step with its calls.
pub fn write(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    for note in &plan.notes {
        writeln!(out, "note: {note}")?;
    }
    for (actor, step) in plan.steps() {
        writeln!(out, "{}", with_shell(format!("{}  {}", word(actor), step.title), step))?;
        for call in plan.calls(step) {
            writeln!(out, "            {call}")?;
        }
    }
    writeln!(out, "not enforced yet: {}", NOT_ENFORCED.join(", "))
}

/// Who does a step.
pub fn word(actor: Actor) -> &'static str {
    match actor {
        Actor::Parent => "parent",
        Actor::Child => "child ",
    }
}

/// A step that has been done, with the time that it took.
pub fn done(step: &Step, nanoseconds: u64) -> String {
    let microseconds = nanoseconds / 1000;
    with_shell(format!("+{:>4}.{:03} ms  {}", microseconds / 1000, microseconds % 1000, step.title), step)
}

fn with_shell(line: String, step: &Step) -> String {
    with_command(line, step.shell.as_deref())
}

fn with_command(line: String, shell: Option<&str>) -> String {
    match shell {
        Some(shell) => format!("{line:<SHELL_COLUMN$}  # {shell}"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_command_stands_in_its_column() {
        let line = with_command("+   0.123 ms  mount /proc".to_owned(), Some("mount -t proc proc /proc"));
        assert_eq!(line.find('#'), Some(SHELL_COLUMN + 2));
        assert!(line.ends_with("# mount -t proc proc /proc"));
        assert_eq!(with_command("x".to_owned(), None), "x");
    }
}
