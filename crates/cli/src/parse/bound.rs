//! Upper bounds: a number or a size, or `max`, for which docker has -1.

use std::str::FromStr;

use izba_sandbox::cgroup::Bound;

use super::number::unsigned;
use super::size::Size;

/// A bound of memory, which may be a part of the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeBound {
    Max,
    At(Size),
}

impl FromStr for SizeBound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_max(text) { Ok(Self::Max) } else { text.parse().map(Self::At) }
    }
}

/// Memory that is left alone may be none.
pub fn reservation(text: &str) -> Result<SizeBound, String> {
    if text == "0" { Ok(SizeBound::At(Size::Bytes(0))) } else { text.parse() }
}

/// A bound in bytes.
pub fn bytes(text: &str) -> Result<Bound, String> {
    match text.parse()? {
        SizeBound::Max => Ok(Bound::Max),
        SizeBound::At(Size::Bytes(bytes)) => Ok(Bound::At(bytes)),
        SizeBound::At(Size::Percent(_)) => Err(format!("{text:?}: of this, there are no percents")),
    }
}

/// A bound of what is counted: one at least.
pub fn count(text: &str) -> Result<Bound, String> {
    if is_max(text) {
        return Ok(Bound::Max);
    }
    match unsigned(text) {
        Some(0) => Err(format!("{text:?} leaves nothing at all")),
        // The kernel reads them as signed.
        Some(number) if i64::try_from(number).is_ok() => Ok(Bound::At(number)),
        _ => Err(format!("{text:?} is no bound: write a number of 1 or more, or max")),
    }
}

/// The least quota, min_cfs_quota_period in kernel/sched/core.c: 1 ms.
pub const LEAST_QUOTA: u64 = 1000;

/// Microseconds of CPU time in a period.
pub fn quota(text: &str) -> Result<Bound, String> {
    match count(text)? {
        Bound::At(quota) if quota < LEAST_QUOTA => Err(format!("the kernel takes {LEAST_QUOTA} microseconds at least")),
        quota => Ok(quota),
    }
}

fn is_max(text: &str) -> bool {
    matches!(text, "max" | "-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read() {
        assert_eq!((count("7"), count("max"), count("-1")), (Ok(Bound::At(7)), Ok(Bound::Max), Ok(Bound::Max)));
        assert_eq!((bytes("2k"), bytes("-1")), (Ok(Bound::At(2048)), Ok(Bound::Max)));
        assert_eq!("10%".parse(), Ok(SizeBound::At(Size::Percent(10))));
        assert_eq!(reservation("0"), Ok(SizeBound::At(Size::Bytes(0))));
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "0", "-2", "+1", "1.5", "x", "9223372036854775808", "99999999999999999999", "MAX"] {
            assert!(count(bad).is_err() && bytes(bad).is_err(), "{bad}");
        }
        assert!(bytes("10%").is_err() && reservation("-5").is_err() && "0".parse::<SizeBound>().is_err());
    }
}
