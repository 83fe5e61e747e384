//! `--cpus 0.7`: CPU time as a number of CPUs, counted exactly.

use std::fmt;
use std::str::FromStr;

use izba_sandbox::cgroup::Bound;

use super::number::unsigned;

/// Billionths of a CPU; [`Bound::Max`] is all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus(pub Bound);

const WHOLE: u64 = 1_000_000_000;
const DIGITS: usize = 9;

impl Cpus {
    /// Microseconds of CPU time in periods of so many, rounded down. `None` where there are too many to count.
    pub fn quota(self, period: u64) -> Option<Bound> {
        match self.0 {
            Bound::Max => Some(Bound::Max),
            Bound::At(billionths) => {
                let quota = u128::from(billionths) * u128::from(period) / u128::from(WHOLE);
                u64::try_from(quota).ok().map(Bound::At)
            }
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bound::At(billionths) = self.0 else { return f.write_str("max") };
        write!(f, "{}", billionths / WHOLE)?;
        match billionths % WHOLE {
            0 => Ok(()),
            fraction => write!(f, ".{}", format!("{fraction:0DIGITS$}").trim_end_matches('0')),
        }
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no number of CPUs: write one such as 2 or 0.7, or max");
        if text == "max" {
            return Ok(Self(Bound::Max));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > DIGITS {
            return Err(format!("{text:?} has more than {DIGITS} digits after the point"));
        }
        let whole: u64 = unsigned(whole).filter(|_| !text.ends_with('.')).ok_or_else(bad)?;
        let fraction = unsigned(&format!("{fraction:0<DIGITS$}")).ok_or_else(bad)?;
        match whole.checked_mul(WHOLE).and_then(|whole| whole.checked_add(fraction)) {
            None => Err(format!("{text:?} is too many CPUs")),
            Some(0) => Err(format!("{text:?} leaves no CPU time at all")),
            Some(billionths) => Ok(Self(Bound::At(billionths))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(text: &str, period: u64) -> Option<Bound> {
        text.parse::<Cpus>().unwrap().quota(period)
    }

    #[test]
    fn fractions_are_exact() {
        // 0.7, 0.29 and 1.1 have no exact binary form: 0.29 * 100000 is 28999.999...
        for (text, microseconds) in
            [("0.7", 70_000), ("0.29", 29_000), ("1.1", 110_000), ("2", 200_000), ("0.010", 1_000)]
        {
            assert_eq!(quota(text, 100_000), Some(Bound::At(microseconds)), "{text}");
        }
        assert_eq!(quota("0.333333333", 100_000), Some(Bound::At(33_333)));
        assert_eq!(quota("0.7", 1_000_000), Some(Bound::At(700_000)));
        assert_eq!(quota("max", 100_000), Some(Bound::Max));
    }

    #[test]
    fn what_was_written_is_shown() {
        for text in ["0.7", "2", "0.000000001", "10.05", "max"] {
            assert_eq!(text.parse::<Cpus>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_overflows_is_no_quota() {
        assert_eq!(quota("18446744073.709551615", 1_000_000), Some(Bound::At(18_446_744_073_709_551)));
        assert_eq!(Cpus(Bound::At(u64::MAX)).quota(u64::MAX), None);
    }

    #[test]
    fn other_text_is_refused() {
        let bad =
            ["", ".", "1.", ".5", "-1", "+1", "0", "0.0", "1e3", "0x1", "1,5", "1.5.5", "nan", "inf", " 1", "-1.5"];
        for text in bad.into_iter().chain(["0.0000000001", "18446744074", "99999999999999999999"]) {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
    }
}
