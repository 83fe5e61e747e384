//! How long processes wait: Documentation/accounting/psi.rst.

use std::time::Duration;

use izba_sys::Errno;

use crate::cgroup::group::GroupError;
use crate::cgroup::group::directory::Directory;
use crate::cgroup::group::interface::{nested, nested_value};

/// Waiting for each of the three things that can be scarce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressures {
    /// A CPU.
    pub cpu: Option<Pressure>,
    /// Memory.
    pub memory: Option<Pressure>,
    /// Block devices.
    pub io: Option<Pressure>,
}

/// Waiting for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// At least one process waited.
    pub some: Stall,
    /// All that had something to do waited. Linux 5.13 for the CPU.
    pub full: Option<Stall>,
}

/// For how much of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Of the last ten seconds, in hundredths of a percent.
    pub last_10_seconds: u32,
    /// Of the last minute, in hundredths of a percent.
    pub last_minute: u32,
    /// Of the last five minutes, in hundredths of a percent.
    pub last_5_minutes: u32,
    /// Since the group was made.
    pub total: Duration,
}

pub(super) fn read(directory: &Directory) -> Result<Pressures, GroupError> {
    Ok(Pressures {
        cpu: read_one(directory, "cpu.pressure")?,
        memory: read_one(directory, "memory.pressure")?,
        io: read_one(directory, "io.pressure")?,
    })
}

/// Where it is switched off, for the machine (psi=0) or the group (cgroup.pressure), reading says EOPNOTSUPP.
fn read_one(directory: &Directory, file: &str) -> Result<Option<Pressure>, GroupError> {
    match directory.get(file) {
        Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => Ok(None),
        text => Ok(text?.and_then(|text| pressure(&text))),
    }
}

pub(super) fn pressure(text: &str) -> Option<Pressure> {
    let line = |kind| nested(text).find(|(name, _)| *name == kind).and_then(|(_, pairs)| stall(pairs));
    Some(Pressure { some: line("some")?, full: line("full") })
}

fn stall(pairs: &str) -> Option<Stall> {
    Some(Stall {
        last_10_seconds: hundredths(nested_value(pairs, "avg10")?)?,
        last_minute: hundredths(nested_value(pairs, "avg60")?)?,
        last_5_minutes: hundredths(nested_value(pairs, "avg300")?)?,
        total: Duration::from_micros(nested_value(pairs, "total")?.parse().ok()?),
    })
}

/// The kernel writes two places after the point, always.
fn hundredths(percent: &str) -> Option<u32> {
    let (whole, rest) = percent.split_once('.').filter(|(_, rest)| rest.len() == 2)?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(rest.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_time_are_whole_hundredths() {
        let text =
            "some avg10=1.07 avg60=0.30 avg300=100.00 total=1234567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        let pressure = pressure(text).unwrap();
        let expected = Stall {
            last_10_seconds: 107,
            last_minute: 30,
            last_5_minutes: 10_000,
            total: Duration::from_micros(1_234_567),
        };
        assert_eq!(pressure.some, expected);
        assert_eq!(pressure.full.unwrap().total, Duration::ZERO);
    }

    #[test]
    fn older_kernels_have_one_line_for_the_cpu() {
        assert_eq!(pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").unwrap().full, None);
        assert_eq!(pressure(""), None);
    }
}
