//! Where everything but file data lies.
//!
//! Every group of 32 768 blocks begins with the blocks that are not free for
//! data: a copy of the superblock and the descriptors in the groups that have
//! one, then, in the first group of every flexible group, the bitmaps and inode
//! tables of all its members. Nothing else is ever set aside, so "what is in
//! use" is a prefix of each group and everything below the allocator's cursor.

use super::{BLOCK, BLOCK_SIZE, Error, MAX_SIZE, MIN_SIZE, Options};

/// Blocks in a group: as many as a bitmap of one block has bits.
pub(super) const BLOCKS_PER_GROUP: u64 = 8 * BLOCK_SIZE;
/// Bytes in an inode.
pub(super) const INODE_SIZE: usize = 256;
/// Bytes in a group descriptor.
pub(super) const DESC_SIZE: usize = 64;
/// The first inode that is not reserved.
pub(super) const FIRST_INODE: u32 = 11;

const DESCS_PER_BLOCK: u64 = (BLOCK / DESC_SIZE) as u64;
const INODES_PER_BLOCK: u64 = (BLOCK / INODE_SIZE) as u64;
/// The resize inode has one indirect block to point to reserved descriptor blocks.
const MAX_RESERVED_GDT: u64 = BLOCK_SIZE / 4;
/// A last group with less room for data than this is left out, as `mke2fs` does.
const MIN_DATA_IN_LAST_GROUP: u64 = 50;
const LOG_GROUPS_PER_FLEX: u32 = 4;

/// The geometry of a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Blocks in the filesystem.
    pub(super) blocks: u64,
    /// Block groups, at least one.
    pub(super) groups: u32,
    /// Inodes in each group, a multiple of 16 up to 32 768.
    pub(super) inodes_per_group: u32,
    /// Blocks of group descriptors in each copy.
    pub(super) gdt_blocks: u64,
    /// Blocks set aside behind them for growing, 0 to 1024.
    pub(super) reserved_gdt: u64,
    /// Binary logarithm of the number of groups in a flexible group.
    pub(super) log_flex: u32,
}

impl Layout {
    /// The layout for these options, with at least `inodes` inodes.
    pub(super) fn new(options: &Options, inodes: u64) -> Result<Self, Error> {
        if !options.size.is_multiple_of(BLOCK_SIZE) || !(MIN_SIZE..=MAX_SIZE).contains(&options.size) {
            return Err(Error::Option {
                option: "size",
                value: format!("{} bytes", options.size),
                must_be: "a multiple of 4096 from 8 MiB to 16 TiB",
            });
        }
        if options.bytes_per_inode < BLOCK_SIZE {
            return Err(Error::Option {
                option: "bytes_per_inode",
                value: options.bytes_per_inode.to_string(),
                must_be: "at least 4096",
            });
        }
        let mut blocks = options.size / BLOCK_SIZE;
        loop {
            let layout = Self::of_blocks(blocks, options, inodes)?;
            let last = layout.groups - 1;
            let room = layout.group_len(last).checked_sub(layout.overhead(last));
            if room.is_some_and(|room| room >= MIN_DATA_IN_LAST_GROUP) {
                return Ok(layout);
            }
            if last == 0 {
                let needed = layout.overhead(0) + MIN_DATA_IN_LAST_GROUP;
                let missing = (needed - layout.blocks) * BLOCK_SIZE;
                return Err(Error::TooSmall { size: options.size, missing });
            }
            blocks = u64::from(last) * BLOCKS_PER_GROUP;
        }
    }

    fn of_blocks(blocks: u64, options: &Options, inodes: u64) -> Result<Self, Error> {
        let groups = blocks.div_ceil(BLOCKS_PER_GROUP);
        let gdt_blocks = groups.div_ceil(DESCS_PER_BLOCK);
        let grown = options.grow_to.div_ceil(BLOCK_SIZE * BLOCKS_PER_GROUP);
        let reserved_gdt = grown.div_ceil(DESCS_PER_BLOCK).saturating_sub(gdt_blocks).min(MAX_RESERVED_GDT);

        // A filesystem of less than one group that will grow gets the inodes of a whole group.
        let group_bytes = options.size.max(options.grow_to).min(BLOCK_SIZE * BLOCKS_PER_GROUP);
        let most = (u64::from(u32::MAX) / groups).min(8 * BLOCK_SIZE) / INODES_PER_BLOCK * INODES_PER_BLOCK;
        let needed = inodes.div_ceil(groups).next_multiple_of(INODES_PER_BLOCK);
        if needed > most {
            return Err(Error::TooManyNodes { nodes: inodes, inodes: most * groups, size: options.size });
        }
        let by_ratio = (group_bytes / options.bytes_per_inode).next_multiple_of(INODES_PER_BLOCK);
        let inodes_per_group = by_ratio.min(most).max(needed);

        let narrow = |n: u64| u32::try_from(n).expect("16 TiB have 131072 groups of at most 32768 inodes");
        let mut layout = Self {
            blocks,
            groups: narrow(groups),
            inodes_per_group: narrow(inodes_per_group),
            gdt_blocks,
            reserved_gdt,
            log_flex: LOG_GROUPS_PER_FLEX,
        };
        // Half a group of data at least, so that a group cannot be all tables.
        while layout.log_flex > 0 && layout.tables(1 << layout.log_flex) > BLOCKS_PER_GROUP / 2 {
            layout.log_flex -= 1;
        }
        Ok(layout)
    }

    /// Inodes in the filesystem.
    pub(super) fn inodes(&self) -> u32 {
        self.groups * self.inodes_per_group
    }

