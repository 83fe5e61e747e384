//! Reading, hashing and decompressing in one thread while the caller's thread makes the files: on two processors an
//! archive takes the longer of the two times instead of their sum.

use std::io::{self, BufRead, Cursor, Read};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::decompress::{Format, decoder, sniff};
use crate::digest::Digest;
use crate::error::UnpackError;

/// Decompressed bytes travel in pieces of this size, of which at most `PIECES` wait: 2 MiB in all.
const PIECE: usize = 256 << 10;
const PIECES: usize = 6;

/// Decompresses `input`, gives it to `consume`, and returns what that returns with the digest of the bytes as they
/// were read. `progress` is told how many bytes have been read, from the caller's thread.
pub(crate) fn run<R: Read + Send, T>(
    mut input: R,
    progress: &mut dyn FnMut(u64),
    consume: impl FnOnce(&mut Pieces<'_>) -> Result<T, UnpackError>,
) -> Result<(T, Digest), UnpackError> {
    let mut start = Vec::with_capacity(512);
    (&mut input).take(512).read_to_end(&mut start).map_err(UnpackError::Read)?;
    let format = sniff(&start)?;
    let input = Cursor::new(start).chain(input);
    let read = AtomicU64::new(0);
    let (full, pieces) = sync_channel(PIECES);
    let (spare, empty) = channel();
    thread::scope(|scope| {
        let producer = thread::Builder::new()
            .name("izba-unpack".into())
            .spawn_scoped(scope, || Producer { full, empty, read: &read }.run(format, input))
            .map_err(UnpackError::Thread)?;
        let mut pieces = Pieces { pieces, spare, current: Vec::new(), position: 0, read: &read, progress };
        let consumed = consume(&mut pieces);
        // Without its receiver the producer stops, if the consumer gave up early.
        drop(pieces);
        let digest = producer.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok((consumed?, digest))
    })
}

/// The thread that reads.
struct Producer<'a> {
    full: SyncSender<io::Result<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    read: &'a AtomicU64,
}

impl Producer<'_> {
    /// Sends all pieces, or an error after the last good one. The digest counts only if no error was sent.
    fn run(self, format: Format, mut input: impl Read) -> Digest {
        let mut hasher = Sha256::new();
        let raw = Hashed { input: &mut input, hasher: &mut hasher, read: self.read };
        let sent = decoder(format, raw).and_then(|mut decoder| self.send_all(&mut decoder));
        // A decoder may leave bytes behind its last frame; they belong to the archive all the same.
        let mut rest = Hashed { input: &mut input, hasher: &mut hasher, read: self.read };
        if let Err(error) = sent.and_then(|()| io::copy(&mut rest, &mut io::sink()).map(drop)) {
            // Nobody listens any more if the consumer has given up itself.
            let _ = self.full.send(Err(error));
        }
        Digest::finish(hasher)
    }

    fn send_all(&self, decoder: &mut dyn Read) -> io::Result<()> {
        loop {
            let mut piece = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
            piece.clear();
            let end = decoder.take(PIECE as u64).read_to_end(&mut piece);
            let done = piece.is_empty() || self.full.send(Ok(piece)).is_err();
            end?;
            if done {
                return Ok(());
            }
        }
    }
}

/// Counts and hashes what is read through it.
struct Hashed<'a, R> {
    input: &'a mut R,
    hasher: &'a mut Sha256,
    read: &'a AtomicU64,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The decompressed bytes, on the side that consumes them.
pub(crate) struct Pieces<'a> {
    pieces: Receiver<io::Result<Vec<u8>>>,
    spare: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    read: &'a AtomicU64,
    progress: &'a mut dyn FnMut(u64),
}

impl Pieces<'_> {
    fn next_piece(&mut self) -> io::Result<()> {
        (self.progress)(self.read.load(Ordering::Relaxed));
        // The producer has hung up: this is the end.
        let next = self.pieces.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
        let used = std::mem::replace(&mut self.current, next);
        self.position = 0;
        // A producer that has finished needs no buffer.
        let _ = self.spare.send(used);
        Ok(())
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.current.len() {
            self.next_piece()?;
        }
        Ok(&self.current[self.position..])
    }

    fn consume(&mut self, n: usize) {
        self.position += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(input: &[u8]) -> (Vec<u8>, Digest) {
        let all = |pieces: &mut Pieces<'_>| {
            let mut all = Vec::new();
            pieces.read_to_end(&mut all).map_err(UnpackError::Read)?;
            Ok(all)
        };
        run(input, &mut |_| {}, all).unwrap()
    }

    #[test]
    fn bytes_and_digest_come_through() {
        for len in [1, 511, 513, PIECE, PIECE * 20 + 7] {
            let input: Vec<u8> = (0..=250).cycle().take(len).collect();
            assert_eq!(read_all(&input), (input.clone(), Digest::of(&input)), "{len}");
        }
    }

    #[test]
    fn a_consumer_may_give_up() {
        let input = vec![b'x'; PIECE * 50];
        let result = run(&input[..], &mut |_| {}, |_| Err::<(), _>(UnpackError::corrupt("enough")));
        assert!(matches!(result, Err(UnpackError::Corrupt { .. })));
    }

    #[test]
    fn a_failed_read_reaches_the_consumer_after_the_good_bytes() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        let mut seen = 0;
        let result = run((&[b'x'; 1000][..]).chain(Broken), &mut |_| {}, |pieces| {
            loop {
                seen += match pieces.fill_buf() {
                    Ok(piece) => piece.len(),
                    Err(error) => return Err::<(), _>(UnpackError::Read(error)),
                };
                let len = pieces.fill_buf().map_or(0, <[u8]>::len);
                pieces.consume(len);
            }
        });
        assert_eq!(seen, 1000);
        assert!(matches!(result, Err(UnpackError::Read(error)) if error.raw_os_error() == Some(5)));
    }
}
