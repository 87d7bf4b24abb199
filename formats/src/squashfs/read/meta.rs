//! Metadata blocks, unpacked as they are needed, and a cursor over a table.

use std::sync::Arc;

use super::{Image, ReadError};
use crate::squashfs::meta::{BLOCK, UNCOMPRESSED};

/// Where a table is: its name for messages, its first byte and the one after its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// An unpacked metadata block and where the next one starts.
pub(super) type Block = (Arc<Vec<u8>>, u64);

impl Image {
    /// The metadata block that starts at byte `at` of the image.
    fn meta_block(&self, table: Table, at: u64) -> Result<Block, ReadError> {
        let damaged = |why| ReadError::Damaged { structure: table.name, offset: at, why };
        if at < table.start || at.checked_add(2).is_none_or(|end| end > table.end) {
            return Err(damaged("it leads out of its table"));
        }
        if let Some(block) = self.cache.get(at) {
            return Ok(block);
        }
        let mut header = [0; 2];
        self.bytes(table.name, at, &mut header)?;
        let header = u16::from_le_bytes(header);
        let stored = usize::from(header & !UNCOMPRESSED);
        let end = at + 2 + stored as u64;
        if stored == 0 || stored > BLOCK || end > table.end {
            return Err(damaged("the size of a metadata block is impossible"));
        }
        let mut raw = vec![0; stored];
        self.bytes(table.name, at + 2, &mut raw)?;
        let block = match header & UNCOMPRESSED {
            0 => zstd::bulk::decompress(&raw, BLOCK)
                .map_err(|_| damaged("a metadata block does not unpack"))?,
            _ => raw,
        };
        let block = (Arc::new(block), end);
        self.cache.put(at, block.clone());
        Ok(block)
    }
}

/// Reads a table from some place on.
pub(super) struct Cursor<'i> {
    image: &'i Image,
    table: Table,
    /// Where the current block starts: what errors name.
    at: u64,
    next: u64,
    block: Arc<Vec<u8>>,
    offset: usize,
}

impl<'i> Cursor<'i> {
    /// A cursor at a reference: the start of a metadata block within the table in
    /// the upper bits, the offset in the unpacked block in the lower 16.
    pub(super) fn at(image: &'i Image, table: Table, reference: u64) -> Result<Self, ReadError> {
        let at = table.start.saturating_add(reference >> 16);
        let offset = usize::try_from(reference & 0xffff).unwrap_or(usize::MAX);
        let (block, next) = image.meta_block(table, at)?;
        let cursor = Self { image, table, at, next, block, offset };
        if offset > cursor.block.len() {
            return Err(cursor.damaged("an offset leads out of its metadata block"));
        }
        Ok(cursor)
    }

    /// An error in what is being read.
    pub(super) fn damaged(&self, why: &'static str) -> ReadError {
        ReadError::Damaged { structure: self.table.name, offset: self.at, why }
    }

    pub(super) fn fill(&mut self, mut buf: &mut [u8]) -> Result<(), ReadError> {
        while !buf.is_empty() {
            if self.offset == self.block.len() {
                // Only the last block of a table is shorter than the others.
                if self.block.len() != BLOCK {
                    return Err(self.damaged("it ends too soon"));
                }
                let (block, next) = self.image.meta_block(self.table, self.next)?;
                (self.at, self.next, self.block, self.offset) = (self.next, next, block, 0);
            }
            let there = self.block.get(self.offset..).unwrap_or_default();
            let n = there.len().min(buf.len());
            if n == 0 {
                return Err(self.damaged("it ends too soon"));
            }
            let (now, later) = buf.split_at_mut(n);
            now.copy_from_slice(&there[..n]);
            self.offset += n;
            buf = later;
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ReadError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, ReadError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, ReadError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn vec(&mut self, len: usize) -> Result<Vec<u8>, ReadError> {
        let mut out = vec![0; len];
        self.fill(&mut out)?;
        Ok(out)
    }
}

/// A table that is found through a list of its metadata blocks' addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) name: &'static str,
    /// Where the list is.
    pub(super) list: u64,
    /// Entries of the table.
    pub(super) count: u64,
    /// Bytes of one entry, a divisor of 8192.
    pub(super) entry: u64,
    /// Where metadata may start: behind the data.
    pub(super) from: u64,
}

impl Listed {
    /// A cursor at an entry.
    pub(super) fn at<'i>(&self, image: &'i Image, index: u64) -> Result<Cursor<'i>, ReadError> {
        let damaged = |why| ReadError::Damaged { structure: self.name, offset: self.list, why };
        if index >= self.count {
            return Err(damaged("a number is larger than the table"));
        }
        let byte = index * self.entry;
        let mut address = [0; 8];
        let slot = self.list + byte / BLOCK as u64 * 8;
        image.bytes(self.name, slot, &mut address)?;
        let address = u64::from_le_bytes(address);
        let table = Table { name: self.name, start: self.from, end: self.list };
        if address < table.start || address >= table.end {
            return Err(damaged("a metadata block of it lies outside of its place"));
        }
        // Relative to the table, as references are; it fits: the image has less than 2^48 bytes.
        Cursor::at(image, table, ((address - table.start) << 16) | (byte % BLOCK as u64))
    }
}
