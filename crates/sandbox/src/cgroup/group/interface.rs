//! The forms that files of groups have: "Interface Files" of Documentation/admin-guide/cgroup-v2.rst, and what v1 has beside them.

/// Of a flat keyed file (`nr_periods 12`), the value of a key.
pub(super) fn flat(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// The lines of a nested keyed file: `8:0 rbytes=1 wbytes=2`, `some avg10=0.00 total=0`.
pub(super) fn nested(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(' '))
}

/// The value of a key in such a line.
pub(super) fn nested_value<'a>(pairs: &'a str, key: &str) -> Option<&'a str> {
    let mut pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// A single value.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `8:0`
pub(super) fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let text = "oom 1\noom_kill 2\nmax 18446744073709551615\nhigh x\n";
        assert_eq!(flat(text, "oom"), Some(1));
        assert_eq!(flat(text, "oom_kill"), Some(2));
        assert_eq!(flat(text, "max"), Some(u64::MAX));
        assert_eq!((flat(text, "high"), flat(text, "kill"), flat("", "oom")), (None, None, None));
    }

    #[test]
    fn nested_keys_are_found_in_their_line() {
        let text = "8:0 rbytes=1 wbytes=22\n259:3 rbytes=5\nalone\n";
        let lines: Vec<_> = nested(text).collect();
        assert_eq!(lines, [("8:0", "rbytes=1 wbytes=22"), ("259:3", "rbytes=5")]);
        assert_eq!(nested_value(lines[0].1, "wbytes"), Some("22"));
        assert_eq!(nested_value(lines[1].1, "wbytes"), None);
        assert_eq!((device("259:3"), device("259"), device("a:b")), (Some((259, 3)), None, None));
    }
}
