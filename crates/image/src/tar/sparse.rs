//! Files with holes: GNU tar's old format and its three pax formats (0.0, 0.1 and 1.0; GNU tar's manual, "Storing
//! Sparse Files"). All end as one list of segments.

use super::pax::{decimal, digits};
use crate::error::UnpackError;

/// A part of the file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it starts in the file.
    pub(crate) offset: u64,
    /// How long it is.
    pub(crate) len: u64,
}

/// A file with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sparse {
    /// What is stored, in order.
    pub(crate) segments: Vec<Segment>,
    /// The file's size with its holes.
    pub(crate) size: u64,
}

impl Sparse {
    /// Checks that the segments ascend, lie within the file, and are the `stored` bytes, no more and no less.
    pub(super) fn checked(self, stored: u64) -> Result<Sparse, UnpackError> {
        let mut end = 0;
        let mut total = 0u64;
        for segment in &self.segments {
            let next =
                segment.offset.checked_add(segment.len).filter(|next| segment.offset >= end && *next <= self.size);
            end = next.ok_or_else(|| UnpackError::corrupt("a sparse file's segments overlap or pass its end"))?;
            total += segment.len;
        }
        if total != stored || i64::try_from(self.size).is_err() {
            return Err(UnpackError::corrupt("a sparse file's map does not fit its size"));
        }
        Ok(self)
    }
}

/// The `GNU.sparse.*` records of an extended header, before it is known which format they make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    major: Option<u64>,
    size: Option<u64>,
    /// The file's name; the `path` of such an entry is a made-up one for programs that know no sparse files.
    pub(super) name: Option<Vec<u8>>,
    numbers: Vec<u64>,
}

impl PaxSparse {
    /// Takes one record; `key` is without the prefix `GNU.sparse.`.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), UnpackError> {
        match key {
            b"major" => self.major = decimal(key, value)?,
            b"size" | b"realsize" => self.size = decimal(key, value)?,
            b"name" => self.name = Some(value.to_vec()),
            // Format 0.0 repeats these two; format 0.1 has them all in one record.
            b"offset" | b"numbytes" => self.numbers.extend(decimal(key, value)?),
            b"map" => self.numbers = numbers(value, b',')?,
            _ => {}
        }
        Ok(())
    }

    /// Whether the records make the entry a sparse file.
    pub(super) fn is_sparse(&self) -> bool {
        self.size.is_some()
    }

    /// Whether the map is not in the header but at the start of the data (format 1.0).
    pub(super) fn is_in_data(&self) -> bool {
        self.major == Some(1)
    }

    /// The file as the header describes it.
    pub(super) fn into_sparse(self) -> Result<Sparse, UnpackError> {
        Ok(Sparse { segments: pairs(&self.numbers)?, size: self.size.unwrap_or(0) })
    }

    /// The file as a map of format 1.0 describes it.
    pub(super) fn with_map(self, map: &[u8]) -> Result<Sparse, UnpackError> {
        let numbers = numbers(map, b'\n')?;
        Ok(Sparse { segments: pairs(&numbers[1..])?, size: self.size.unwrap_or(0) })
    }
}

/// The length of a format 1.0 map that starts `data` (a count, then that many pairs, a number to a line); None if
/// `data` does not hold all of it yet.
pub(super) fn map_length(data: &[u8]) -> Result<Option<usize>, UnpackError> {
    let damaged = || UnpackError::corrupt("a sparse file's map is no list of numbers");
    let Some(first) = data.iter().position(|b| *b == b'\n') else {
        return if data.len() > 20 { Err(damaged()) } else { Ok(None) };
    };
    let pairs = digits(&data[..first]).and_then(|n| usize::try_from(n).ok()).ok_or_else(damaged)?;
    let lines = pairs.checked_mul(2).and_then(|lines| lines.checked_add(1)).ok_or_else(damaged)?;
    let mut ends = data.iter().enumerate().filter(|(_, b)| **b == b'\n');
    Ok(ends.nth(lines - 1).map(|(end, _)| end))
}

fn numbers(text: &[u8], separator: u8) -> Result<Vec<u64>, UnpackError> {
    let damaged = || UnpackError::corrupt("a sparse file's map is no list of numbers");
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(|b| *b == separator).map(|number| digits(number).ok_or_else(damaged)).collect()
}

fn pairs(numbers: &[u64]) -> Result<Vec<Segment>, UnpackError> {
    if !numbers.len().is_multiple_of(2) {
        return Err(UnpackError::corrupt("a sparse file's map has an odd number of numbers"));
    }
    Ok(numbers.chunks_exact(2).map(|pair| Segment { offset: pair[0], len: pair[1] }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(segments: &[(u64, u64)], size: u64) -> Sparse {
        Sparse { segments: segments.iter().map(|&(offset, len)| Segment { offset, len }).collect(), size }
    }

    #[test]
    fn segments_must_ascend_within_the_file() {
        assert!(sparse(&[(0, 10), (10, 5), (100, 0)], 100).checked(15).is_ok());
        for (segments, size, stored) in [
            (&[(0, 10), (9, 5)][..], 100, 15),
            (&[(90, 11)], 100, 11),
            (&[(u64::MAX, 2)], u64::MAX, 2),
            (&[(0, 10)], 100, 9),
            (&[], u64::MAX, 0),
        ] {
            assert!(sparse(segments, size).checked(stored).is_err(), "{segments:?}");
        }
    }

    #[test]
    fn maps_in_the_data_end_after_their_last_number() {
        assert_eq!(map_length(b"1\n0\n512\n\0\0\0").unwrap(), Some(7));
        assert_eq!(map_length(b"0\n\0").unwrap(), Some(1));
        assert_eq!(map_length(b"2\n0\n512\n").unwrap(), None);
        assert!(map_length(b"x\n").is_err());
        assert!(map_length(&[b'1'; 30]).is_err());
        assert!(map_length(b"18446744073709551615\n").is_err());
    }

    #[test]
    fn maps_of_all_pax_formats_make_the_same_segments() {
        let record =
            |pax: &mut PaxSparse, key: &str, value: &str| pax.record(key.as_bytes(), value.as_bytes()).unwrap();
        let mut repeated = PaxSparse::default();
        let mut listed = PaxSparse::default();
        let mut stored = PaxSparse::default();
        for (key, value) in [("size", "99"), ("offset", "1"), ("numbytes", "2"), ("offset", "50"), ("numbytes", "4")] {
            record(&mut repeated, key, value);
        }
        record(&mut listed, "size", "99");
        record(&mut listed, "map", "1,2,50,4");
        record(&mut stored, "major", "1");
        record(&mut stored, "realsize", "99");
        assert!(stored.is_in_data() && !listed.is_in_data() && repeated.is_sparse());
        let expected = sparse(&[(1, 2), (50, 4)], 99);
        assert_eq!(repeated.into_sparse().unwrap(), expected);
        assert_eq!(listed.into_sparse().unwrap(), expected);
        assert_eq!(stored.with_map(b"2\n1\n2\n50\n4").unwrap(), expected);
    }
}
