//! A tar archive read entry by entry: ustar, GNU and pax, with long names, attributes and sparse files.
//!
//! Where implementations disagree on how much data belongs to an entry, an archive can look different to each of them;
//! this reader takes the common answer (of GNU tar and Go): links, directories and device nodes have none, and an
//! extended header describes the next real entry, not the extended headers between.

mod header;
mod pax;
mod sparse;

use std::io::{self, BufRead};

use header::{BLOCK, Header};
use pax::Pax;
pub(crate) use pax::{Attribute, Mtime};
pub(crate) use sparse::Sparse;

use crate::error::{UnpackError, printable};
use crate::limits::Limits;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// An entry as the archive describes it; nothing of it has been checked against the rules of unpacking.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Mtime,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) unread_attributes: u64,
    /// Bytes of content that [`Reader::copy`] gives.
    pub(crate) size: u64,
    pub(crate) sparse: Option<Sparse>,
}

/// Headers that describe the entry after them.
struct Described {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Pax,
}

/// Reads an archive from front to back.
pub(crate) struct Reader<'a, R> {
    input: R,
    limits: &'a Limits,
    global: Pax,
    /// Data of the current entry that has not been read.
    data: u64,
    /// Bytes that fill up its last block.
    padding: u64,
    /// Bytes read so far.
    position: u64,
    headers: u64,
    /// The last entry's name, for messages on what comes after it.
    last: Vec<u8>,
}

impl<'a, R: BufRead> Reader<'a, R> {
    /// A reader of the decompressed archive `input`.
    pub(crate) fn new(input: R, limits: &'a Limits) -> Reader<'a, R> {
        let global = Pax::default();
        Reader { input, limits, global, data: 0, padding: 0, position: 0, headers: 0, last: Vec::new() }
    }

    /// The next entry, or None at the archive's end mark.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, UnpackError> {
        self.skip_data()?;
        let mut described = Described { name: None, link: None, pax: self.global.clone() };
        let mut extended = false;
        while let Some(header) = self.header()? {
            match header.type_flag() {
                b'L' => described.name = Some(self.long_text(&header)?),
                b'K' => described.link = Some(self.long_text(&header)?),
                // 'X' is what Solaris wrote before pax was a standard.
                b'x' | b'X' => described.pax.apply(&self.extension(&header)?)?,
                b'g' => self.apply_global(&header, &mut described)?,
                // A label for the volume.
                b'V' => self.extension(&header).map(drop)?,
                _ => return self.member(&header, described).map(Some),
            }
            extended = true;
        }
        match (self.position, extended) {
            (512, _) => Err(UnpackError::NotATar { found: "it has no entries".into() }),
            (_, true) => Err(UnpackError::corrupt("it ends with an extended header that describes no entry")),
            (_, false) => Ok(None),
        }
    }

