//! Options that name kinds of namespaces: the letters of unshare(1) and nsenter(1).

use clap::Args;
use izba_sandbox::namespace::Kind;

/// Which namespaces are meant.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Namespaces")]
pub struct Kinds {
    /// Mounts.
    #[arg(short = 'm', long)]
    pub mount: bool,
    /// Process ids.
    #[arg(short = 'p', long)]
    pub pid: bool,
    /// The network.
    #[arg(short = 'n', long)]
    pub net: bool,
    /// System V IPC and POSIX message queues.
    #[arg(short = 'i', long)]
    pub ipc: bool,
    /// Host name and domain name.
    #[arg(short = 'u', long)]
    pub uts: bool,
    /// Ids and rights.
    #[arg(short = 'U', long)]
    pub user: bool,
    /// The root of the cgroup hierarchy.
    #[arg(short = 'C', long)]
    pub cgroup: bool,
    /// Boot and monotonic clocks.
    #[arg(short = 'T', long)]
    pub time: bool,
    /// All of them.
    #[arg(short = 'a', long, conflicts_with_all = ["mount", "pid", "net", "ipc", "uts", "user", "cgroup", "time"])]
    pub all: bool,
}

impl Kinds {
    /// Those that are named; none where no option is given.
    pub fn named(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|&kind| self.all || self.is_named(kind)).collect()
    }

    fn is_named(&self, kind: Kind) -> bool {
        match kind {
            Kind::User => self.user,
            Kind::Mount => self.mount,
            Kind::Pid => self.pid,
            Kind::Net => self.net,
            Kind::Ipc => self.ipc,
            Kind::Uts => self.uts,
            Kind::Cgroup => self.cgroup,
            Kind::Time => self.time,
        }
    }
}
