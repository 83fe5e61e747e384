//! Sizes of memory: `64m`, `1g`, `10%`.

use std::str::FromStr;

use super::number::unsigned;

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the machine's memory.
    Percent(u8),
}

impl Size {
    /// In bytes, on a machine with `memory` bytes.
    pub fn bytes(self, memory: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => memory / 100 * u64::from(percent),
        }
    }

    /// As tmpfs(5) takes it for `size=`.
    pub fn tmpfs(self) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no size: write bytes, or a number with k, m, g, t or %, such as 64m or 10%");
        if let Some(percent) = text.strip_suffix('%') {
            let percent = unsigned(percent);
            return percent.filter(|percent: &u8| (1..=100).contains(percent)).map(Self::Percent).ok_or_else(bad);
        }
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let factor = unit(&text[digits.len()..]).ok_or_else(bad)?;
        let bytes = unsigned(digits).and_then(|number: u64| number.checked_mul(factor)).ok_or_else(bad)?;
        // A tmpfs takes 0 for "no limit", which nobody means who writes it.
        if i64::try_from(bytes).is_err() {
            return Err(bad());
        }
        if bytes == 0 { Err(format!("{text:?} leaves no room at all")) } else { Ok(Self::Bytes(bytes)) }
    }
}

fn unit(suffix: &str) -> Option<u64> {
    let power = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    Some(1 << (10 * power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, size) in [
            ("4096", Size::Bytes(4096)),
            ("64m", Size::Bytes(64 << 20)),
            ("64MiB", Size::Bytes(64 << 20)),
            ("1G", Size::Bytes(1 << 30)),
            ("10%", Size::Percent(10)),
        ] {
            assert_eq!(text.parse(), Ok(size), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for bad in [
            "",
            "m",
            "-1",
            "+1",
            "1.5g",
            "1x",
            "0",
            "0k",
            "0%",
            "101%",
            "%",
            "1 g",
            "99999999999999999999",
            "99999999t",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn percents_are_of_the_memory() {
        assert_eq!(Size::Percent(10).bytes(1000), 100);
        assert_eq!(Size::Percent(10).tmpfs(), "10%");
        assert_eq!(Size::Bytes(7).bytes(1000), 7);
    }
}
