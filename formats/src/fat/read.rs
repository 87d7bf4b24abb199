//! Reads a FAT filesystem that may be damaged: what is on an ESP already. FAT12, FAT16 and
//! FAT32, whoever made it.

use super::bpb::{Bpb, Kind, Root};
use super::dir::ENTRY_SIZE;
use super::entries::{Dir, Slot};
use super::table::Table;
use std::io;

/// Largest directory that is read: as many entries as FAT may have.
const MAX_DIR: usize = 65_536 * ENTRY_SIZE;

/// Fills a buffer from an offset.
pub(super) type ReadAt<'r> = &'r mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>;

/// Why a filesystem cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk does not read.
    #[error("FAT: it does not read")]
    Io(
        /// What the reader said.
        #[from]
        io::Error,
    ),
    /// There is no FAT filesystem.
    #[error("FAT: there is no such filesystem: {0}")]
    NotFat(
        /// What is missing.
        &'static str,
    ),
    /// A chain of clusters leads out of the filesystem, or does not end where it should.
    #[error("FAT: the chain of clusters from {0} is broken")]
    Chain(
        /// Its first cluster.
        u32,
    ),
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The long name, or the short one in small letters where there is no other.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length of a file in bytes.
    pub len: u32,
    first: u32,
}

/// Where things are, and the table.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) bpb: Bpb,
    pub(super) table: Table,
}

impl Layout {
    /// Reads the first sector and the first table that reads.
    pub(super) fn open(size: u64, read_at: ReadAt<'_>) -> Result<Self, ReadError> {
        let mut boot = [0; 512];
        read_at(0, &mut boot)?;
        let bpb = Bpb::parse(&boot, size)?;
        let mut bytes = vec![0; bpb.table_len];
        let mut outcome = Ok(());
        for at in &bpb.tables {
            outcome = read_at(*at, &mut bytes);
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        let table = Table::new(bpb.kind, bytes);
        Ok(Self { bpb, table })
    }

    /// The pieces of a directory: where and how long. 0 stands for the root. Of a broken one
    /// what firmware reads, too: the pieces before the break.
    pub(super) fn pieces(&self, dir: u32) -> Result<Vec<(u64, usize)>, ReadError> {
        let size = usize::try_from(self.bpb.cluster_size).unwrap_or(usize::MAX);
        let first = match &self.bpb.root {
            Root::Fixed(range) if dir == 0 => {
                return Ok(vec![(range.start, usize::try_from(range.end - range.start).unwrap_or(0))]);
            }
            Root::Chain(first) if dir == 0 => *first,
            _ => dir,
        };
        let (mut chain, _) = self.table.as_far_as_it_goes(&self.bpb, first, MAX_DIR.div_ceil(size) + 1);
        if chain.len() * size > MAX_DIR.max(size) {
            chain.truncate(1);
        }
        if chain.is_empty() {
            return Err(ReadError::Chain(first));
        }
        Ok(chain.into_iter().filter_map(|cluster| Some((self.bpb.at(cluster)?, size))).collect())
    }

    /// The bytes of a directory.
    pub(super) fn dir_bytes(&self, dir: u32, read_at: ReadAt<'_>) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        for (at, len) in self.pieces(dir)? {
            let from = bytes.len();
            bytes.resize(from + len, 0);
            // Whole sectors only: a root directory of a fixed size may end within one.
            read_at(at, &mut bytes[from..])?;
        }
        Ok(bytes)
    }

    /// Takes a directory apart.
    pub(super) fn parse(&self, bytes: &[u8]) -> Dir {
        Dir::parse(bytes, self.bpb.kind == Kind::Fat32)
    }

    /// The first cluster of a directory, 0 for the root; `None` when there is none.
    pub(super) fn find_dir(&self, path: &str, read_at: ReadAt<'_>) -> Result<Option<u32>, ReadError> {
        let mut at = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let dir = self.parse(&self.dir_bytes(at, read_at)?);
            match dir.slots.iter().find(|s| s.is_dir && s.name.eq_ignore_ascii_case(name)) {
                Some(slot) => at = slot.first,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The content of a file.
    pub(super) fn content(&self, first: u32, len: u32, read_at: ReadAt<'_>) -> Result<Vec<u8>, ReadError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len == 0 {
            return Ok(Vec::new());
        }
        let size = usize::try_from(self.bpb.cluster_size).unwrap_or(usize::MAX);
        let chain = self.table.chain(&self.bpb, first, len.div_ceil(size))?;
        if chain.len() * size < len {
            return Err(ReadError::Chain(first));
        }
        let mut bytes = vec![0; chain.len() * size];
        // A run in one piece: clusters of an ESP are small, and an image is large.
        let mut rest = bytes.as_mut_slice();
        for run in chain.chunk_by(|a, b| a + 1 == *b) {
            let (piece, after) = rest.split_at_mut(run.len() * size);
            let at = run.first().and_then(|cluster| self.bpb.at(*cluster)).ok_or(ReadError::Chain(first))?;
            read_at(at, piece)?;
            rest = after;
        }
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// A filesystem that is open for reading.
pub struct Volume<'a> {
    read_at: ReadAt<'a>,
    layout: Layout,
}

impl std::fmt::Debug for Volume<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume").field("bpb", &self.layout.bpb).finish_non_exhaustive()
    }
}

impl<'a> Volume<'a> {
    /// Opens a filesystem of at most `size` bytes. `read_at` fills a buffer from an
    /// offset; it is asked for multiples of 32 bytes within the `size` bytes only.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn open(size: u64, read_at: ReadAt<'a>) -> Result<Self, ReadError> {
        let layout = Layout::open(size, read_at)?;
        Ok(Self { read_at, layout })
    }

    /// The entries of a directory, `/` between the names of its path; `None` when
    /// there is none. Case does not matter.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn dir(&mut self, path: &str) -> Result<Option<Vec<Entry>>, ReadError> {
        let Some(dir) = self.layout.find_dir(path, self.read_at)? else { return Ok(None) };
        let dir = self.layout.parse(&self.layout.dir_bytes(dir, self.read_at)?);
        Ok(Some(dir.slots.into_iter().map(Entry::from).collect()))
    }

    /// The content of a file. An empty one for a directory.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&mut self, file: &Entry) -> Result<Vec<u8>, ReadError> {
        if file.is_dir {
            return Ok(Vec::new());
        }
        self.layout.content(file.first, file.len, self.read_at)
    }
}

impl From<Slot> for Entry {
    fn from(slot: Slot) -> Self {
        Self { name: slot.name, is_dir: slot.is_dir, len: slot.len, first: slot.first }
    }
}
