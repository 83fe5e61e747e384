//! How often something is looked at.

use std::time::Duration;

/// Seconds, also parts of them.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no time between two looks: write 0.1 to 86400 seconds");
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = text.parse().ok().filter(|_| plain).ok_or_else(bad)?;
    if (0.1..=86_400.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_parts() {
        assert_eq!(parse("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", ".", "0", "0.05", "-1", "1e3", "inf", "nan", "86401", "1s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
