//! Decompression, for big streams on threads of its own.

use std::fmt;
use std::io::{self, BufRead, Cursor, Read};
use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use liblzma::stream::{MtStreamBuilder, Stream};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// By the end of a file name: none, `.gz`, `.xz` or `.zst`, as it follows `stem`.
    pub fn of_name(name: &str, stem: &str) -> Option<Self> {
        match name.strip_prefix(stem)? {
            "" => Some(Self::None),
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// By the first bytes, six of them where there are as many.
    pub fn of_magic(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "tar",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}

/// Streams of at least this many compressed bytes are decompressed on threads
/// of their own, so that hashing and writing do not wait for it.
const BIG: u64 = 8 << 20;
/// xz streams of at least this many compressed bytes are decompressed by several
/// threads, where they have several blocks. Only kernels are that large; smaller
/// packages are unpacked side by side anyhow.
const HUGE: u64 = 48 << 20;
/// What one xz decoder may use: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 100 << 20;
/// What the threads of one xz decoder may use together. A thread for `xz -6`
/// blocks needs about 40 MiB.
const XZ_THREADS_MEMORY: u64 = 80 << 20;

/// Decompresses `input`, which is `size` bytes long, for `with` to read.
///
/// # Errors
/// As `with` does; what is wrong with the stream reaches it through the reader.
pub fn decode<T>(
    input: impl BufRead + Send,
    compression: Compression,
    size: u64,
    with: impl FnOnce(&mut dyn Read) -> T,
) -> T {
    if size < BIG {
        return match decoder(input, compression, 1) {
            Ok(mut reader) => with(&mut reader),
            Err(e) => with(&mut Failed(Some(e))),
        };
    }
    thread::scope(|scope| {
        // Two chunks under way and one at each end: 4 MiB.
        let (full, chunks) = mpsc::sync_channel(2);
        scope.spawn(move || {
            let threads =
                if size < HUGE { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) };
            let sent = decoder(input, compression, threads).and_then(|mut reader| pump(&mut reader, &full));
            if let Err(e) = sent {
                let _ = full.send(Err(e));
            }
        });
        with(&mut Chunks { chunks, current: Cursor::default(), done: false })
    })
}

/// Sends a reader's bytes in chunks, at last an empty one. Stops early when
/// nobody listens any more.
fn pump(reader: &mut dyn Read, to: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(1 << 20);
        reader.take(1 << 20).read_to_end(&mut chunk)?;
        let last = chunk.is_empty();
        if to.send(Ok(chunk)).is_err() || last {
            return Ok(());
        }
    }
}

/// The receiving end of [`pump`].
struct Chunks {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
    done: bool,
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.current.read(buf)?;
            if n > 0 || self.done || buf.is_empty() {
                return Ok(n);
            }
            let chunk = self.chunks.recv().map_err(|_| io::Error::other("decompression stopped"))??;
            self.done = chunk.is_empty();
            self.current = Cursor::new(chunk);
        }
    }
}

/// A decoder that could not be made.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::InvalidData.into()))
    }
}

fn decoder<'a>(
    input: impl BufRead + Send + 'a,
    compression: Compression,
    threads: usize,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        Compression::Xz => Box::new(Xz { state: State::Between(input), threads }),
    })
}

/// One xz stream after the other, as `xz -d` does.
struct Xz<R> {
    state: State<R>,
    threads: usize,
}

enum State<R> {
    Within(liblzma::bufread::XzDecoder<R>),
    /// Before a stream: the first, or another one.
    Between(R),
    Ended,
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(0),
                State::Between(input) => {
                    let decoder = liblzma::bufread::XzDecoder::new_stream(input, xz_stream(self.threads)?);
                    self.state = State::Within(decoder);
                }
                State::Within(mut decoder) => {
                    let n = decoder.read(buf)?;
                    if n > 0 {
                        self.state = State::Within(decoder);
                        return Ok(n);
                    }
                    let mut input = decoder.into_inner();
                    if input.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    self.state = State::Between(input);
                }
            }
        }
    }
}

fn xz_stream(threads: usize) -> io::Result<Stream> {
    if threads == 1 {
        return Ok(Stream::new_stream_decoder(XZ_MEMORY, 0)?);
    }
    let threads = u32::try_from(threads).unwrap_or(u32::MAX).min(64);
    let stream = MtStreamBuilder::new()
        .threads(threads)
        .memlimit_threading(XZ_THREADS_MEMORY)
        .memlimit_stop(XZ_MEMORY)
        .decoder()?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unxz(bytes: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, Compression::Xz, size, |r| r.read_to_end(&mut out)).map(|_| out)
    }

    /// Three blocks of 1 MiB, as `xz -T` makes them.
    fn blocks() -> (Vec<u8>, Vec<u8>) {
        let plain: Vec<u8> =
            (0..3_000_000u32).flat_map(|i| (i.wrapping_mul(i) / 7).to_le_bytes()).take(3 << 20).collect();
        let stream = MtStreamBuilder::new().preset(1).block_size(1 << 20).threads(2).encoder().unwrap();
        let mut packed = Vec::new();
        liblzma::read::XzEncoder::new_stream(&plain[..], stream).read_to_end(&mut packed).unwrap();
        (plain, packed)
    }

    #[test]
    fn xz_in_one_thread_and_in_several_and_with_streams_joined() {
        let (plain, packed) = blocks();
        let twice = [&packed[..], &packed].concat();
        for size in [0, BIG, HUGE] {
            assert!(unxz(&packed, size).unwrap() == plain);
            assert!(unxz(&twice, size).unwrap() == [&plain[..], &plain].concat());
            assert!(unxz(&packed[..packed.len() - 1], size).is_err());
            assert!(unxz(&[&packed[..], b"junk"].concat(), size).is_err());
            assert!(unxz(b"", size).is_err());
        }
    }

    #[test]
    fn a_reader_that_gives_up_does_not_hang_the_threads() {
        let (_, packed) = blocks();
        let n = decode(&packed[..], Compression::Xz, HUGE, |r| r.read(&mut [0; 10])).unwrap();
        assert_eq!(n, 10);
    }

    #[test]
    fn xz_with_a_dictionary_beyond_the_limit_is_refused() {
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        options.dict_size(512 << 20);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
        let mut packed = Vec::new();
        liblzma::read::XzEncoder::new_stream(&b"x"[..], stream).read_to_end(&mut packed).unwrap();
        assert!(unxz(&packed, 0).is_err() && unxz(&packed, HUGE).is_err());
    }
}
