//! `izba ns show`.

use std::ffi::OsString;

use clap::Args;
use izba_sandbox::namespace::Kind;

use crate::args::PlanFormat;
use crate::args::ns::enter::TARGETS;

const EXAMPLES: &str = "\
Examples:
  izba ns show 1234                    each namespace of process 1234 in short
  izba ns show 1234 -t net             all about its network
  izba ns show blue                    a network of ip netns, and why it lives
  izba ns show net:[4026532281] --format json";

/// Show everything about one namespace, and what keeps it alive.
#[derive(Debug, Args)]
#[command(before_help = TARGETS, after_help = EXAMPLES, max_term_width = 110)]
pub struct ShowArgs {
    /// Which.
    pub target: OsString,
    /// Of a process or a run, the namespace of this type: user, mnt, pid, net, ipc, uts, cgroup, time.
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    pub kind: Option<Kind>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
}
