//! Group descriptors and the bitmaps they describe.

use super::inode::Seed;
use super::layout::{BLOCKS_PER_GROUP, DESC_SIZE, Layout};
use super::plan::Plan;
use super::write::Block;
use super::{BLOCK, BLOCK_SIZE};

const INODE_UNINIT: u16 = 1;
const BLOCK_UNINIT: u16 = 2;

/// One group: its descriptor, and its bitmaps where they are not implied.
pub(super) struct Group {
    pub(super) descriptor: [u8; DESC_SIZE],
    pub(super) bitmaps: Vec<Block>,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u32,
}

impl Group {
    /// Describes a group of the plan.
    pub(super) fn new(plan: &Plan<'_>, group: u32, seed: Seed) -> Self {
        let layout = &plan.layout;
        let mut flags = 0;
        let mut bitmaps = Vec::new();

        let used = used_blocks(layout, group, plan.cursor);
        let len = layout.group_len(group);
        // The kernel makes up the bitmap of a group with nothing but superblock copies in it.
        let implied =
            used == layout.super_len(group) && group + 1 < layout.groups && group != layout.flex_first(group);
        let mut block_crc = 0;
        if implied {
            flags |= BLOCK_UNINIT;
        } else {
            let bytes = bitmap(used, len);
            block_crc = seed.crc(&bytes);
            bitmaps.push(Block { block: layout.block_bitmap(group), bytes });
        }

        let per_group = u64::from(layout.inodes_per_group);
        let first = u64::from(group) * per_group;
        let used_inodes = u64::from(plan.last_inode).saturating_sub(first).min(per_group);
        let mut inode_crc = 0;
        if used_inodes == 0 {
            flags |= INODE_UNINIT;
        } else {
            let bytes = bitmap(used_inodes, per_group);
            let covered = usize::try_from(per_group / 8).expect("at most a block");
            inode_crc = seed.crc(&bytes[..covered]);
            bitmaps.push(Block { block: layout.inode_bitmap(group), bytes });
        }

        let free_blocks = len - used;
        let free_inodes = per_group - used_inodes;
        let mut raw = [0; DESC_SIZE];
        // Fields in two parts: where the low bytes go and how many they are, where the high ones go.
        let mut put = |low: usize, bytes: usize, high: usize, value: u64| {
            let le = value.to_le_bytes();
            raw[low..low + bytes].copy_from_slice(&le[..bytes]);
            raw[high..high + bytes].copy_from_slice(&le[bytes..2 * bytes]);
        };
        put(0x00, 4, 0x20, layout.block_bitmap(group));
        put(0x04, 4, 0x24, layout.inode_bitmap(group));
        put(0x08, 4, 0x28, layout.inode_table(group));
        put(0x0c, 2, 0x2c, free_blocks);
        put(0x0e, 2, 0x2e, free_inodes);
        put(0x10, 2, 0x30, plan.dirs.get(&group).copied().unwrap_or(0).into());
        put(0x18, 2, 0x38, block_crc.into());
        put(0x1a, 2, 0x3a, inode_crc.into());
        put(0x1c, 2, 0x32, free_inodes); // at the end of the table, never used
        raw[0x12..0x14].copy_from_slice(&flags.to_le_bytes());
        let covered = [group.to_le_bytes().as_slice(), &raw].concat();
        raw[0x1e..0x20].copy_from_slice(&seed.crc(&covered).to_le_bytes()[..2]);

        let free_inodes = u32::try_from(free_inodes).expect("at most 32768");
        Self { descriptor: raw, bitmaps, free_blocks, free_inodes }
    }
}

/// Blocks in use at the start of a group; nothing behind them is.
fn used_blocks(layout: &Layout, group: u32, cursor: u64) -> u64 {
    let below = cursor.saturating_sub(layout.group_start(group.into())).min(layout.group_len(group));
    below.max(layout.overhead(group))
}

/// A bitmap of `len` bits of which the first `used` are set. The bits past `len` are set, too.
fn bitmap(used: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    let mut set = |from: u64, to: u64| {
        for bit in from..to {
            let byte = usize::try_from(bit / 8).expect("a bit of a block");
            bytes[byte] |= 1 << (bit % 8);
        }
    };
    set(0, used);
    set(len, 8 * BLOCK_SIZE);
    bytes
}

const _: () = assert!(BLOCKS_PER_GROUP == 8 * BLOCK_SIZE);
