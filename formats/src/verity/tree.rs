//! Reads a hash tree: verified once from the root hash, then asked about blocks.

use std::io;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::{BLOCK, Hash, Superblock, SuperblockError};

/// Bytes of a block, in memory.
const SIZE: usize = 4096;
/// Blocks read at one time.
const AT_ONCE: usize = 64;
/// Hashes in a block.
const FAN_OUT: u64 = BLOCK / 32;

/// Why a hash device does not lead to a root hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The superblock cannot be used.
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
    /// The bytes end before the tree does.
    #[error("the verity tree has {found} of its {expected} bytes")]
    Short {
        /// Bytes that are there, the superblock's block included.
        found: usize,
        /// Bytes that the superblock asks for.
        expected: u64,
    },
    /// A block is not what the block above it, or the root hash, says.
    #[error("block {0} of the verity tree does not lead to the root hash")]
    Block(
        /// Number of the block from the start of the device; block 0 is the superblock's.
        u64,
    ),
}

/// A tree that leads to its root hash, with its superblock before it.
#[derive(Clone, Debug)]
pub struct Tree {
    superblock: Superblock,
    /// The hash device up to the end of the tree.
    bytes: Vec<u8>,
    /// The hashes of the data blocks; empty when there is one block, whose hash is the root.
    leaves: Range<usize>,
    root: Hash,
}

/// Length in bytes of the hash device of so many data blocks: the superblock's
/// block and the tree. `None` past what can be counted.
pub fn device_bytes(data_blocks: u64) -> Option<u64> {
    levels(data_blocks).iter().try_fold(BLOCK, |sum, blocks| sum.checked_add(blocks.checked_mul(BLOCK)?))
}

/// Blocks in each level, the leaves first.
fn levels(data_blocks: u64) -> Vec<u64> {
    let mut hashes = data_blocks;
    let mut levels = Vec::new();
    while hashes > 1 {
        hashes = hashes.div_ceil(FAN_OUT);
        levels.push(hashes);
    }
    levels
}

fn hash(salt: &[u8; 32], block: &[u8]) -> Hash {
    Sha256::new_with_prefix(salt).chain_update(block).finalize().into()
}

impl Tree {
    /// Verifies a whole tree from the root down. `bytes` is the hash device from
    /// its start, superblock first; what comes behind the tree is not looked at.
    /// The superblock is not trusted: whatever it says has to lead to `root`.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn verify(mut bytes: Vec<u8>, root: &Hash) -> Result<Self, TreeError> {
        let superblock = Superblock::parse(&bytes)?;
        let device = device_bytes(superblock.data_blocks).unwrap_or(u64::MAX);
        let short = TreeError::Short { found: bytes.len(), expected: device };
        let end = usize::try_from(device).ok().filter(|end| *end <= bytes.len()).ok_or(short)?;
        bytes.truncate(end);

        // The levels lie root first.
        let mut at = SIZE;
        let mut above: Option<Range<usize>> = None;
        for blocks in levels(superblock.data_blocks).into_iter().rev() {
            // Within `bytes`, whose length is the sum of all levels.
            let len = usize::try_from(blocks).unwrap_or_default() * SIZE;
            let level = at..at + len;
            for (i, block) in bytes[level.clone()].chunks_exact(SIZE).enumerate() {
                let expected = above.as_ref().map_or(&root[..], |above| &bytes[above.start + i * 32..][..32]);
                if hash(&superblock.salt, block) != *expected {
                    return Err(TreeError::Block((at / SIZE + i) as u64));
                }
            }
            at += len;
            above = Some(level);
        }
        Ok(Self { superblock, bytes, leaves: above.unwrap_or(0..0), root: *root })
    }

    /// What the hash device says about itself.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The hash device as it was verified, superblock first.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of data blocks.
    pub fn blocks(&self) -> u64 {
        self.superblock.data_blocks
    }

    /// Whether these are the bytes of data block `number`, from 0. No block past
    /// the end is.
    pub fn check_block(&self, number: u64, block: &[u8; SIZE]) -> bool {
        if number >= self.superblock.data_blocks {
            return false;
        }
        let leaf = if self.leaves.is_empty() {
            Some(&self.root[..])
        } else {
            let at =
                usize::try_from(number).ok().and_then(|n| self.leaves.start.checked_add(n.checked_mul(32)?));
            at.and_then(|at| self.bytes.get(at..at + 32))
        };
        leaf.is_some_and(|leaf| hash(&self.superblock.salt, block) == *leaf)
    }

    /// How many data blocks from the start are right. `read` fills a buffer from a
    /// position in bytes; reads until a block is not right, or does not read.
    pub fn good_blocks(&self, read: &dyn Fn(u64, &mut [u8]) -> io::Result<()>) -> u64 {
        let mut buffer = vec![0; AT_ONCE * SIZE];
        let mut next = 0;
        while next < self.blocks() {
            let left = usize::try_from(self.blocks() - next).unwrap_or(usize::MAX).min(AT_ONCE);
            let part = &mut buffer[..left * SIZE];
            // What does not read is not right. A disk that is damaged in one place reads up to it.
            let whole = read(next * BLOCK, part).is_ok();
            let (blocks, _) = part.as_chunks_mut::<SIZE>();
            let right = |n: u64, block: &mut [u8; SIZE]| {
                (whole || read(n * BLOCK, block).is_ok()) && self.check_block(n, block)
            };
            let good =
                (next..).zip(&mut *blocks).map(|(n, block)| right(n, block)).take_while(|good| *good).count();
            next += good as u64;
            if good < left {
                break;
            }
        }
        next
    }
}

