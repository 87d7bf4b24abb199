//! Writes parts of an image in any order and leaves the rest alone.

use std::io::{self, Seek, SeekFrom, Write};

/// An output, with positions counted from where it stood at first.
pub(crate) struct Sparse<'a, W> {
    inner: &'a mut W,
    origin: u64,
    /// How far it was written.
    end: u64,
}

impl<'a, W: Write + Seek> Sparse<'a, W> {
    /// An image that starts at the current position of `inner`.
    pub(crate) fn new(inner: &'a mut W) -> io::Result<Self> {
        Ok(Self { origin: inner.stream_position()?, end: 0, inner })
    }

    /// Writes `bytes` at `at` bytes from the start of the image.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.seek(SeekFrom::Start(self.origin + at))?;
        self.inner.write_all(bytes)?;
        self.end = self.end.max(at + bytes.len() as u64);
        Ok(())
    }

    /// Makes the image reach to `size` bytes: with a last zero where nothing was written.
    pub(crate) fn finish(mut self, size: u64) -> io::Result<()> {
        if self.end < size { self.put(size - 1, &[0]) } else { Ok(()) }
    }
}
