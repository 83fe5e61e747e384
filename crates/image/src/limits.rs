//! How much an archive may ask for.

/// Upper bounds of what one archive may make. An archive that goes past one of them is refused, and nothing stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the decompressed archive may have, headers and padding included (64 GiB). Holes of sparse files
    /// cost nothing and are not counted.
    pub bytes: u64,
    /// Entries of any kind (4 million).
    pub entries: u64,
    /// Directories between the root and an entry (256).
    pub depth: usize,
    /// Bytes of one extended header: long names, attributes, maps of sparse files (1 MiB).
    pub header: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 64 << 30, entries: 4_000_000, depth: 256, header: 1 << 20 }
    }
}
