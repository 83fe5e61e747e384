//! `izba ns run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use izba_sandbox::idmap::IdRange;
use izba_sys::mount::Propagation;

use super::kinds::Kinds;
use super::program::ProgramArgs;
use crate::parse::hostname;
use crate::record::Name;

const EXAMPLES: &str = "\
Everything that isn't asked for stays as it is: root, files, environment, ids and rights. Only \
descriptors above 2 are closed, which unshare(1) passes on. What makes a house of namespaces is izba run.

Examples:
  izba ns run -n ip link                  a network with only lo, which is down
  izba ns run -p --mount-proc ps          the program is process 1, and alone
  izba ns run -U --map-root -m sh         an ordinary user may mount
  izba ns run -u --hostname box hostname  another host name
  izba ns run -T --boottime 86400 uptime  up for a day longer
  izba ns run -n --keep blue true         a network that stays, and has a name
  izba ns run -a --map-root --dry-run     what would be done

Exit status: the program's own; 128+N when signal N ended it; 125 when izba failed, 126 when the \
program can't be executed, 127 when it isn't found.";

/// Run a program in new namespaces, with nothing else changed.
#[derive(Debug, Args)]
#[command(override_usage = "izba ns run [OPTIONS] [--] [COMMAND [ARG...]]", max_term_width = 110, after_help = EXAMPLES)]
pub struct NsRunArgs {
    /// The program: by default the user's shell. Options end here.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
    #[command(flatten)]
    pub kinds: Kinds,
    #[command(flatten)]
    pub with: WithArgs,
    #[command(flatten)]
    pub ids: MapArgs,
    #[command(flatten)]
    pub program: ProgramArgs,
    #[command(flatten)]
    pub show: crate::args::run::ShowArgs,
}

/// What the new namespaces are given.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What they are given")]
pub struct WithArgs {
    /// Mount a new /proc, which shows the new PID namespace. Implies --mount.
    #[arg(long)]
    pub mount_proc: bool,
    /// How mounts travel between the new mount namespace and yours.
    #[arg(long, value_enum, value_name = "private|slave|shared|unchanged", hide_possible_values = true)]
    pub propagation: Option<PropagationWord>,
    /// The root directory, by chroot(2).
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The working directory: where you are by default, or / where the root changes.
    #[arg(short = 'w', long, value_name = "DIR")]
    pub wd: Option<PathBuf>,
    /// Have an init as process 1 of the new PID namespace, which reaps orphans. By default that is the program itself.
    #[arg(long, requires = "pid")]
    pub init: bool,
    /// The host name. Implies --uts.
    #[arg(long, value_name = "NAME", value_parser = hostname::parse)]
    pub hostname: Option<String>,
    /// The NIS domain name. Implies --uts.
    #[arg(long, value_name = "NAME", value_parser = hostname::parse_domain)]
    pub domainname: Option<String>,
    /// How many seconds the clock since boot is ahead. Implies --time.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub boottime: Option<i64>,
    /// How many seconds the monotonic clock is ahead. Implies --time.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub monotonic: Option<i64>,
    /// Keep the namespaces under this name, also when the program has ended: see izba ns keep.
    #[arg(long, value_name = "NAME")]
    pub keep: Option<Name>,
}

/// Whose ids a new user namespace has.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Ids of a new user namespace (each implies --user; none are mapped by default)")]
pub struct MapArgs {
    /// You are root inside.
    #[arg(short = 'r', long, conflicts_with = "map_current")]
    pub map_root: bool,
    /// You keep your ids.
    #[arg(short = 'c', long)]
    pub map_current: bool,
    /// Your subordinate ids (/etc/subuid) are the other ids inside.
    #[arg(long)]
    pub map_auto: bool,
    /// Map COUNT user ids from INSIDE on to those from OUTSIDE on.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", conflicts_with_all = ["map_root", "map_current", "map_auto"])]
    pub uidmap: Vec<IdRange>,
    /// The same for group ids. Given alone, either of the two stands for both.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", conflicts_with_all = ["map_root", "map_current", "map_auto"])]
    pub gidmap: Vec<IdRange>,
    /// May groups be set inside? An ordinary user who maps its own group alone has to give that up.
    #[arg(long, value_enum, value_name = "allow|deny", hide_possible_values = true)]
    pub setgroups: Option<Setgroups>,
}

/// `--propagation`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PropagationWord {
    /// Neither way: the default.
    Private,
    /// From yours to the new one.
    Slave,
    /// Both ways.
    Shared,
    /// As each mount has it.
    Unchanged,
}

impl PropagationWord {
    /// What is set, if anything.
    pub fn propagation(self) -> Option<Propagation> {
        match self {
            Self::Private => Some(Propagation::Private),
            Self::Slave => Some(Propagation::Slave),
            Self::Shared => Some(Propagation::Shared),
            Self::Unchanged => None,
        }
    }
}

/// `--setgroups`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Setgroups {
    /// They may be set.
    Allow,
    /// They can't.
    Deny,
}
