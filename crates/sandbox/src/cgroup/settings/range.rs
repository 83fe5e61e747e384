//! Checks of single values.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::cgroup::{Bound, LimitError};

/// No file of the kernel's takes more bytes: it counts pages in a signed long.
pub(super) const BYTES: RangeInclusive<u64> = 0..=i64::MAX.cast_unsigned();

/// `what` has the unit in it: "a CPU period in µs".
pub(super) fn within<T: Copy + PartialOrd + Display>(
    what: &str,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<(), LimitError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let problem = format!("{value} is no value for {what}");
    Err(LimitError::new(problem, format!("give {} to {}", allowed.start(), allowed.end())))
}

/// The same for what may be unbounded.
pub(super) fn bound_within(what: &str, bound: Option<Bound>, allowed: RangeInclusive<u64>) -> Result<(), LimitError> {
    match bound {
        Some(Bound::At(value)) => {
            within(what, value, allowed).map_err(|error| LimitError { remedy: error.remedy + ", or no bound", ..error })
        }
        Some(Bound::Max) | None => Ok(()),
    }
}

/// Can it stand in a line of a file of the kernel's, with values behind it?
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Each of something once.
pub(super) fn once<T: PartialEq + Display>(what: &str, names: impl IntoIterator<Item = T>) -> Result<(), LimitError> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(LimitError::new(format!("{what} is given twice for {name}"), "give it once"));
        }
        seen.push(name);
    }
    Ok(())
}
