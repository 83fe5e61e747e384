//! Whole numbers.

use std::str::FromStr;

/// Digits and nothing else. Unlike parse(), takes no sign.
pub fn unsigned<T: FromStr>(digits: &str) -> Option<T> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!((unsigned("0070"), unsigned("255")), (Some(70_u8), Some(255)));
        for bad in ["", "256", "+1", "-1", " 1", "1.0", "0x1", "1_0"] {
            assert_eq!(unsigned::<u8>(bad), None, "{bad}");
        }
    }
}
