//! Values as D-Bus has them on the wire: "Marshaling (Wire Format)" of the D-Bus specification. Each kind of value stands at a multiple of its
//! own alignment, counted from the start of the message; a body starts at a multiple of 8, so that it can be written on its own.

/// Why bytes aren't what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The first byte of a message in the byte order of this machine.
pub const NATIVE_ORDER: u8 = if cfg!(target_endian = "big") { b'B' } else { b'l' };

/// Writes values one after the other.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn bool(&mut self, value: bool) {
        self.u32(value.into());
    }

    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_ne_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_ne_bytes());
    }

    /// A string or an object path.
    pub fn string(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// A signature: all of ours are a few characters.
    pub fn signature(&mut self, text: &str) {
        debug_assert!(text.len() < 256, "{text}");
        #[expect(clippy::cast_possible_truncation, reason = "every signature is a literal of this module")]
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array: its length in bytes without the padding before its first element, and the elements.
    pub fn array<T>(&mut self, alignment: usize, elements: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.length(0);
        let length = self.0.len() - 4;
        self.align(alignment);
        let start = self.0.len();
        elements.iter().for_each(|element| write(self, element));
        let bytes = saturated(self.0.len() - start).to_ne_bytes();
        self.0[length..length + 4].copy_from_slice(&bytes);
    }

    fn length(&mut self, length: usize) {
        self.u32(saturated(length));
    }
}

/// The bus refuses what is longer than 128 MiB anyway.
fn saturated(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Reads values one after the other, of bytes that come from somewhere else.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Does the lowest byte of a number come first?
    little: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], order: u8) -> Result<Self, Malformed> {
        match order {
            b'l' | b'B' => Ok(Self { bytes, at: 0, little: order == b'l' }),
            _ => Err(Malformed("the byte order is neither l nor B")),
        }
    }

    /// How far it is.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn align(&mut self, to: usize) -> Result<(), Malformed> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding).map(drop)
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or(Malformed("it ends in the middle of a value"))?;
        self.at += count;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.align(4)?;
        let bytes = self.array()?;
        Ok(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// A string or an object path.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        let length = self.u32()?;
        self.text(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub fn signature(&mut self) -> Result<&'a str, Malformed> {
        let length = self.byte()?;
        self.text(length.into())
    }

    /// A value of one of the basic types, to be passed over.
    pub fn skip(&mut self, signature: &str) -> Result<(), Malformed> {
        let size = match signature {
            "s" | "o" => return self.string().map(drop),
            "g" => return self.signature().map(drop),
            "y" => 1,
            "n" | "q" => 2,
            "b" | "i" | "u" | "h" => 4,
            "x" | "t" | "d" => 8,
            _ => return Err(Malformed("a header field has no basic type")),
        };
        self.align(size)?;
        self.take(size).map(drop)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let bytes = self.take(length)?;
        match self.byte()? {
            0 => std::str::from_utf8(bytes).map_err(|_| Malformed("a string isn't UTF-8")),
            _ => Err(Malformed("a string doesn't end with a zero byte")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| Malformed("it ends in the middle of a value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_at_their_alignment_and_are_read_back() {
        let mut writer = Writer::default();
        writer.byte(7);
        writer.u32(8);
        writer.string("ab");
        writer.bool(true);
        writer.signature("as");
        writer.u64(9);
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len(), 1 + 3 + 4 + 4 + 3 + 1 + 4 + 4 + 8);
        let mut reader = Reader::new(&bytes, NATIVE_ORDER).unwrap();
        assert_eq!((reader.byte(), reader.u32(), reader.string()), (Ok(7), Ok(8), Ok("ab")));
        assert_eq!((reader.u32(), reader.signature(), reader.skip("t")), (Ok(1), Ok("as"), Ok(())));
        assert_eq!(reader.at(), bytes.len());
        assert!(reader.byte().is_err());
    }

    #[test]
    fn an_array_is_as_long_as_its_elements_without_the_padding_before_them() {
        let mut writer = Writer::default();
        writer.array(8, &[5_u64, 6], |writer, number| writer.u64(*number));
        writer.array(8, &[], |writer, number| writer.u64(*number));
        let expected = [[16, 0, 0, 0], [0; 4], [5, 0, 0, 0], [0; 4], [6, 0, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
        if NATIVE_ORDER == b'l' {
            assert_eq!(writer.into_bytes(), expected);
        }
    }

    #[test]
    fn both_byte_orders_are_read() {
        assert_eq!(Reader::new(&[0, 0, 1, 2], b'B').unwrap().u32(), Ok(258));
        assert_eq!(Reader::new(&[2, 1, 0, 0], b'l').unwrap().u32(), Ok(258));
        assert!(Reader::new(&[], b'x').is_err());
    }

    #[test]
    fn what_is_cut_or_no_text_is_an_error() {
        let string = |bytes: &[u8]| Reader::new(bytes, b'l').unwrap().string().map(str::to_owned);
        assert_eq!(string(b"\x01\0\0\0a\0"), Ok("a".to_owned()));
        for bytes in [&b"\x01\0\0\0a"[..], b"\x01\0\0\0ab", b"\x01\0\0\0\xff\0", b"\xff\xff\xff\xffa\0", b"\x01"] {
            assert!(string(bytes).is_err(), "{bytes:?}");
        }
        assert!(Reader::new(&[0; 16], b'l').unwrap().skip("a{sv}").is_err());
    }
}
