//! Weights in either version's scale.

use crate::cgroup::{CpuWeight, IoWeight};

impl CpuWeight {
    /// For v2's `cpu.weight`, 1 to 10000. `Shares` are converted as runc converts them up to 1.2 (and Debian's does): linear from one range onto the other, so that 1024,
    /// the default there, becomes 39. Since 1.3.0 runc, and crun, bend the line so that it becomes 100.
    ///
    /// ```
    /// use izba_sandbox::cgroup::CpuWeight;
    /// assert_eq!(CpuWeight::Shares(1024).weight(), 39);
    /// ```
    pub fn weight(self) -> u64 {
        match self {
            Self::Weight(weight) => weight,
            Self::Shares(shares) => 1 + shares.saturating_sub(2) * 9999 / 262_142,
        }
    }

    /// For v1's `cpu.shares`, 2 to 262144. A `Weight` is converted as the scheduler itself does it on v2 (`sched_weight_from_cgroup`): the default, 100, is 1024 shares.
    ///
    /// ```
    /// use izba_sandbox::cgroup::CpuWeight;
    /// assert_eq!(CpuWeight::Weight(100).shares(), 1024);
    /// ```
    pub fn shares(self) -> u64 {
        match self {
            Self::Shares(shares) => shares,
            Self::Weight(weight) => (weight * 1024 + 50) / 100,
        }
    }
}

impl IoWeight {
    /// For v2's `io.weight`, 1 to 10000. `Blkio` is converted as runc does: linear from one range onto the other.
    pub fn io(self) -> u16 {
        match self {
            Self::Io(weight) => weight,
            // The range that check() holds it to keeps the result in the other range.
            Self::Blkio(weight) => 1 + scaled(weight.saturating_sub(10), 9999, 990),
        }
    }

    /// For the BFQ scheduler, 1 to 1000: `io.bfq.weight` on v2 and `blkio.bfq.weight` on v1, which take OCI's numbers as they are. `Io` is converted
    /// so that the default of both, 100, stays the default, as systemd does.
    pub fn bfq(self) -> u16 {
        match self {
            Self::Blkio(weight) => weight,
            Self::Io(weight @ ..=100) => weight,
            Self::Io(weight) => 100 + scaled(weight - 100, 900, 9900),
        }
    }
}

fn scaled(value: u16, onto: u64, from: u64) -> u16 {
    u16::try_from(u64::from(value) * onto / from).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_range_become_the_ends_of_the_other() {
        assert_eq!([2, 262_144].map(|shares| CpuWeight::Shares(shares).weight()), [1, 10_000]);
        assert_eq!([1, 10_000].map(|weight| CpuWeight::Weight(weight).shares()), [10, 102_400]);
        assert_eq!([10, 1000].map(|weight| IoWeight::Blkio(weight).io()), [1, 10_000]);
        assert_eq!([1, 100, 10_000].map(|weight| IoWeight::Io(weight).bfq()), [1, 100, 1000]);
    }

    #[test]
    fn a_heavier_weight_never_becomes_a_lighter_one() {
        let ascending = |numbers: Vec<u64>| numbers.is_sorted();
        assert!(ascending((2..262_144).step_by(7).map(|shares| CpuWeight::Shares(shares).weight()).collect()));
        assert!(ascending((1..=10_000).map(|weight| CpuWeight::Weight(weight).shares()).collect()));
        assert!(ascending((10..=1000).map(|weight| IoWeight::Blkio(weight).io().into()).collect()));
        assert!(ascending((1..=10_000).map(|weight| IoWeight::Io(weight).bfq().into()).collect()));
    }
}
