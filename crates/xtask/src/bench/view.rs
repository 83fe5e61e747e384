//! Which of the kernel's control group interfaces the measured programs find, in a mount namespace of their own: nothing of the
//! machine's own mounts is touched.

use super::Options;
use crate::{Outcome, command};
use std::fs;
use std::process::Command;

/// How control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As on this machine.
    Own,
    /// A hybrid machine without the v2 hierarchy, which crun refuses beside v1.
    V1,
    /// cgroup v2 alone. On a machine whose controllers are on v1 it has none of them, so there is nothing to limit with.
    V2,
}

impl View {
    pub(super) const ALL: [Self; 3] = [Self::Own, Self::V1, Self::V2];

    /// The word by which the benchmark calls itself for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == word)
    }

    /// Does this machine have it, and is it another one than its own?
    pub(super) fn is_here(self) -> bool {
        let hybrid = fs::exists("/sys/fs/cgroup/unified/cgroup.procs").unwrap_or(false);
        self == Self::Own || hybrid
    }

    /// Runs this program again in the view.
    pub(super) fn measure(self, options: &Options) -> Outcome {
        let mount = match self {
            Self::Own => ":",
            Self::V1 => "umount /sys/fs/cgroup/unified",
            Self::V2 => "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        };
        let own = std::env::current_exe().map_err(|error| format!("/proc/self/exe: {error}"))?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-c"]);
        unshare.arg(format!("{mount} && exec \"$0\" \"$@\"")).arg(own).args(["bench", "limits", self.name()]);
        unshare.args(["--runs", &options.runs.to_string(), "--idle-ms", &options.idle.as_millis().to_string()]);
        command::run(&mut unshare)
    }
}

/// Has what is mounted here memory, pids and CPU controllers?
pub(super) fn has_controllers() -> bool {
    let unified = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    ["memory", "pids", "cpu"].into_iter().all(|wanted| match &unified {
        Ok(unified) => unified.split_whitespace().any(|controller| controller == wanted),
        Err(_) => fs::exists(format!("/sys/fs/cgroup/{wanted}/cgroup.procs")).unwrap_or(false),
    })
}
