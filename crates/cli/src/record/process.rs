//! A process that is known again: its id, and when it started, as an id is used again when its process has gone.

use std::os::fd::OwnedFd;

use izba_sys::Errno;
use izba_sys::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// A process, as izba's PID namespace has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// In clock ticks after the boot: field 22 of /proc/PID/stat, proc_pid_stat(5).
    #[serde(rename = "startTime")]
    pub start_time: u64,
}

impl Process {
    /// A process that runs. `None` where it has gone, or /proc is closed to the caller (hidepid).
    pub fn running(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, start_time: start_time(&stat)? })
    }

    /// A descriptor of this process and no other: ESRCH where it has gone.
    pub fn open(self) -> Result<OwnedFd, Errno> {
        let pid = Pid::from_raw(self.pid).ok_or(Errno::SRCH)?;
        // First the descriptor, then the look: so it is the descriptor's process that is looked at, or nobody's.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        if Self::running(self.pid) == Some(self) { Ok(pidfd) } else { Err(Errno::SRCH) }
    }
}

/// The name, field 2, may hold blanks and parentheses, but no field after it does.
fn start_time(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_read_whatever_the_process_is_called() {
        let stat = |name: &str| {
            let fields: Vec<String> = (3..=30).map(|field| (field * 10).to_string()).collect();
            start_time(format!("7 ({name}) {}", fields.join(" ")).as_bytes())
        };
        for name in ["sh", "a b) 1 2", ")(", "\n"] {
            assert_eq!(stat(name), Some(220));
        }
        assert_eq!(start_time(b""), None);
        assert_eq!(start_time(b"7 (sh) S 1"), None);
    }

    #[test]
    fn another_process_of_the_same_id_is_not_opened() {
        let own = i32::try_from(std::process::id()).unwrap();
        let process = Process::running(own).unwrap();
        assert!(process.open().is_ok());
        assert_eq!(Process { start_time: process.start_time + 1, ..process }.open().unwrap_err(), Errno::SRCH);
        assert_eq!(Process { pid: 0, ..process }.open().unwrap_err(), Errno::SRCH);
        assert!(Process::running(0).is_none());
    }
}
