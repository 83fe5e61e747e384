//! `izba ps`, `exec`, `kill`, `pause`, `resume`, `update`, `stats` and `inspect`: runs that can be found by their names.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use izba_sandbox::account::UserSpec;

use super::TableFormat;
use super::limit::LimitArgs;
use super::run::ShowArgs;
use crate::parse::environment::{self, Assignment};
use crate::parse::interval;
use crate::parse::signal::Signal;
use crate::record::Name;

const PLACES: &str = "\
Runs are written down in IZBA_RUNTIME_DIR; else in /run/izba for root, in $XDG_RUNTIME_DIR/izba \
for others, or in /tmp/izba-UID. Every user sees its own.";

/// List what runs.
#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct PsArgs {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
    /// Print names only.
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
}

const EXEC: &str = "\
The program gets what the run's own program got: namespaces, root, user, capabilities, limits and \
environment. What it leaves in the background stays in the run and ends with it; the program \
itself ends with this izba, however that ends.

Exit status: as for izba run.";

/// Run a second program in a running sandbox.
#[derive(Debug, Args)]
#[command(override_usage = "izba exec [OPTIONS] NAME [COMMAND [ARG...]]", max_term_width = 110, after_help = EXEC)]
pub struct ExecArgs {
    /// The run, and the program: by default the user's shell. Options end here.
    #[arg(value_name = "NAME", required = true, trailing_var_arg = true, hide = true)]
    pub name_and_command: Vec<OsString>,
    /// Who runs the program: by default who runs the first one. Names are looked up in the run's own /etc/passwd and /etc/group.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<UserSpec>,
    /// Set an environment variable, or copy yours.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]", value_parser = OsStringValueParser::new().try_map(|text| environment::parse_assignment(&text)))]
    pub env: Vec<Assignment>,
    /// The working directory: by default the run's.
    #[arg(short, long = "workdir", value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    #[command(flatten)]
    pub terminal: crate::args::run::TerminalArgs,
    #[command(flatten)]
    pub show: ShowArgs,
}

/// Send a signal to the program of a run.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// The run.
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// The signal, by name or number. KILL ends everything in a run that has a PID namespace of its own.
    #[arg(value_name = "SIGNAL", default_value = "TERM", allow_hyphen_values = true)]
    pub signal: Signal,
    /// Send it to every process of the run instead, also to those of izba exec. That takes a control group; KILL does with a PID namespace.
    #[arg(long)]
    pub all: bool,
}

/// Stop every process of a run, until it is resumed.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// The run.
    #[arg(value_name = "NAME")]
    pub name: Name,
}

/// Let a paused run go on.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run.
    #[arg(value_name = "NAME")]
    pub name: Name,
}

const UPDATE: &str = "\
What isn't named stays as it is. A limit that was there is taken away with max; a weight can't be: by default it is 100 (--cpu-shares: 1024).
The rules of --device-cgroup-rule take the place of all earlier ones of the run.";

/// Change the limits of a run.
#[derive(Debug, Args)]
#[command(override_usage = "izba update NAME LIMIT...", max_term_width = 110, after_help = UPDATE)]
pub struct UpdateArgs {
    /// The run.
    #[arg(value_name = "NAME")]
    pub name: Name,
    #[command(flatten)]
    pub limits: LimitArgs,
}

const STATS: &str = "\
CPU TIME counts from the run's start; with --watch there is also CPU, of the time between two
looks: 100 % is one CPU. THROTTLED is how much of its periods the run was stopped in, as its quota
was used up. A dash stands where nothing is counted: on cgroup v1 that is what the run was given no
limit of.

--format json prints a list of objects; with --watch one on each line for each look. Sizes are in bytes,
times in microseconds, and what isn't counted is null.";

/// Show what runs use.
#[derive(Debug, Args)]
#[command(override_usage = "izba stats [OPTIONS] [NAME...]", max_term_width = 110, after_help = STATS)]
pub struct StatsArgs {
    /// The runs: by default all of yours.
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// Look again and again, every 2 seconds by default, until the runs have ended.
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = interval::parse
    )]
    pub watch: Option<Duration>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// Show what is known of a run, as JSON.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The run.
    #[arg(value_name = "NAME")]
    pub name: Name,
}
