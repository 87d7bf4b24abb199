//! A range of a file: a partition of a disk, or the whole file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use formats::tree::{Content, ReadAt};

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
