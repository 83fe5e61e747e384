//! Extended headers of the pax format: records `LENGTH KEY=VALUE\n` that overrule fields of the next header.
//!
//! Records are cut by their length, never at newlines: values such as `security.capability` are binary.

use super::sparse::PaxSparse;
use crate::error::UnpackError;

/// When an entry was last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mtime {
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    /// Nanoseconds after that second.
    pub(crate) nanoseconds: u32,
}

/// An extended attribute: its name and value.
pub(crate) type Attribute = (Vec<u8>, Vec<u8>);

/// What extended headers say about an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) attributes: Vec<Attribute>,
    /// Attributes in forms that are not read: access control lists as text, labels of other formats.
    pub(super) unread_attributes: u64,
    pub(super) sparse: PaxSparse,
}

impl Pax {
    /// Takes the records of a header that describes one entry.
    pub(super) fn apply(&mut self, records: &[u8]) -> Result<(), UnpackError> {
        each(records, |key, value| self.record(key, value))
    }

    /// Takes the records of a header for all entries that follow. Owner and time make sense there; a name, size or
    /// sparse map for every entry does not, and nobody writes one: comments and the like are passed over.
    pub(super) fn apply_global(&mut self, records: &[u8]) -> Result<(), UnpackError> {
        each(records, |key, value| match key {
            b"uid" | b"gid" | b"mtime" => self.record(key, value),
            _ => Ok(()),
        })
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), UnpackError> {
        match key {
            b"path" => self.path = present(value),
            b"linkpath" => self.link = present(value),
            b"size" => self.size = decimal(key, value)?,
            b"uid" => self.uid = decimal(key, value)?,
            b"gid" => self.gid = decimal(key, value)?,
            b"mtime" => self.mtime = time(value)?,
            _ => self.namespaced(key, value)?,
        }
        Ok(())
    }

    fn namespaced(&mut self, key: &[u8], value: &[u8]) -> Result<(), UnpackError> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.attributes.push((name.to_vec(), value.to_vec()));
        } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            self.sparse.record(key, value)?;
        } else if key.starts_with(b"SCHILY.acl.") || key.starts_with(b"RHT.security.") {
            self.unread_attributes += 1;
        }
        Ok(())
    }
}

/// An empty value takes an override back.
fn present(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

/// Splits records by their lengths.
fn each(mut rest: &[u8], mut record: impl FnMut(&[u8], &[u8]) -> Result<(), UnpackError>) -> Result<(), UnpackError> {
    let damaged = || UnpackError::corrupt("an extended header's record has a wrong length or no '='");
    while !rest.is_empty() {
        let blank = rest.iter().position(|b| *b == b' ').ok_or_else(damaged)?;
        let len = digits(&rest[..blank]).and_then(|len| usize::try_from(len).ok()).ok_or_else(damaged)?;
        let body = rest.get(blank + 1..len).and_then(|body| body.strip_suffix(b"\n")).ok_or_else(damaged)?;
        let equals = body.iter().position(|b| *b == b'=').ok_or_else(damaged)?;
        record(&body[..equals], &body[equals + 1..])?;
        rest = &rest[len..];
    }
    Ok(())
}

/// A number's value, None for an empty field.
pub(super) fn decimal(key: &[u8], value: &[u8]) -> Result<Option<u64>, UnpackError> {
    if value.is_empty() {
        return Ok(None);
    }
    let key = || String::from_utf8_lossy(key).into_owned();
    digits(value).map(Some).ok_or_else(|| UnpackError::corrupt(format!("the extended header {} is no number", key())))
}

/// Decimal digits and nothing else: no sign, no blanks, no overflow.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds with an optional fraction: `-1.5` is one and a half second before 1970.
fn time(value: &[u8]) -> Result<Option<Mtime>, UnpackError> {
    if value.is_empty() {
        return Ok(None);
    }
    parse_time(value).map(Some).ok_or_else(|| UnpackError::corrupt("the extended header mtime is no time"))
}

fn parse_time(value: &[u8]) -> Option<Mtime> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let mut parts = value.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(digits(parts.next()?)?).ok()?;
    let mut nanoseconds = 0;
    for (place, digit) in parts.next().unwrap_or_default().iter().enumerate() {
        let digit = u32::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
        // Digits past the ninth are finer than the kernel's clock.
        nanoseconds += if place < 9 { digit * 10u32.pow(8 - u32::try_from(place).ok()?) } else { 0 };
    }
    Some(match (negative, nanoseconds) {
        (false, _) => Mtime { seconds, nanoseconds },
        (true, 0) => Mtime { seconds: -seconds, nanoseconds },
        (true, _) => Mtime { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_by_length_not_at_newlines() {
        let mut pax = Pax::default();
        pax.apply(b"27 SCHILY.xattr.user.a=1\n2\n9 path=x\n").unwrap();
        assert_eq!(pax.attributes, [(b"user.a".to_vec(), b"1\n2".to_vec())]);
        assert_eq!(pax.path.as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn damaged_records_are_errors() {
        for records in
            [&b"9 path=x"[..], b"8 path=x\n", b"99 path=x\n", b"path=x\n", b"9 pathxx\n", b"1 \n", b"0 a=b\n"]
        {
            assert!(Pax::default().apply(records).is_err(), "{}", records.escape_ascii());
        }
    }

    #[test]
    fn an_empty_value_takes_the_override_back() {
        let mut pax = Pax::default();
        pax.apply(b"9 path=x\n8 path=\n10 uid=77\n7 uid=\n").unwrap();
        assert_eq!(pax, Pax::default());
    }

    #[test]
    fn global_names_and_sizes_are_passed_over() {
        let mut pax = Pax::default();
        pax.apply_global(b"9 path=x\n10 size=7\n9 uid=12\n").unwrap();
        assert_eq!(pax, Pax { uid: Some(12), ..Pax::default() });
    }

    #[test]
    fn times_have_signs_and_fractions() {
        let time = |text: &str| parse_time(text.as_bytes()).map(|t| (t.seconds, t.nanoseconds));
        assert_eq!(time("12.5"), Some((12, 500_000_000)));
        assert_eq!(time("12.0000000019"), Some((12, 1)));
        assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time("-3"), Some((-3, 0)));
        for wrong in ["", "x", "1.x", "--1", "1e5", "99999999999999999999"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