#[cfg(test)]
#[cfg(feature = "write")]
mod tests {
    use super::*;
    use crate::verity::build;

    /// Data of so many blocks, each with its number in it, and its device.
    fn device(blocks: u16) -> (Vec<[u8; SIZE]>, Vec<u8>, Hash) {
        let data: Vec<[u8; SIZE]> = (0..blocks)
            .map(|n| {
                let mut block = [7; SIZE];
                block[..2].copy_from_slice(&n.to_le_bytes());
                block
            })
            .collect();
        let built = build(data.as_flattened(), [9; 32], [1; 16]).unwrap();
        let mut bytes = Vec::new();
        built.write(&mut bytes).unwrap();
        (data, bytes, built.root)
    }

    #[test]
    fn every_block_is_known_and_no_other() {
        // One block, one level, two levels.
        for blocks in [1, 2, 128, 129, 300] {
            let (data, bytes, root) = device(blocks);
            assert_eq!(device_bytes(blocks.into()), Some(bytes.len() as u64), "{blocks}");
            let tree = Tree::verify(bytes.clone(), &root).unwrap();
            assert_eq!((tree.blocks(), tree.bytes()), (blocks.into(), &bytes[..]));
            for (n, block) in (0..).zip(&data) {
                assert!(tree.check_block(n, block), "{n} of {blocks}");
                let mut flipped = *block;
                flipped[4095] ^= 1;
                assert!(!tree.check_block(n, &flipped));
            }
            assert!(!tree.check_block(blocks.into(), &data[0]));
            assert!(blocks == 1 || !tree.check_block(1, &data[0]));
            assert!(!tree.check_block(u64::MAX, &data[0]));
        }
    }

    #[test]
    fn blocks_count_as_far_as_they_read_and_are_right() {
        for blocks in [1, 63, 64, 65, 300] {
            let (data, bytes, root) = device(blocks);
            let tree = Tree::verify(bytes, &root).unwrap();
            let data = data.as_flattened();
            // From this byte on the disk has an error, or a bit that is wrong.
            let good = |ends: usize, flips: usize| {
                tree.good_blocks(&|at, buffer| {
                    let at = usize::try_from(at).unwrap();
                    if at + buffer.len() > ends {
                        return Err(io::Error::other("bad sector"));
                    }
                    buffer.copy_from_slice(&data[at..at + buffer.len()]);
                    if (at..at + buffer.len()).contains(&flips) {
                        buffer[flips - at] ^= 1;
                    }
                    Ok(())
                })
            };
            let whole = data.len();
            assert_eq!(good(whole, usize::MAX), blocks.into());
            for at in [0, whole / 2, whole - 1] {
                assert_eq!(good(at, usize::MAX), (at / SIZE) as u64);
                assert_eq!(good(whole, at), (at / SIZE) as u64);
            }
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_tree_is_found() {
        let (_, bytes, root) = device(300);
        for block in 1..bytes.len() / SIZE {
            let mut bad = bytes.clone();
            bad[block * SIZE + 77] ^= 0x10;
            // A block of leaves does not match the root block, the root block not the root hash.
            assert_eq!(Tree::verify(bad, &root).unwrap_err(), TreeError::Block(block as u64));
        }
        let mut salt = bytes.clone();
        salt[100] ^= 1;
        assert_eq!(Tree::verify(salt, &root).unwrap_err(), TreeError::Block(1));
        let mut other = root;
        other[31] ^= 1;
        assert_eq!(Tree::verify(bytes.clone(), &other).unwrap_err(), TreeError::Block(1));
        let (_, one, _) = device(1);
        assert!(!Tree::verify(one, &other).unwrap().check_block(0, &[7; SIZE]));
    }

    #[test]
    fn too_few_bytes_and_impossible_sizes_are_refused() {
        let (_, bytes, root) = device(300);
        let expected = bytes.len() as u64;
        let short = |found| TreeError::Short { found, expected };
        for found in [512, SIZE, bytes.len() - 1] {
            assert_eq!(Tree::verify(bytes[..found].to_vec(), &root).unwrap_err(), short(found));
        }
        let mut huge = bytes.clone();
        huge[72..80].copy_from_slice(&(i64::MAX.unsigned_abs() / 4096).to_le_bytes());
        assert!(matches!(Tree::verify(huge, &root), Err(TreeError::Short { .. })));
        let mut longer = bytes.clone();
        longer.extend([1; 9]);
        assert_eq!(Tree::verify(longer, &root).unwrap().bytes().len(), bytes.len());
    }
}
