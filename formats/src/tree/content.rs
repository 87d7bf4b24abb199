//! The bytes of a regular file: in memory, or a range of a cached file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use sha2::Digest as _;

/// A sha256.
pub type Digest = [u8; 32];

/// Bytes that are neither in memory nor a plain range of a file: a cached file
/// that checks itself while it is read, say.
pub trait ReadAt: Send + Sync + std::fmt::Debug {
    /// Fills `buf` from `offset`; the range is within the content's length.
    ///
    /// # Errors
    /// When the bytes cannot be had, or are not the right ones.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The content of a regular file. Cloning is cheap; the bytes are shared.
#[derive(Clone, Debug)]
pub struct Content {
    source: Source,
    offset: u64,
    len: u64,
    digest: Arc<OnceLock<Digest>>,
}

#[derive(Clone, Debug)]
enum Source {
    Bytes(Arc<[u8]>),
    File(Arc<File>),
    Reader(Arc<dyn ReadAt>),
}

impl Content {
    /// Content held in memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { len: bytes.len() as u64, source: Source::Bytes(bytes), offset: 0, digest: Arc::default() }
    }

    /// `len` bytes from `offset` of an open file. `digest`, when known, must be
    /// the sha256 of exactly those bytes.
    pub fn from_file(file: Arc<File>, offset: u64, len: u64, digest: Option<Digest>) -> Self {
        Self { source: Source::File(file), offset, len, digest: known(digest) }
    }

    /// `len` bytes of a reader. `digest`, when known, must be their sha256.
    pub fn from_reader(reader: Arc<dyn ReadAt>, len: u64, digest: Option<Digest>) -> Self {
        Self { source: Source::Reader(reader), offset: 0, len, digest: known(digest) }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buf` from `offset` bytes into the content.
    ///
    /// # Errors
    /// `UnexpectedEof` when the range is not within the content; else as the
    /// file below it says.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        let Some(end) = end else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        match &self.source {
            Source::Bytes(bytes) => {
                let short = |_| io::Error::from(io::ErrorKind::UnexpectedEof);
                let (from, to) =
                    (usize::try_from(offset).map_err(short)?, usize::try_from(end).map_err(short)?);
                buf.copy_from_slice(&bytes[from..to]);
                Ok(())
            }
            Source::File(file) => file.read_exact_at(buf, self.offset + offset),
            Source::Reader(reader) => reader.read_exact_at(buf, offset),
        }
    }

    /// All the bytes.
    ///
    /// # Errors
    /// As [`Content::read_exact_at`]; [`io::ErrorKind::OutOfMemory`] for a file that says
    /// it has more bytes than fit.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let much = || io::Error::from(io::ErrorKind::OutOfMemory);
        let len = usize::try_from(self.len).map_err(|_| much())?;
        let mut buf = Vec::new();
        buf.try_reserve_exact(len).map_err(|_| much())?;
        buf.resize(len, 0);
        self.read_exact_at(&mut buf, 0)?;
        Ok(buf)
    }

    /// The sha256 of the bytes, computed once.
    ///
    /// # Errors
    /// As [`Content::read_exact_at`].
    pub fn digest(&self) -> io::Result<Digest> {
        if let Some(known) = self.digest.get() {
            return Ok(*known);
        }
        let mut hasher = sha2::Sha256::new();
        let mut buf = vec![0; 256 << 10];
        let mut at = 0;
        while at < self.len {
            let take = usize::try_from(self.len - at).unwrap_or(usize::MAX).min(buf.len());
            self.read_exact_at(&mut buf[..take], at)?;
            hasher.update(&buf[..take]);
            at += take as u64;
        }
        Ok(*self.digest.get_or_init(|| hasher.finalize().into()))
    }
}

fn known(digest: Option<Digest>) -> Arc<OnceLock<Digest>> {
    Arc::new(digest.map(OnceLock::from).unwrap_or_default())
}
