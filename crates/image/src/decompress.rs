//! Which compression an archive has, told by its first bytes and never by its name.

use std::io::{self, BufReader, Read};

use crate::error::UnpackError;

/// How much is read from the file at once.
const RAW_BUFFER: usize = 128 << 10;

/// Dictionaries beyond these sizes cost memory that no root file system's archive needs (xz -9 has 64 MiB, zstd -19
/// has 8 MiB); a hostile header could ask for gigabytes.
const XZ_MEMORY_KIB: u32 = 192 << 10;
const ZSTD_WINDOW_LOG: u32 = 27;

/// A stream that this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Tar,
    Gzip,
    Xz,
    Zstd,
}

/// Tells the format from an archive's first bytes. What is known not to be a tar archive is refused with its name;
/// the rest is taken for a plain archive, whose first header then has to prove it.
pub(crate) fn sniff(start: &[u8]) -> Result<Format, UnpackError> {
    let compression = |format| Err(UnpackError::Compression { format });
    let other = |found: &str| Err(UnpackError::NotATar { found: found.into() });
    match start {
        [] => other("the file is empty"),
        [0x1f, 0x8b, ..] => Ok(Format::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Format::Xz),
        // A frame, or a skippable frame before it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Format::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => compression("bzip2"),
        [0x04, 0x22, 0x4d, 0x18, ..] => compression("lz4"),
        [b'L', b'Z', b'I', b'P', 1, ..] => compression("lzip"),
        [0x5d, 0, 0, ..] => compression("lzma"),
        [0x1f, 0x9d | 0xa0, ..] => compression("compress"),
        [0x89, b'L', b'Z', b'O', 0, ..] => compression("lzop"),
        [b'P', b'K', 3, 4, ..] => other("it is a zip file"),
        [b'7', b'z', 0xbc, 0xaf, ..] => other("it is a 7z file"),
        [b'h', b's', b'q', b's', ..] => other("it is a squashfs image"),
        [0xff, 0xd8, 0xff, ..] => other("it is a JPEG image"),
        [0x89, b'P', b'N', b'G', ..] => other("it is a PNG image"),
        [0x7f, b'E', b'L', b'F', ..] => other("it is an ELF program"),
        _ => Ok(Format::Tar),
    }
}

/// A reader of the decompressed bytes. Files of several members, streams or frames are read to their end.
pub(crate) fn decoder<'a>(format: Format, raw: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match format {
        Format::Tar => Box::new(raw),
        Format::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(RAW_BUFFER, raw))),
        Format::Xz => {
            let raw = BufReader::with_capacity(RAW_BUFFER, raw);
            Box::new(lzma_rust2::XzReader::new_mem_limit(raw, true, XZ_MEMORY_KIB))
        }
        Format::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(RAW_BUFFER, raw))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Whether a decoder failed because a header asks for a larger dictionary than it may have. zstd tells it in words only.
pub(crate) fn needs_memory(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory || error.to_string().contains("too much memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert_eq!(sniff(b"\x1f\x8b\x08").unwrap(), Format::Gzip);
        assert_eq!(sniff(b"\xfd7zXZ\0").unwrap(), Format::Xz);
        assert_eq!(sniff(b"\x28\xb5\x2f\xfd").unwrap(), Format::Zstd);
        assert_eq!(sniff(b"etc/passwd\0\0").unwrap(), Format::Tar);
        // A name in a plain archive may begin like another format's magic.
        assert_eq!(sniff(b"BZh9lives/\0").unwrap(), Format::Tar);
    }

    #[test]
    fn other_formats_are_named_with_what_works() {
        for (start, name) in [(&b"BZh91AY&SY"[..], "bzip2"), (b"\x04\x22\x4d\x18", "lz4"), (b"\x5d\0\0\x80", "lzma")] {
            let error = sniff(start).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("gzip, xz and zstd"), "{error}");
        }
        assert!(sniff(b"").unwrap_err().to_string().contains("empty"));
    }
}
