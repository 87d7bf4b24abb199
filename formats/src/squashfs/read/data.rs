//! The content of files.

use std::io;
use std::sync::Arc;

use super::inode::File;
use super::{Image, ReadError};
use crate::squashfs::cache::UNCOMPRESSED;
use crate::tree::ReadAt;

/// A file's content, read from its image when it is asked for.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) image: Arc<Image>,
    pub(super) file: File,
}

impl Image {
    /// The bytes of a block of `stored` size (with its flag) at `at`, at most `most` of them.
    fn data_block(
        &self,
        structure: &'static str,
        at: u64,
        stored: u32,
        most: usize,
    ) -> Result<Vec<u8>, ReadError> {
        let damaged = |why| ReadError::Damaged { structure, offset: at, why };
        let len = u64::from(stored & (UNCOMPRESSED - 1));
        let limit = u64::from(self.superblock.block_size);
        // Data comes before all tables.
        if len == 0 || len > limit || stored >= UNCOMPRESSED << 1 {
            return Err(damaged("its stored size is impossible"));
        }
        if at < super::superblock::SIZE as u64
            || at.checked_add(len).is_none_or(|end| end > self.superblock.inode_table)
        {
            return Err(damaged("it lies outside of the data"));
        }
        let mut raw = vec![0; usize::try_from(len).map_err(|_| damaged("its stored size is impossible"))?];
        self.bytes(structure, at, &mut raw)?;
        if stored & UNCOMPRESSED != 0 {
            return Ok(raw);
        }
        zstd::bulk::decompress(&raw, most).map_err(|_| damaged("it does not unpack"))
    }

    /// A fragment's entry: where it starts and its stored size.
    pub(super) fn fragment_entry(&self, number: u32) -> Result<(u64, u32), ReadError> {
        let mut entry = self.fragments()?.at(self, number.into())?;
        Ok((entry.u64()?, entry.u32()?))
    }

    fn fragment(&self, number: u32) -> Result<Arc<Vec<u8>>, ReadError> {
        let (at, stored) = self.fragment_entry(number)?;
        if let Some(block) = self.cache.fragment(at) {
            return Ok(block);
        }
        let most = usize::try_from(self.superblock.block_size).unwrap_or(usize::MAX);
        let block = Arc::new(self.data_block("a fragment", at, stored, most)?);
        self.cache.put_fragment(at, Arc::clone(&block));
        Ok(block)
    }
}

impl Reader {
    fn fill(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let size = u64::from(self.image.superblock.block_size);
        let (mut done, mut at) = (0, offset);
        let mut start = self.file.start;
        let first = offset / size;
        for (number, stored) in (0_u64..).zip(&self.file.blocks) {
            if done == buf.len() {
                return Ok(());
            }
            if number >= first {
                let len = (self.file.size - number * size).min(size);
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let skip = usize::try_from(at - number * size).unwrap_or(usize::MAX);
                let n = (len - skip.min(len)).min(buf.len() - done);
                let to = &mut buf[done..done + n];
                if *stored == 0 {
                    to.fill(0);
                } else {
                    let block = self.image.data_block("a data block", start, *stored, len)?;
                    let damaged = ReadError::Damaged {
                        structure: "a data block",
                        offset: start,
                        why: "it unpacks to another size than it must have",
                    };
                    let from = Some(&block).filter(|b| b.len() == len).and_then(|b| b.get(skip..skip + n));
                    to.copy_from_slice(from.ok_or(damaged)?);
                }
                (done, at) = (done + n, at + n as u64);
            }
            start = start.saturating_add(u64::from(*stored & (UNCOMPRESSED - 1)));
        }
        if done == buf.len() {
            return Ok(());
        }
        let whole = self.file.blocks.len() as u64 * size;
        let within = self.file.tail.map(|(fragment, from)| (fragment, u64::from(from) + (at - whole)));
        let Some((number, from)) = within else {
            return Err(ReadError::Damaged {
                structure: "a file",
                offset: start,
                why: "it has too few blocks",
            });
        };
        let block = self.image.fragment(number)?;
        let range = usize::try_from(from).ok().map(|from| from..from.saturating_add(buf.len() - done));
        let bytes = range.and_then(|range| block.get(range)).ok_or_else(|| ReadError::Damaged {
            structure: "a fragment",
            offset: self.image.fragment_entry(number).map_or(0, |(at, _)| at),
            why: "a file leads out of it",
        })?;
        buf[done..].copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Reader {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let within = offset.checked_add(buf.len() as u64).is_some_and(|end| end <= self.file.size);
        if !within {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.fill(buf, offset)?)
    }
}