    /// Gives `len` bytes of the current entry's data to `sink`, in pieces.
    pub(crate) fn copy(
        &mut self,
        len: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let mut left = len;
        while left > 0 {
            let piece = fill(&mut self.input, &self.last)?;
            let n = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&piece[..n])?;
            self.input.consume(n);
            left -= n as u64;
        }
        self.position += len;
        self.data = self.data.saturating_sub(len);
        Ok(())
    }

    /// Reads on to the end of the input, where decompressors verify their checksums. What follows the end mark is
    /// padding, and counts towards the limit all the same.
    pub(crate) fn finish(mut self) -> Result<(), UnpackError> {
        loop {
            let n = self.input.fill_buf().map_err(|e| input_error(e, &self.last))?.len();
            if n == 0 {
                return Ok(());
            }
            self.input.consume(n);
            self.position += n as u64;
            self.within_limits(0, b"(after the last)")?;
        }
    }

    fn apply_global(&mut self, header: &Header, described: &mut Described) -> Result<(), UnpackError> {
        let records = self.extension(header)?;
        self.global.apply_global(&records)?;
        described.pax.apply_global(&records)
    }

    /// A header, or None at the end mark. An archive without one was cut off between two entries.
    fn header(&mut self) -> Result<Option<Header>, UnpackError> {
        let first = self.position == 0;
        let Some(block) = self.block()? else {
            return Err(match first {
                true => UnpackError::NotATar { found: "it is shorter than one tar header".into() },
                false => truncated(&self.last),
            });
        };
        let header = Header(block);
        if header.is_end() {
            return Ok(None);
        }
        if !header.is_intact() {
            return Err(match first {
                true => UnpackError::NotATar { found: "its first block is no tar header".into() },
                false => UnpackError::corrupt(format!("bad header after the entry {}", printable(&self.last))),
            });
        }
        self.within_limits(0, &self.last)?;
        self.headers += 1;
        if self.headers > self.limits.entries {
            return Err(UnpackError::too_large(&header.name(), format!("{} entries", self.limits.entries)));
        }
        Ok(Some(header))
    }

    /// A whole block, or None if the input ends before it does.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, UnpackError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let piece = self.input.fill_buf().map_err(|e| input_error(e, &self.last))?;
            if piece.is_empty() {
                return Ok(None);
            }
            let n = piece.len().min(BLOCK - filled);
            block[filled..filled + n].copy_from_slice(&piece[..n]);
            self.input.consume(n);
            filled += n;
        }
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    /// The content of a header that describes others.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, UnpackError> {
        let size = header.size()?;
        if size > self.limits.header {
            return Err(UnpackError::too_large(
                &header.name(),
                format!("{} bytes for an extended header", self.limits.header),
            ));
        }
        self.expect(size);
        let mut content = Vec::new();
        self.copy(size, &mut |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        self.skip_data()?;
        Ok(content)
    }

    /// The content of a GNU long name or link: it ends with a NUL.
    fn long_text(&mut self, header: &Header) -> Result<Vec<u8>, UnpackError> {
        let mut text = self.extension(header)?;
        let end = text.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        text.truncate(end);
        Ok(text)
    }

    fn member(&mut self, header: &Header, described: Described) -> Result<Member, UnpackError> {
        let Described { name, link, pax } = described;
        let name = pax.path.or(name).unwrap_or_else(|| header.name());
        let (kind, has_data) = kind(header, &name)?;
        let size = if has_data { pax.size.map_or_else(|| header.size(), Ok)? } else { 0 };
        self.last.clone_from(&name);
        self.within_limits(size, &name)?;
        self.expect(size);
        let mtime = pax.mtime.map_or_else(|| header.mtime().map(|seconds| Mtime { seconds, nanoseconds: 0 }), Ok)?;
        let mut member = Member {
            kind,
            name,
            link: pax.link.or(link).unwrap_or_else(|| header.link()),
            mode: header.mode()?,
            uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
            gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
            mtime,
            attributes: pax.attributes,
            unread_attributes: pax.unread_attributes,
            size,
            sparse: None,
        };
        if header.type_flag() == b'S' {
            member.sparse = Some(self.gnu_sparse(header, size)?);
        } else if member.kind == Kind::File && pax.sparse.is_sparse() {
            member.name = pax.sparse.name.clone().unwrap_or(member.name);
            member.sparse = Some(self.pax_sparse(pax.sparse)?);
            member.size = self.data;
        }
        Ok(member)
    }

    /// GNU's old format continues its map in blocks between the header and the data.
    fn gnu_sparse(&mut self, header: &Header, stored: u64) -> Result<Sparse, UnpackError> {
        let (mut segments, size, mut more) = header.gnu_sparse()?;
        while more {
            // These blocks are not part of the entry's data.
            let (next, last) = Header(self.block()?.ok_or_else(|| truncated(&self.last))?).gnu_sparse_extension()?;
            segments.extend(next);
            more = last;
            if segments.len() as u64 * 24 > self.limits.header {
                return Err(UnpackError::too_large(&self.last, "segments of a sparse file"));
            }
        }
        Sparse { segments, size }.checked(stored)
    }

    fn pax_sparse(&mut self, pax: sparse::PaxSparse) -> Result<Sparse, UnpackError> {
        if !pax.is_in_data() {
            return pax.into_sparse()?.checked(self.data);
        }
        let mut map = Vec::new();
        let end = loop {
            if self.data < BLOCK as u64 || map.len() as u64 >= self.limits.header {
                return Err(UnpackError::corrupt("a sparse file's map is longer than its data or the limit"));
            }
            map.extend_from_slice(&self.block()?.ok_or_else(|| truncated(&self.last))?);
            self.data -= BLOCK as u64;
            if let Some(end) = sparse::map_length(&map)? {
                break end;
            }
        };
        pax.with_map(&map[..end])?.checked(self.data)
    }

    fn expect(&mut self, size: u64) {
        self.data = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip_data(&mut self) -> Result<(), UnpackError> {
        self.copy(self.data, &mut |_| Ok(()))?;
        let padding = std::mem::take(&mut self.padding);
        self.copy(padding, &mut |_| Ok(()))
    }

    /// Refuses a size before any of it is read; the sum can't overflow afterwards.
    fn within_limits(&self, size: u64, name: &[u8]) -> Result<(), UnpackError> {
        match self.position.checked_add(size) {
            Some(end) if end <= self.limits.bytes => Ok(()),
            _ => Err(UnpackError::too_large(name, format!("{} bytes for an unpacked archive", self.limits.bytes))),
        }
    }
}

/// What a header makes, and whether data follows it.
fn kind(header: &Header, name: &[u8]) -> Result<(Kind, bool), UnpackError> {
    Ok(match header.type_flag() {
        // Before there was a type for directories, a slash told them.
        b'0' | b'\0' | b'7' if name.ends_with(b"/") => (Kind::Directory, true),
        b'0' | b'\0' | b'7' | b'S' => (Kind::File, true),
        b'1' => (Kind::HardLink, false),
        b'2' => (Kind::Symlink, false),
        b'3' => header.device().map(|(major, minor)| (Kind::CharDevice { major, minor }, false))?,
        b'4' => header.device().map(|(major, minor)| (Kind::BlockDevice { major, minor }, false))?,
        b'5' => (Kind::Directory, false),
        b'6' => (Kind::Fifo, false),
        // GNU's incremental archives: a directory with a list of what was in it.
        b'D' => (Kind::Directory, true),
        b'M' => return Err(UnpackError::refused(name, "it continues on another volume; join the volumes first")),
        other => {
            let why = format!("its type '{}' is not known", other.escape_ascii());
            return Err(UnpackError::refused(name, why));
        }
    })
}

/// The next bytes, at least one.
fn fill<'b, R: BufRead>(input: &'b mut R, last: &[u8]) -> Result<&'b [u8], UnpackError> {
    match input.fill_buf() {
        Ok([]) => Err(truncated(last)),
        Ok(piece) => Ok(piece),
        Err(error) => Err(input_error(error, last)),
    }
}

/// Tells failed reads from damaged and cut-off streams.
fn input_error(error: io::Error, last: &[u8]) -> UnpackError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => truncated(last),
        _ if crate::decompress::needs_memory(&error) => UnpackError::Dictionary,
        _ if error.raw_os_error().is_some() => UnpackError::Read(error),
        _ => UnpackError::corrupt(error.to_string()),
    }
}

fn truncated(last: &[u8]) -> UnpackError {
    let place =
        if last.is_empty() { "at its start".into() } else { format!("in or after the entry {}", printable(last)) };
    UnpackError::Truncated { place }
}
