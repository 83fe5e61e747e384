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
    /// In clock ticks after the boot, by the machine's own clock: field 22 of /proc/PID/stat, proc_pid_stat(5), which the kernel shows by
    /// the clock of the reader's time namespace.
    #[serde(rename = "startTime")]
    pub start_time: u64,
}

impl Process {
    /// A process that runs. `None` where it has gone, or /proc is closed to the caller (hidepid).
    pub fn running(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, start_time: start_time(&stat)?.checked_add_signed(-own_offset())? })
    }

    /// A descriptor of this process and no other: ESRCH where it has gone.
    pub fn open(self) -> Result<OwnedFd, Errno> {
        let pid = Pid::from_raw(self.pid).ok_or(Errno::SRCH)?;
        // First the descriptor, then the look: so it is the descriptor's process that is looked at, or nobody's.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        if Self::running(self.pid) == Some(self) { Ok(pidfd) } else { Err(Errno::SRCH) }
    }
}

/// How many ticks the clock since boot is ahead in our own time namespace: time_namespaces(7). A tick is 10 ms wherever Linux shows one.
fn own_offset() -> i64 {
    let text = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    text.lines().find_map(offset).unwrap_or(0)
}

fn offset(line: &str) -> Option<i64> {
    let mut fields = line.split_ascii_whitespace();
    // Linux 5.6 to 5.8 wrote the clocks' numbers.
    matches!(fields.next()?, "boottime" | "7").then_some(())?;
    let (seconds, nanoseconds): (i64, i64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(seconds * 100 + nanoseconds / 10_000_000)
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
    fn offsets_are_ticks() {
        assert_eq!(offset("boottime        10000       500000000"), Some(1_000_050));
        assert_eq!(offset("boottime        -5         0"), Some(-500));
        assert_eq!((offset("monotonic 3 0"), offset("")), (None, None));
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
