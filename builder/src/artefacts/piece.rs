//! A range of a file: a partition of a disk, or the whole file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use formats::tree::{Content, ReadAt};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::Error;

/// A range of an open file.
#[derive(Clone, Debug)]
pub struct Piece {
    file: Arc<File>,
    /// What it is, for messages: `output/x/disk.raw`, `the partition USR-A of …`.
    pub name: String,
    /// First byte in the file.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Piece {
    /// A whole file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let len = file.metadata().map_err(Error::io("read", path))?.len();
        Ok(Self { file: Arc::new(file), name: path.display().to_string(), start: 0, len })
    }

    /// A part of it; what lies outside is cut off.
    pub fn part(&self, name: String, start: u64, len: u64) -> Self {
        let start = start.min(self.len);
        Self { file: Arc::clone(&self.file), name, start: self.start + start, len: len.min(self.len - start) }
    }

    /// The first bytes, as many as there are up to `most`.
    ///
    /// # Errors
    /// When it does not read.
    pub fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX).min(most);
        let mut head = vec![0; len];
        self.read_exact_at(&mut head, 0)?;
        Ok(head)
    }

    /// All of it as a file's content.
    pub fn content(&self) -> Content {
        Content::from_file(Arc::clone(&self.file), self.start, self.len, None)
    }

    /// All bytes, when they are not more than `limit`.
    ///
    /// # Errors
    /// When there are more, or it does not read.
    pub fn to_vec(&self, limit: u64) -> Result<Vec<u8>, Error> {
        if self.len > limit {
            return Err(Error::TooLarge { part: self.name.clone(), limit });
        }
        self.content().to_vec().map_err(Error::io("read", Path::new(&self.name)))
    }
}

impl ReadAt for Piece {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buf, self.start + offset)
    }
}

/// Bytes read at one time.
const STEP: usize = 1 << 20;

impl Piece {
    /// Where data begins at or after `at`, for a file with holes; the end when there is
    /// no more.
    fn next_data(&self, at: u64) -> u64 {
        match seek(&*self.file, SeekFrom::Data(self.start + at)) {
            Ok(data) => data.saturating_sub(self.start).min(self.len),
            Err(Errno::NXIO) => self.len,
            // A file system that knows no holes.
            Err(_) => at,
        }
    }

    /// The first byte at or after `from` that is not zero. Holes are skipped.
    ///
    /// # Errors
    /// When it does not read.
    pub fn first_nonzero(&self, from: u64) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; STEP];
        let mut at = self.next_data(from.min(self.len));
        while at < self.len {
            let n = usize::try_from(self.len - at).unwrap_or(STEP).min(STEP);
            self.read_exact_at(&mut buffer[..n], at)?;
            if let Some(found) = buffer[..n].iter().position(|byte| *byte != 0) {
                return Ok(Some(at + found as u64));
            }
            at = self.next_data(at + n as u64);
        }
        Ok(None)
    }

    /// The first byte that is another in `other`; the length of the shorter one when that
    /// is the start of the longer. What is a hole in both is skipped.
    ///
    /// # Errors
    /// When one does not read.
    pub fn first_difference(&self, other: &Self) -> io::Result<Option<u64>> {
        let both = self.len.min(other.len);
        let (mut left, mut right) = (vec![0; STEP], vec![0; STEP]);
        let mut at = 0;
        loop {
            at = self.next_data(at).min(other.next_data(at));
            if at >= both {
                return Ok((self.len != other.len).then_some(both));
            }
            let n = usize::try_from(both - at).unwrap_or(STEP).min(STEP);
            self.read_exact_at(&mut left[..n], at)?;
            other.read_exact_at(&mut right[..n], at)?;
            if left[..n] != right[..n] {
                let same = left[..n].iter().zip(&right[..n]).take_while(|(a, b)| a == b).count();
                return Ok(Some(at + same as u64));
            }
            at += n as u64;
        }
    }
}
