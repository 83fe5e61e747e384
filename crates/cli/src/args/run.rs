//! `izba run`: its options, in the groups in which the help shows them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use izba_sandbox::account::UserSpec;
use izba_sandbox::capability::Capability;
use izba_sandbox::idmap::IdRange;
use izba_sandbox::namespace::Kind;
use izba_sandbox::rlimit::Rlimit;

use super::PlanFormat;
use super::cache::CachePlace;
use super::limit::{GroupArgs, LimitArgs};
use crate::parse::environment::Assignment;
use crate::parse::join::Join;
use crate::parse::mount_request::MountRequest;
use crate::parse::{environment, hostname, mount_option, sysctl, tmpfs, volume};
use crate::record::Name;

const EXAMPLES: &str = "\
ROOT is one of
  host        this machine's own programs, read-only, with nothing of anybody's files
  DIRECTORY   a root file system, used in place (a directory called host is ./host)
  ARCHIVE     a tar archive of one (plain, gzip, xz or zstd), unpacked once; writes are thrown away

Examples:
  izba run host                                 a shell with this machine's programs
  izba run -v .:/work -w /work host make        build here, and let make see nothing else
  izba run alpine-minirootfs.tar.gz             a shell in a root file system from an archive
  izba run --ephemeral /srv/debian apt-get update   try it; nothing of it stays
  izba run --share net ./rootfs curl -s localhost   keep this machine's network
  izba run --repair /mnt                        repair the system of a mounted disk
  izba run --dry-run ./rootfs                   what would be done

Exit status: the program's own; 128+N when signal N ended it; 125 when izba failed, 126 when the
program can't be executed, 127 when it isn't found.";

/// Run a program in a root file system and namespaces of its own.
#[derive(Debug, Args)]
#[command(
    override_usage = "izba run [OPTIONS] ROOT [COMMAND [ARG...]]",
    max_term_width = 110,
    after_help = EXAMPLES
)]
pub struct RunArgs {
    /// The root file system, and the program to run in it: by default the user's shell. Options end here.
    // One list, so that what follows ROOT is never taken for an option of ours.
    // The usage line and the examples show it better than clap could.
    #[arg(value_name = "ROOT", required = true, trailing_var_arg = true, hide = true)]
    pub root_and_command: Vec<OsString>,
    /// What the run is called, for izba ps, exec, kill and inspect. By default the command's name and a number.
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,
    #[command(flatten)]
    pub root: RootArgs,
    #[command(flatten)]
    pub mounts: MountArgs,
    #[command(flatten)]
    pub namespaces: NamespaceArgs,
    #[command(flatten)]
    pub ids: IdArgs,
    #[command(flatten)]
    pub process: ProcessArgs,
    #[command(flatten)]
    pub rights: RightsArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub group: GroupArgs,
    #[command(flatten)]
    pub show: ShowArgs,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Root file system")]
pub struct RootArgs {
    /// Throw writes away at the end: they go to memory, SIZE at most (64m, 1g, 10%; half of the memory by default), or to the
    /// cache's disk.
    #[arg(
        long,
        value_name = "SIZE|disk",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with = "read_only"
    )]
    pub ephemeral: Option<Ephemeral>,
    /// Forbid writes to the root.
    #[arg(long)]
    pub read_only: bool,
    /// Work on the system in ROOT: real devices, /proc, /sys and ids of this machine, all rights, only the mounts private.
    #[arg(long, conflicts_with_all = ["userns", "uidmap", "gidmap", "share"])]
    pub repair: bool,
    /// Use chroot(2) where pivot_root(2) can't work, as in an initramfs. Not a security boundary.
    #[arg(long)]
    pub no_pivot: bool,
    #[command(flatten)]
    pub cache: CachePlace,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Mounts")]
