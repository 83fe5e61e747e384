//! Shares of what is short. They can't be taken away: a group has always one.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::number::unsigned;

/// In cgroup v2's scale.
pub fn cpu(text: &str) -> Result<u64, String> {
    weight(text, 1..=10_000, 100)
}

/// In cgroup v1's scale.
pub fn shares(text: &str) -> Result<u64, String> {
    weight(text, 2..=262_144, 1024)
}

/// In cgroup v2's scale.
pub fn io(text: &str) -> Result<u16, String> {
    weight(text, 1..=10_000, 100)
}

/// In cgroup v1's scale.
pub fn blkio(text: &str) -> Result<u16, String> {
    weight(text, 10..=1000, 100)
}

fn weight<T: FromStr + PartialOrd + Display + Copy>(
    text: &str,
    range: RangeInclusive<T>,
    usual: T,
) -> Result<T, String> {
    let (least, most) = (range.start(), range.end());
    let wrong =
        || format!("{text:?} is no weight: write {least} to {most}, or {usual} for what a group has by default");
    unsigned(text).filter(|weight| range.contains(weight)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_said_where_none_can_be_taken_away() {
        assert_eq!((cpu("10000"), shares("2"), io("1"), blkio("1000")), (Ok(10_000), Ok(2), Ok(1), Ok(1000)));
        for bad in ["max", "", "0", "-1", "1.5", "262145"] {
            for error in [cpu(bad).unwrap_err(), io(bad).unwrap_err(), blkio(bad).unwrap_err()] {
                assert!(error.contains("or 100 for what a group has by default"), "{error}");
            }
            assert!(shares(bad).unwrap_err().contains("or 1024"), "{bad}");
        }
    }
}
