//! `izba ns enter`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::kinds::Kinds;
use super::program::ProgramArgs;

/// What TARGET can be: the same for every verb.
pub const TARGETS: &str = "\
TARGET is one of
  1234                 a process
  web                  a run's name, a kept name, or a name of ip netns
  /run/netns/blue      a file that stands for one, such as /proc/1234/ns/net
  4026532281           a namespace's inode number, also as net:[4026532281]
  id:8123              a namespace's 64-bit id";

const EXAMPLES: &str = "\
Without options of the kinds above all namespaces of TARGET are entered that aren't yours already. \
Descriptors above 2, which nsenter(1) passes on, are closed.

Examples:
  izba ns enter 1234                        a shell where process 1234 lives
  izba ns enter 1234 -n -- ip addr          only its network
  izba ns enter web -a --root --wd --env    also its root, directory, variables
  izba ns enter /run/netns/blue -- ss -tln  what listens in a kept network";

/// Run a program in existing namespaces.
#[derive(Debug, Args)]
#[command(
    override_usage = "izba ns enter TARGET [OPTIONS] [--] [COMMAND [ARG...]]",
    max_term_width = 110,
    before_help = TARGETS,
    after_help = EXAMPLES
)]
pub struct EnterArgs {
    /// Whose namespaces.
    pub target: OsString,
    /// The program: by default your shell. Options end here.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
    #[command(flatten)]
    pub kinds: Kinds,
    #[command(flatten)]
    pub of_target: OfTarget,
    #[command(flatten)]
    pub program: ProgramArgs,
    #[command(flatten)]
    pub show: crate::args::run::ShowArgs,
    /// The clocks of a time namespace are set before its first process: said for who tries.
    #[arg(long, hide = true, value_name = "SECONDS", allow_negative_numbers = true)]
    pub boottime: Option<i64>,
    #[arg(long, hide = true, value_name = "SECONDS", allow_negative_numbers = true)]
    pub monotonic: Option<i64>,
}

/// What else is taken from the target, which has to be a process then.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What else is taken from the process")]
pub struct OfTarget {
    /// Its root directory, or DIR of yours. By default the root of the mount namespace.
    #[arg(short = 'r', long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub root: Option<Option<PathBuf>>,
    /// Its working directory, or DIR there.
    #[arg(short = 'w', long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub wd: Option<Option<PathBuf>>,
    /// Its environment.
    #[arg(short = 'e', long)]
    pub env: bool,
    /// Its user and groups. By default the program is root of a user namespace that is entered, and else who you are.
    #[arg(long, conflicts_with_all = ["setuid", "setgid", "preserve_credentials"])]
    pub credentials: bool,
    /// Its cgroups.
    #[arg(short = 'c', long)]
    pub join_cgroup: bool,
    /// Stay who you are, also in a user namespace.
    #[arg(long, conflicts_with_all = ["setuid", "setgid"])]
    pub preserve_credentials: bool,
}