    /// First block of a group. Defined for groups past the end, too.
    pub(super) fn group_start(&self, group: u64) -> u64 {
        group * BLOCKS_PER_GROUP
    }

    /// Blocks in a group of this filesystem.
    pub(super) fn group_len(&self, group: u32) -> u64 {
        (self.blocks - self.group_start(group.into())).min(BLOCKS_PER_GROUP)
    }

    /// Blocks in the inode table of one group.
    pub(super) fn inode_table_len(&self) -> u64 {
        u64::from(self.inodes_per_group) / INODES_PER_BLOCK
    }

    /// Bitmaps and inode tables of so many groups, in blocks.
    fn tables(&self, groups: u64) -> u64 {
        groups * (2 + self.inode_table_len())
    }

    /// Whether the group has a copy of the superblock and the descriptors
    /// (sparse_super): 0, 1 and the powers of 3, 5 and 7.
    pub(super) fn has_super(group: u32) -> bool {
        let power_of = |base: u32| {
            std::iter::successors(Some(base), |n| n.checked_mul(base))
                .take_while(|n| *n <= group)
                .any(|n| n == group)
        };
        group <= 1 || power_of(3) || power_of(5) || power_of(7)
    }

    /// Blocks that superblock, descriptors and reserved descriptors take in a group.
    pub(super) fn super_len(&self, group: u32) -> u64 {
        if Self::has_super(group) { 1 + self.gdt_blocks + self.reserved_gdt } else { 0 }
    }

    /// Blocks at the start of a group that are not for data.
    pub(super) fn overhead(&self, group: u32) -> u64 {
        let first = self.flex_first(group);
        let tables = if group == first { self.tables(self.flex_members(first)) } else { 0 };
        self.super_len(group) + tables
    }

    /// The first group of the flexible group that a group is in.
    pub(super) fn flex_first(&self, group: u32) -> u32 {
        group >> self.log_flex << self.log_flex
    }

    fn flex_members(&self, first: u32) -> u64 {
        u64::from((self.groups - first).min(1 << self.log_flex))
    }

    /// The block where the block bitmap of a group is.
    pub(super) fn block_bitmap(&self, group: u32) -> u64 {
        let first = self.flex_first(group);
        self.group_start(first.into()) + self.super_len(first) + u64::from(group - first)
    }

    /// The block where the inode bitmap of a group is.
    pub(super) fn inode_bitmap(&self, group: u32) -> u64 {
        self.block_bitmap(group) + self.flex_members(self.flex_first(group))
    }

    /// The first block of the inode table of a group.
    pub(super) fn inode_table(&self, group: u32) -> u64 {
        let first = self.flex_first(group);
        let tables = self.group_start(first.into()) + self.super_len(first) + 2 * self.flex_members(first);
        tables + u64::from(group - first) * self.inode_table_len()
    }

    /// The groups that have a copy of the superblock, the first one (0) left out.
    pub(super) fn backups(&self) -> impl Iterator<Item = u32> {
        (1..self.groups).filter(|group| Self::has_super(*group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: u64, grow_to: u64, inodes: u64) -> Result<Layout, Error> {
        Layout::new(&Options { grow_to, ..Options::new(size, [0; 16], [0; 16], 0) }, inodes)
    }

    #[test]
    fn tables_of_all_groups_lie_apart_and_inside() {
        for (size, grow_to, inodes) in [
            (8 << 20, 0, 20),
            (512 << 20, 6 << 40, 20),
            (40 << 30, 0, 20),
            (3 << 30, 0, 700_000),
            (16 << 40, 0, 0),
        ] {
            let l = layout(size, grow_to, inodes).unwrap();
            for first in (0..l.groups).step_by(1 << l.log_flex).take(40) {
                let members = (l.groups - first).min(1 << l.log_flex);
                let mut ranges: Vec<(u64, u64)> = (first..first + members)
                    .flat_map(|g| {
                        [
                            (l.block_bitmap(g), 1),
                            (l.inode_bitmap(g), 1),
                            (l.inode_table(g), l.inode_table_len()),
                        ]
                    })
                    .collect();
                ranges.sort_unstable();
                let start = l.group_start(first.into());
                let mut at = start + l.super_len(first);
                for (from, len) in ranges {
                    assert_eq!(from, at, "size {size}, flexible group at {first}");
                    at += len;
                }
                assert_eq!(at, start + l.overhead(first));
                assert!(l.overhead(first) < l.group_len(first));
            }
        }
    }

    #[test]
    fn copies_are_in_powers_of_3_5_and_7() {
        let with: Vec<u32> = (0..130).filter(|g| Layout::has_super(*g)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn a_tiny_last_group_is_left_out() {
        assert_eq!(layout((128 << 20) + 4096, 0, 0).unwrap().groups, 1);
        assert_eq!(layout(192 << 20, 0, 0).unwrap().groups, 2);
    }

    #[test]
    fn growing_sets_descriptors_aside() {
        assert_eq!(layout(512 << 20, 0, 0).unwrap().reserved_gdt, 0);
        assert_eq!(layout(512 << 20, 6 << 40, 0).unwrap().reserved_gdt, 767);
        assert_eq!(layout(512 << 20, 64 << 40, 0).unwrap().reserved_gdt, 1024);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for size in [0, 4096, (8 << 20) + 1, (16 << 40) + 4096, u64::MAX] {
            assert!(matches!(layout(size, 0, 0), Err(Error::Option { option: "size", .. })));
        }
        assert!(matches!(layout(8 << 20, 0, 40_000), Err(Error::TooManyNodes { inodes: 32_768, .. })));
    }
}
