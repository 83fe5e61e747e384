//! One command line that is measured.

use crate::Outcome;
use crate::command::shown;
use crate::setup::Account;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A tool, its arguments, and the user that starts it.
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) account: Account,
}

impl Contender {
    /// Whether this works here at all; if not, why.
    pub(super) fn check(&self) -> Outcome {
        let output = self.command(&self.program).args(&self.arguments).stderr(Stdio::piped()).output();
        let output = output.map_err(|error| format!("{}: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(complaint.lines().next().map_or_else(|| output.status.to_string(), str::to_owned))
    }

    /// The time from before the start to after the program was reaped.
    pub(super) fn time(&self) -> Outcome<Duration> {
        let mut command = self.command(&self.program);
        command.args(&self.arguments);
        let start = Instant::now();
        let status = command.status();
        let time = start.elapsed();
        match status {
            Ok(status) if status.success() => Ok(time),
            Ok(status) => Err(format!("{}: {status}", shown(&command))),
            Err(error) => Err(format!("{}: {error}", shown(&command))),
        }
    }

    /// The peak resident memory in KiB of its largest process, from one more run.
    pub(super) fn peak(&self, peak: &Path) -> Option<u64> {
        let output =
            self.command(peak).arg(&self.program).args(&self.arguments).stdout(Stdio::piped()).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        command.env_remove("XDG_RUNTIME_DIR").env_remove("XDG_CACHE_HOME").env("HOME", &self.account.home);
        if self.account.uid != 0 {
            // std drops the supplementary groups too when root gives a uid.
            command.uid(self.account.uid).gid(self.account.gid).env("USER", &self.account.name);
        }
        command
    }
}
