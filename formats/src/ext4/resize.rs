//! The resize inode: it owns the blocks set aside for more group descriptors.
//!
//! Its double indirect block points to each reserved block of the first copy of
//! the descriptor table; that one in turn holds the addresses of the same block
//! in the other copies. The kernel turns them into descriptors as a mounted
//! filesystem grows (`fs/ext4/resize.c`, `verify_reserved_gdb`).

use super::alloc::Allocator;
use super::inode::{Inode, RESIZE, S_IFREG};
use super::layout::{BLOCKS_PER_GROUP, Layout};
use super::write::Block;
use super::{BLOCK, BLOCK_SIZE};

/// Addresses in a block.
const ADDRESSES: u64 = BLOCK_SIZE / 4;
/// Which of the 15 block addresses of an inode is the double indirect one.
const DOUBLE_INDIRECT: usize = 13;
/// Blocks addressed by the inode itself.
const DIRECT: u64 = 12;

/// The inode and the blocks it refers to; `None` when nothing is set aside.
pub(super) fn resize_inode(layout: &Layout, alloc: &mut Allocator<'_>) -> Option<(Inode, Vec<Block>)> {
    if layout.reserved_gdt == 0 {
        return None;
    }
    let double = alloc.take_one();
    let mut pointers = vec![0; BLOCK];
    let mut blocks = Vec::new();
    for index in layout.gdt_blocks..layout.gdt_blocks + layout.reserved_gdt {
        let block = 1 + index;
        set(&mut pointers, index % ADDRESSES, block);
        let mut copies = vec![0; BLOCK];
        for (slot, group) in (0..).zip(layout.backups()) {
            set(&mut copies, slot, block + u64::from(group) * BLOCKS_PER_GROUP);
        }
        blocks.push(Block { block, bytes: copies });
    }
    blocks.push(Block { block: double, bytes: pointers });

    let mut inode = Inode::plain(RESIZE, S_IFREG | 0o600, 1);
    inode.size = (ADDRESSES * ADDRESSES + ADDRESSES + DIRECT) * BLOCK_SIZE;
    inode.blocks = 1 + layout.reserved_gdt * (1 + layout.backups().count() as u64);
    let at = 4 * DOUBLE_INDIRECT;
    inode.i_block[at..at + 4].copy_from_slice(&address(double));
    Some((inode, blocks))
}

fn set(block: &mut [u8], slot: u64, to: u64) {
    let at = usize::try_from(slot * 4).expect("a slot of a block");
    block[at..at + 4].copy_from_slice(&address(to));
}

fn address(block: u64) -> [u8; 4] {
    u32::try_from(block).expect("the blocks of 16 TiB are numbered with 32 bits").to_le_bytes()
}
