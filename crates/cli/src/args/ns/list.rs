//! `izba ns list`.

use clap::{Args, ValueEnum};
use izba_sandbox::namespace::Kind;

use crate::args::TableFormat;

/// List namespaces.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only these types: user, mnt, pid, net, ipc, uts, cgroup, time.
    #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub kinds: Vec<Kind>,
    /// Only those that this process is in.
    #[arg(short, long, value_name = "PID")]
    pub pid: Option<i32>,
    /// Only those that a process of this user is in, and user namespaces that they have made.
    #[arg(short, long, value_name = "USER|UID")]
    pub user: Option<String>,
    /// Only what is kept under this name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How to print it. JSON has everything, whatever the columns are.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
    /// What to show of each.
    #[arg(short = 'o', long, value_enum, value_name = "COLUMN", value_delimiter = ',', default_values_t = USUAL)]
    pub columns: Vec<Column>,
}

/// What is shown where nothing is said.
const USUAL: [Column; 9] = [
    Column::Type,
    Column::Id,
    Column::Procs,
    Column::Pid,
    Column::User,
    Column::Owner,
    Column::OwnerUid,
    Column::Name,
    Column::Command,
];

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// user, mnt, pid, net, ipc, uts, cgroup or time.
    Type,
    /// The inode number, as lsns and /proc/PID/ns show it.
    Id,
    /// The 64-bit id that is never used again: Linux 6.18.
    Unique,
    /// How many processes are in it.
    Procs,
    /// The first process in it.
    Pid,
    /// Its parent.
    Ppid,
    /// Who runs it.
    User,
    /// The same as a number.
    Uid,
    /// The user namespace that owns it.
    Owner,
    /// Who made that.
    OwnerUid,
    /// The parent, of a user or PID namespace.
    Parent,
    /// Under which name it is kept.
    Name,
    /// Where it is bind-mounted.
    Path,
    /// What the first process in it runs.
    Command,
}