pub struct MountArgs {
    /// Show the file or directory SRC at DST. OPTIONS: ro, rw, idmap, norecurse, suid, nosuid, dev, nodev, exec, noexec. A colon in a
    /// path is written \:
    #[arg(short = 'v', long = "volume", value_name = "SRC:DST[:OPTIONS]", value_parser = OsStringValueParser::new().try_map(|text| volume::parse(&text)))]
    pub volumes: Vec<MountRequest>,
    /// The same for any file system: type=bind|tmpfs|overlay|..., source=, target=, readonly, and the file system's own
    /// options. A comma in a value is written \,
    #[arg(long = "mount", value_name = "type=TYPE,target=DST,...", value_parser = OsStringValueParser::new().try_map(|text| mount_option::parse(&text)))]
    pub mounts: Vec<MountRequest>,
    /// A new, empty tmpfs at DST. OPTIONS as mount(8) has them: size=64m,mode=0755,noexec
    #[arg(long = "tmpfs", value_name = "DST[:OPTIONS]", value_parser = OsStringValueParser::new().try_map(|text| tmpfs::parse(&text)))]
    pub tmpfs: Vec<MountRequest>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Namespaces")]
pub struct NamespaceArgs {
    /// Keep your own namespace of a kind: pid, net, ipc, uts, cgroup, user or time. By default mnt, pid, net, ipc, uts and
    /// cgroup are new, and user for an ordinary user.
    #[arg(long, value_name = "NAME")]
    pub share: Vec<Kind>,
    /// Enter the namespace that a process is in, or that a file such as /run/netns/blue stands for.
    #[arg(long, value_name = "NAME=PID|PATH")]
    pub join: Vec<Join>,
    /// A new time namespace, whose uptime is so many seconds ahead.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub boottime: Option<i64>,
    /// A new time namespace, whose monotonic clock is so many seconds ahead.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub monotonic: Option<i64>,
    /// The host name: izba by default.
    #[arg(long, value_name = "NAME", value_parser = hostname::parse)]
    pub hostname: Option<String>,
    /// The NIS domain name.
    #[arg(long, value_name = "NAME", value_parser = hostname::parse_domain)]
    pub domainname: Option<String>,
    /// Set a kernel parameter of the new namespaces.
    #[arg(long = "sysctl", value_name = "NAME=VALUE")]
    pub sysctls: Vec<sysctl::Setting>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Users")]
pub struct IdArgs {
    /// Who runs the program: root by default. Names are looked up in ROOT's own /etc/passwd and /etc/group. Without subordinate
    /// ids (/etc/subuid), and in `host`, an ordinary user's own id shows as this one.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<UserSpec>,
    /// As root: a new user namespace, with ids that are nobody outside. Files keep their owners by id-mapped mounts.
    #[arg(long)]
    pub userns: bool,
    /// Map COUNT user ids from INSIDE on to those from OUTSIDE on, by hand.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT")]
    pub uidmap: Vec<IdRange>,
    /// The same for group ids. Given alone, either of the two stands for both.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT")]
    pub gidmap: Vec<IdRange>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Program")]
pub struct ProcessArgs {
    /// Set an environment variable, or copy yours.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]", value_parser = OsStringValueParser::new().try_map(|text| environment::parse_assignment(&text)))]
    pub env: Vec<Assignment>,
    /// Read such lines from a file.
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Keep your whole environment. By default it is PATH, HOME, USER, and your TERM, LANG and LC_*.
    #[arg(long)]
    pub keep_env: bool,
    /// The working directory: / by default.
    #[arg(short, long = "workdir", value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    #[command(flatten)]
    pub terminal: TerminalArgs,
    /// Hand in your open descriptor N.
    #[arg(long = "fd", value_name = "N", value_parser = clap::value_parser!(i32).range(3..))]
    pub descriptors: Vec<i32>,
    /// Let the program itself be PID 1. By default that is a small init, which reaps orphans and forwards signals.
    #[arg(long)]
    pub no_init: bool,
    /// Limit a resource: nofile=1024, nproc=100:200, core=unlimited.
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]")]
    pub ulimits: Vec<Rlimit>,
    /// How readily the kernel ends the program when memory is short: -1000 to 1000.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i16).range(-1000..=1000)
    )]
    pub oom_score_adj: Option<i16>,
}

/// What the program's standard streams are.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct TerminalArgs {
    /// Give the program a new terminal. The default where stdin and stdout are terminals.
    #[arg(short, long, overrides_with = "no_tty")]
    pub tty: bool,
    /// Give the program your stdin, stdout and stderr as they are.
    #[arg(long, overrides_with = "tty")]
    pub no_tty: bool,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Rights")]
pub struct RightsArgs {
    /// Add a capability, or ALL. The default ones are few: see izba's documentation.
    #[arg(long, value_name = "CAP", value_delimiter = ',')]
    pub cap_add: Vec<CapabilityWord>,
    /// Take a capability away, or ALL.
    #[arg(long, value_name = "CAP", value_delimiter = ',')]
    pub cap_drop: Vec<CapabilityWord>,
    /// Let set-user-ID programs such as sudo work: no_new_privs stays off.
    #[arg(long)]
    pub new_privs: bool,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Looking on")]
pub struct ShowArgs {
    /// Print what would be done, and do nothing.
    #[arg(long, conflicts_with = "explain")]
    pub dry_run: bool,
    /// Print each step as it is done, with its time and the shell command that does the same.
    #[arg(long)]
    pub explain: bool,
    /// How --dry-run prints it.
    #[arg(long, value_enum, value_name = "text|json", hide_possible_values = true, requires = "dry_run")]
    pub format: Option<PlanFormat>,
}

/// Where the writes of `--ephemeral` go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ephemeral {
    /// To memory, of the default size.
    Memory,
    /// To memory.
    Sized(crate::parse::size::Size),
    /// To the cache's disk.
    Disk,
}

impl FromStr for Ephemeral {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::Memory),
            "disk" => Ok(Self::Disk),
            size => size.parse().map(Self::Sized),
        }
    }
}

/// A capability, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityWord {
    /// ALL
    All,
    /// One.
    One(Capability),
}

impl FromStr for CapabilityWord {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("all") { Ok(Self::All) } else { name.parse().map(Self::One) }
    }
}
