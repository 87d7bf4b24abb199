//! Metadata blocks: 8 KiB pieces of a table, each compressed on its own.

use super::Error;
use super::compress::Worker;

/// Bytes of a metadata block before compression (`SQUASHFS_METADATA_SIZE`).
pub(super) const BLOCK: usize = 8192;

/// Set in the header of a metadata block that is not compressed.
pub(super) const UNCOMPRESSED: u16 = 1 << 15;

/// zstd level of metadata. Blocks are too small to gain from a higher one, and
/// they are compressed anew for every image, on one thread.
const LEVEL: i32 = 9;

/// Where something is within a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Start of its metadata block, in bytes from the start of the table.
    pub(super) block: u32,
    /// Offset in that block before compression: 0..8192.
    pub(super) offset: u16,
}

impl Position {
    /// The form inode references and xattr references have on disk.
    pub(super) fn reference(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// Collects a table and cuts it into metadata blocks.
pub(super) struct Writer {
    worker: Worker,
    out: Vec<u8>,
    starts: Vec<u32>,
}

impl Writer {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self { worker: Worker::new(LEVEL).map_err(Error::Compress)?, out: Vec::new(), starts: Vec::new() })
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> Result<Position, Error> {
        let limit = Error::TooMany { what: "bytes of metadata", limit: u32::MAX.into() };
        let block = u32::try_from(self.out.len()).map_err(|_| limit)?;
        Ok(Position { block, offset: u16::try_from(self.worker.raw.len()).expect("below 8192") })
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.worker.raw.len()));
            self.worker.raw.extend_from_slice(now);
            if self.worker.raw.len() == BLOCK {
                self.flush()?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.starts.push(self.position()?.block);
        let raw = u16::try_from(self.worker.raw.len()).expect("at most 8192");
        match self.worker.shorter()? {
            Some(packed) => {
                let size = u16::try_from(packed.len()).expect("shorter than 8192");
                self.out.extend(size.to_le_bytes());
                self.out.extend_from_slice(packed);
            }
            None => {
                self.out.extend((raw | UNCOMPRESSED).to_le_bytes());
                self.out.extend_from_slice(&self.worker.raw);
            }
        }
        self.worker.raw.clear();
        Ok(())
    }

    /// The table, and where its metadata blocks start.
    pub(super) fn finish(mut self) -> Result<(Vec<u8>, Vec<u32>), Error> {
        if !self.worker.raw.is_empty() {
            self.flush()?;
        }
        Ok((self.out, self.starts))
    }
}

/// Appends a table that is found through a list of its blocks' absolute
/// positions: the blocks, then the list. `image` holds what starts at `base`
/// in the file. Returns the position of the list, which is the table's address.
pub(super) fn append_table(image: &mut Vec<u8>, base: u64, entries: &[u8]) -> Result<u64, Error> {
    let mut table = Writer::new()?;
    table.write(entries)?;
    let (blocks, starts) = table.finish()?;
    let first = base + image.len() as u64;
    image.extend_from_slice(&blocks);
    let list = base + image.len() as u64;
    image.extend(starts.iter().flat_map(|start| (first + u64::from(*start)).to_le_bytes()));
    Ok(list)
}
