//! Extent trees: which blocks hold the bytes of an inode.

use super::BLOCK;
use super::alloc::{Allocator, Run};
use super::inode::Seed;
use super::write::Block;

const MAGIC: u16 = 0xf30a;
const ENTRY: usize = 12;
/// Entries that fit into the 60 bytes of an inode behind the header.
const IN_INODE: usize = 4;
/// Entries that fit into a block between header and checksum.
const IN_BLOCK: usize = (BLOCK - ENTRY - 4) / ENTRY;

/// The tree of one inode.
pub(super) struct ExtentTree {
    /// What goes into the inode.
    pub(super) root: [u8; 60],
    /// Blocks of the tree outside the inode.
    pub(super) nodes: Vec<Block>,
}

/// An entry of a leaf or of an index, and the first logical block it covers.
type Entry = (u32, [u8; ENTRY]);

/// Builds the tree for consecutive runs of blocks, taking blocks for its own nodes.
pub(super) fn tree(runs: &[Run], alloc: &mut Allocator<'_>, seed: Seed) -> ExtentTree {
    let mut entries: Vec<Entry> = Vec::with_capacity(runs.len());
    let mut logical: u64 = 0;
    for run in runs {
        let at = u32::try_from(logical).expect("a file was checked to have less than 2³² blocks");
        entries.push((at, leaf_entry(at, *run)));
        logical += u64::from(run.len);
    }
    let mut nodes = Vec::new();
    let mut depth: u16 = 0;
    while entries.len() > IN_INODE {
        let mut above = Vec::new();
        for chunk in entries.chunks(IN_BLOCK) {
            let block = alloc.take_one();
            let mut bytes = node(chunk, IN_BLOCK, depth, BLOCK);
            let crc = seed.crc(&bytes[..BLOCK - 4]);
            bytes[BLOCK - 4..].copy_from_slice(&crc.to_le_bytes());
            nodes.push(Block { block, bytes });
            above.push((chunk[0].0, index_entry(chunk[0].0, block)));
        }
        entries = above;
        depth += 1;
    }
    let mut root = [0; 60];
    root.copy_from_slice(&node(&entries, IN_INODE, depth, 60));
    ExtentTree { root, nodes }
}

fn node(entries: &[Entry], max: usize, depth: u16, len: usize) -> Vec<u8> {
    let count = |n: usize| u16::try_from(n).expect("at most 340 entries in a node").to_le_bytes();
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(count(entries.len()));
    bytes.extend(count(max));
    bytes.extend(depth.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(entries.iter().flat_map(|(_, entry)| entry));
    bytes.resize(len, 0);
    bytes
}

/// Logical block, length, high 16 and low 32 bits of the physical block.
fn leaf_entry(logical: u32, run: Run) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&logical.to_le_bytes());
    entry[4..6].copy_from_slice(&run.len.to_le_bytes());
    entry[6..8].copy_from_slice(&run.start.to_le_bytes()[4..6]);
    entry[8..].copy_from_slice(&run.start.to_le_bytes()[..4]);
    entry
}

/// Logical block, low 32 and high 16 bits of the block of the node below.
fn index_entry(logical: u32, block: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&logical.to_le_bytes());
    entry[4..10].copy_from_slice(&block.to_le_bytes()[..6]);
    entry
}
