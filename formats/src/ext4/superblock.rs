//! The superblock.

use super::Options;
use super::inode::{Inode, JOURNAL};
use super::layout::{BLOCKS_PER_GROUP, DESC_SIZE, FIRST_INODE, INODE_SIZE};
use super::plan::Plan;
use crate::crc::CRC32C;

/// Bytes of a superblock.
pub(super) const SIZE: usize = 1024;

const HAS_JOURNAL: u32 = 0x4;
const EXT_ATTR: u32 = 0x8;
const RESIZE_INODE: u32 = 0x10;
const DIR_INDEX: u32 = 0x20;

const FILETYPE: u32 = 0x2;
const EXTENTS: u32 = 0x40;
const SIXTY_FOUR_BIT: u32 = 0x80;
const FLEX_BG: u32 = 0x200;

const SPARSE_SUPER: u32 = 0x1;
const LARGE_FILE: u32 = 0x2;
const HUGE_FILE: u32 = 0x8;
const DIR_NLINK: u32 = 0x20;
const EXTRA_ISIZE: u32 = 0x40;
const METADATA_CSUM: u32 = 0x400;

/// Linear directories that grow are hashed with signed characters, as on x86.
const SIGNED_HASH: u32 = 1;
const HALF_MD4: u8 = 1;
const CRC32C_CHECKSUMS: u8 = 1;
/// Mount options that hold unless others are given: user_xattr, acl.
const DEFAULT_MOUNT_OPTIONS: u32 = 0x0c;
/// The journal's inode is kept in the superblock, too.
const JOURNAL_BACKUP: u8 = 1;

/// The copy of the superblock that lies in `group`.
pub(super) fn encode(
    plan: &Plan<'_>,
    options: &Options,
    free_blocks: u64,
    free_inodes: u32,
    group: u16,
) -> [u8; SIZE] {
    let layout = &plan.layout;
    let journal = plan.inodes.iter().find(|inode| inode.number == JOURNAL);
    let mut raw = [0; SIZE];
    let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
    let mut put32 = |at: usize, value: u32| put(at, &value.to_le_bytes());

    let per_group = u32::try_from(BLOCKS_PER_GROUP).expect("32768");
    put32(0x00, layout.inodes());
    put32(0x10, free_inodes);
    put32(0x18, 2); // blocks of 1024 << 2 bytes
    put32(0x1c, 2); // clusters: the same
    put32(0x20, per_group);
    put32(0x24, per_group);
    put32(0x28, layout.inodes_per_group);
    put32(0x30, options.mtime); // last write
    put32(0x40, options.mtime); // last check
    put32(0x4c, 1); // revision with features
    put32(0x54, FIRST_INODE);
    put32(
        0x5c,
        EXT_ATTR
            | DIR_INDEX
            | journal.map_or(0, |_| HAS_JOURNAL)
            | if layout.reserved_gdt > 0 { RESIZE_INODE } else { 0 },
    );
    put32(0x60, FILETYPE | EXTENTS | SIXTY_FOUR_BIT | FLEX_BG);
    put32(0x64, SPARSE_SUPER | LARGE_FILE | HUGE_FILE | DIR_NLINK | EXTRA_ISIZE | METADATA_CSUM);
    put32(0xe0, journal.map_or(0, |inode| inode.number));
    put32(0x100, DEFAULT_MOUNT_OPTIONS);
    put32(0x108, options.mtime); // made
    put32(0x160, SIGNED_HASH);

    let mut put64 = |low: usize, high: usize, value: u64| {
        let le = value.to_le_bytes();
        put(low, &le[..4]);
        put(high, &le[4..]);
    };
    put64(0x04, 0x150, layout.blocks);
    put64(0x08, 0x154, layout.blocks * u64::from(options.reserved_percent) / 100);
    put64(0x0c, 0x158, free_blocks);

    put(0x36, &(-1_i16).to_le_bytes()); // no check after so many mounts
    put(0x38, &0xef53_u16.to_le_bytes());
    put(0x3a, &1_u16.to_le_bytes()); // clean
    put(0x3c, &1_u16.to_le_bytes()); // on errors: continue
    put(0x58, &u16::try_from(INODE_SIZE).expect("256").to_le_bytes());
    put(0x5a, &group.to_le_bytes());
    put(0x68, &options.uuid);
    put(0x78, options.label.as_bytes());
    put(0xce, &u16::try_from(layout.reserved_gdt).expect("at most 1024").to_le_bytes());
    put(0xec, &options.hash_seed);
    put(0xfc, &[HALF_MD4]);
    put(0xfe, &u16::try_from(DESC_SIZE).expect("64").to_le_bytes());
    put(0x15c, &32_u16.to_le_bytes()); // every inode has this many extra bytes,
    put(0x15e, &32_u16.to_le_bytes()); // and a new one gets as many
    put(0x174, &layout.log_flex.to_le_bytes()[..1]);
    put(0x175, &[CRC32C_CHECKSUMS]);
    if let Some(Inode { i_block, size, .. }) = journal {
        put(0xfd, &[JOURNAL_BACKUP]);
        put(0x10c, i_block);
        put(0x148, &size.to_le_bytes()[4..]);
        put(0x14c, &size.to_le_bytes()[..4]);
    }
    let crc = CRC32C.update(!0, &raw[..SIZE - 4]);
    raw[SIZE - 4..].copy_from_slice(&crc.to_le_bytes());
    raw
}
