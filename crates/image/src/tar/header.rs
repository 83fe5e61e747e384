//! One 512-byte tar header block: fields at fixed places (POSIX.1-2017 pax "ustar Interchange Format", and the GNU
//! variant described in GNU tar's manual, "Basic Tar Format").
//!
//! Reading it takes fewer lines than a dependency needs words, and lets us say what we accept: blank number fields
//! count as zero, base-256 numbers may be negative, and whatever else is not a number is an error.

use std::ops::Range;

use super::sparse::Segment;
use crate::error::UnpackError;

/// The unit of the format: headers take one block, data is padded to whole ones.
pub(super) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
const GNU_SPARSE: Range<usize> = 386..482;
const GNU_EXTENDED: usize = 482;
const GNU_REAL_SIZE: Range<usize> = 483..495;
const EXTENSION_SPARSE: Range<usize> = 0..504;
const EXTENSION_EXTENDED: usize = 504;

/// A header block as it stands in the archive.
pub(super) struct Header(pub(super) [u8; BLOCK]);

impl Header {
    /// Whether the checksum fits the block: the sum of all bytes, with the field itself taken as blanks. Old
    /// implementations summed signed characters; GNU tar accepts both, and so do we.
    pub(super) fn is_intact(&self) -> bool {
        let Some(stated) = number(&self.0[CHECKSUM]) else { return false };
        let rest = || self.0[..CHECKSUM.start].iter().chain(&self.0[CHECKSUM.end..]);
        let blanks = i64::from(b' ') * 8;
        let unsigned = blanks + rest().map(|b| i64::from(*b)).sum::<i64>();
        let signed = blanks + rest().map(|b| i64::from(b.cast_signed())).sum::<i64>();
        stated == unsigned || stated == signed
    }

    /// Whether the block is all zeros, which marks the archive's end.
    pub(super) fn is_end(&self) -> bool {
        self.0.iter().all(|b| *b == 0)
    }

    /// The type flag.
    pub(super) fn type_flag(&self) -> u8 {
        self.0[TYPE]
    }

    /// The name; POSIX splits a long one into a prefix and a name. (GNU tar has times where the prefix would be.)
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[NAME]);
        let prefix = if &self.0[MAGIC] == b"ustar\0" { text(&self.0[PREFIX]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// The target of a link.
    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[LINK]).to_vec()
    }

    /// Permission bits; some writers add the file type, which the type flag tells already.
    pub(super) fn mode(&self) -> Result<u32, UnpackError> {
        let mode = self.number(MODE, "mode")?;
        Ok(u32::try_from(mode & 0o7777).unwrap_or(0))
    }

    /// The numeric owner.
    pub(super) fn uid(&self) -> Result<u64, UnpackError> {
        self.unsigned(UID, "uid")
    }

    /// The numeric group.
    pub(super) fn gid(&self) -> Result<u64, UnpackError> {
        self.unsigned(GID, "gid")
    }

    /// Bytes of data that follow the header.
    pub(super) fn size(&self) -> Result<u64, UnpackError> {
        self.unsigned(SIZE, "size")
    }

    /// Seconds since 1970; negative for older files.
    pub(super) fn mtime(&self) -> Result<i64, UnpackError> {
        self.number(MTIME, "mtime")
    }

    /// The numbers of a device node.
    pub(super) fn device(&self) -> Result<(u32, u32), UnpackError> {
        let part = |field, what| {
            let number = self.unsigned(field, what)?;
            u32::try_from(number)
                .map_err(|_| UnpackError::corrupt(format!("device number {number} of {}", self.label())))
        };
        Ok((part(MAJOR, "device number")?, part(MINOR, "device number")?))
    }

    /// GNU's old sparse format: the first four segments, the file's real size, and whether more segments follow in
    /// blocks of their own.
    pub(super) fn gnu_sparse(&self) -> Result<(Vec<Segment>, u64, bool), UnpackError> {
        let size = self.unsigned(GNU_REAL_SIZE, "real size")?;
        Ok((segments(&self.0[GNU_SPARSE])?, size, self.0[GNU_EXTENDED] != 0))
    }

    /// A block with further segments of GNU's old sparse format.
    pub(super) fn gnu_sparse_extension(&self) -> Result<(Vec<Segment>, bool), UnpackError> {
        Ok((segments(&self.0[EXTENSION_SPARSE])?, self.0[EXTENSION_EXTENDED] != 0))
    }

    fn number(&self, field: Range<usize>, what: &str) -> Result<i64, UnpackError> {
        number(&self.0[field])
            .ok_or_else(|| UnpackError::corrupt(format!("the {what} of {} is no number", self.label())))
    }

    fn unsigned(&self, field: Range<usize>, what: &str) -> Result<u64, UnpackError> {
        let number = self.number(field, what)?;
        u64::try_from(number).map_err(|_| UnpackError::corrupt(format!("the {what} of {} is negative", self.label())))
    }

    fn label(&self) -> String {
        crate::error::printable(&self.name())
    }
}

/// Pairs of 12-byte numbers: offset and length. An unused pair is blank.
fn segments(fields: &[u8]) -> Result<Vec<Segment>, UnpackError> {
    let damaged = || UnpackError::corrupt("a sparse file's map holds no numbers");
    let natural = |field| number(field).and_then(|n| u64::try_from(n).ok()).ok_or_else(damaged);
    let used = fields.chunks_exact(24).take_while(|pair| pair[0] != 0 && pair[12] != 0);
    used.map(|pair| Ok(Segment { offset: natural(&pair[..12])?, len: natural(&pair[12..])? })).collect()
}

/// A field's bytes up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// An octal number between blanks and NULs, or (first bit set) a big-endian two's complement one in base 256.
fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        return base256(field);
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|b| matches!(b, b' ' | 0)).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn base256(field: &[u8]) -> Option<i64> {
    // The first bit only marks the form; the second is the sign.
    let first = i64::from((field[0] << 1).cast_signed() >> 1);
    field[1..].iter().try_fold(first, |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"    644 ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\x01\x02", Some(258)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\xff\0\0\0\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
