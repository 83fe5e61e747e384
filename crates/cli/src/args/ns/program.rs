//! Options about the program that `izba ns run` and `izba ns enter` execute.

use clap::Args;

/// The program.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Program")]
pub struct ProgramArgs {
    /// Become this user inside, by its number.
    #[arg(short = 'S', long, value_name = "UID")]
    pub setuid: Option<u32>,
    /// Become this group inside, by its number.
    #[arg(short = 'G', long, value_name = "GID")]
    pub setgid: Option<u32>,
    #[command(flatten)]
    pub terminal: crate::args::run::TerminalArgs,
    /// Pass signals on to the program. Always so; the option is there for those who know unshare(1).
    #[arg(long, hide_short_help = true)]
    pub forward_signals: bool,
    /// End the program when izba dies. Always so; the option is there for those who know unshare(1).
    #[arg(long, hide_short_help = true)]
    pub kill_child: bool,
}
