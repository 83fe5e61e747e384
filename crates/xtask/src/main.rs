//! The project's chores, run as `cargo xtask COMMAND`: set-up of a machine for tests, every test in one command,
//! the benchmark, the order of the binary's functions, a virtual machine.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to the developer who started it")]

mod bench;
mod command;
mod machine;
mod order;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

/// What a chore ends with: nothing to add, or one sentence that says what is wrong and what to do.
type Outcome<T = ()> = Result<T, String>;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  setup                            install what the tests and the benchmark need (Debian, as root)
  test [-- FILTER]                 set up, check format and lints, run every test, check that nothing was left behind;
                                   with FILTER: only the tests that match it, and the check for leftovers
  bench [ns|limits] [--runs N] [--idle-ms N]
                                   time izba beside its peers and the kernel floor; prints a table
                                   ns: `izba ns list` beside lsns, with 5,000 processes in 1,000 namespaces
                                   limits: starts with memory, pids and CPU limits, beside runc and crun, on cgroup v1 and v2
  order                            follow starts of izba instruction by instruction, for the order of its functions in the binary (some minutes):
                                   before a release, or when the compiler is a newer one
  vm [OPTION]... -- COMMAND [ARGUMENT]...
                                   run a command (one word: a shell command line) in a throw-away Linux with pure cgroup v2, as
                                   root; its output and exit status are the command's (124: time is up, 125: the machine failed).
                                   It sees the host's files; what it writes is lost; /tmp and /run are empty
      --systemd                    systemd is PID 1, with D-Bus and logind
      --user NAME                  run as this user of the host; with --systemd with a manager and a bus of its own
      --share DIR                  this directory of the host may be written to
      --cpus N, --mem SIZE         1 and 2G unless said otherwise
      --timeout SECONDS            600 unless said otherwise
      --verbose                    show the console
  vm --test NAME [FILTER]...       run a test binary in the machine that its name asks for: v2_*, cgroup_*, systemd_*, systemd_user_*
  vm --build-kernel                build the newest kernel for it now; else that is done where none is found
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(status) => status,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Outcome<ExitCode> {
    let Some((chore, rest)) = arguments.split_first() else { return Err(format!("no command\n\n{USAGE}")) };
    let done = match (chore.as_str(), rest) {
        ("vm", _) => return Ok(vm::run(rest)),
        (vm::CHORE, _) => vm::boot(rest),
        ("setup", []) => setup::run(),
        ("test", []) => test::run(&[]),
        ("test", [dashes, filter @ ..]) if dashes == "--" => test::run(filter),
        ("bench", _) => bench::run(rest),
        ("order", []) => order::run(),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("not understood: {}\n\n{USAGE}", arguments.join(" "))),
    };
    done.map(|()| ExitCode::SUCCESS)
}
