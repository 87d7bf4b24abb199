//! Makes a hash tree.

use std::io::{self, Read, Write};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{BLOCK, Hash, Superblock};

/// Bytes of a block, in memory.
const SIZE: usize = 4096;
/// Hashes in a block.
const FAN_OUT: usize = SIZE / 32;
/// Blocks read and hashed at one time.
const BATCH: usize = 2048;

/// A hash tree. Its size is 1/127 of the data's.
#[derive(Clone, Debug)]
pub struct Built {
    /// Describes the tree; not part of it until it is written.
    pub superblock: Superblock,
    /// The hash everything is verified from.
    pub root: Hash,
    /// Hash blocks from the leaves up; each level a multiple of 4096 bytes.
    levels: Vec<Vec<u8>>,
}

/// Hashes data in the current rayon pool. `data` is read to its end; when it
/// ends within a block, it is hashed as if zeros filled the block.
///
/// # Errors
/// When reading fails, and `InvalidData` when there is no data at all.
pub fn build(mut data: impl Read, salt: [u8; 32], uuid: [u8; 16]) -> io::Result<Built> {
    let mut leaves: Vec<u8> = Vec::new();
    let mut data_blocks = 0;
    let mut buf = Vec::with_capacity(BATCH * SIZE);
    loop {
        buf.clear();
        data.by_ref().take((BATCH * SIZE) as u64).read_to_end(&mut buf)?;
        let end = buf.len() < BATCH * SIZE;
        buf.resize(buf.len().next_multiple_of(SIZE), 0);
        data_blocks += buf.len() as u64 / BLOCK;
        hash_blocks(&buf, &salt, &mut leaves);
        if end {
            break;
        }
    }
    if data_blocks == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "there is no data to make a verity tree for"));
    }
    let mut levels = Vec::new();
    let mut hashes = leaves;
    // The hashes of one level, in blocks, are the data of the next.
    while hashes.len() > 32 {
        hashes.resize(hashes.len().next_multiple_of(SIZE), 0);
        let mut above = Vec::with_capacity(hashes.len() / FAN_OUT);
        hash_blocks(&hashes, &salt, &mut above);
        levels.push(std::mem::replace(&mut hashes, above));
    }
    let root = hashes.try_into().expect("one hash is left");
    Ok(Built { superblock: Superblock { uuid, data_blocks, salt }, root, levels })
}

fn hash_blocks(blocks: &[u8], salt: &[u8; 32], out: &mut Vec<u8>) {
    let (blocks, _) = blocks.as_chunks::<SIZE>();
    let hash = |block| -> Hash { Sha256::new_with_prefix(salt).chain_update(block).finalize().into() };
    let hashes: Vec<Hash> = blocks.par_iter().with_min_len(64).map(|block| hash(&block[..])).collect();
    out.extend_from_slice(hashes.as_flattened());
}

impl Built {
    /// Bytes of the tree without a superblock.
    pub fn tree_bytes(&self) -> u64 {
        self.levels.iter().map(|level| level.len() as u64).sum()
    }

    /// Writes the tree alone, root first. Its device-mapper table has a hash
    /// start of 0.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn write_tree(&self, out: &mut impl Write) -> io::Result<()> {
        self.levels.iter().rev().try_for_each(|level| out.write_all(level))
    }

    /// Writes a block with the superblock, then the tree, as `veritysetup`
    /// does. Its device-mapper table has a hash start of 1.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut first = [0; SIZE];
        first[..512].copy_from_slice(&self.superblock.encode());
        out.write_all(&first)?;
        self.write_tree(out)
    }
}
