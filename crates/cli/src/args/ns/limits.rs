//! `izba ns limits`.

use std::ffi::OsString;

use clap::Args;

use crate::args::TableFormat;
use crate::args::ns::enter::TARGETS;

const EXAMPLES: &str = "\
Namespaces are counted as far as they can be seen. A number with a + has others besides, of which \
the kernel doesn't tell who made them.

Examples:
  izba ns limits                 what you may make where you are
  izba ns limits 1234            what root may make where process 1234 is
  izba ns limits --format json   the same for programs";

/// Show how many namespaces may be made, and how many there are.
#[derive(Debug, Args)]
#[command(before_help = TARGETS, after_help = EXAMPLES, max_term_width = 110)]
pub struct LimitsArgs {
    /// Where namespaces would be made: by default in your own user namespace.
    pub target: Option<OsString>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}
