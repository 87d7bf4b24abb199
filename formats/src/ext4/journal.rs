//! The journal: an inode of consecutive blocks, the first of them a jbd2
//! superblock that says "empty". Its fields are big-endian.

use super::write::Block;
use super::{BLOCK, BLOCK_SIZE, Error, Journal, Options};

/// The fewest blocks that jbd2 works with.
const MIN: u64 = 1024;
/// The most that `mke2fs` and the kernel take.
const MAX: u64 = 10_240_000;

/// How many blocks the journal of a filesystem of so many blocks has.
pub(super) fn blocks(options: &Options, filesystem: u64) -> Result<Option<u64>, Error> {
    match options.journal {
        Journal::None => Ok(None),
        Journal::Bytes(bytes)
            if bytes.is_multiple_of(BLOCK_SIZE) && (MIN..=MAX).contains(&(bytes / BLOCK_SIZE)) =>
        {
            Ok(Some(bytes / BLOCK_SIZE))
        }
        Journal::Bytes(bytes) => Err(Error::Option {
            option: "journal",
            value: format!("{bytes} bytes"),
            must_be: "a multiple of 4096 from 4 MiB to 40000 MiB",
        }),
        // As mke2fs chooses.
        Journal::Auto => Ok(Some(match filesystem {
            0..0x8000 => 1024,
            0x8000..0x4_0000 => 4096,
            0x4_0000..0x8_0000 => 8192,
            0x8_0000..0x40_0000 => 16_384,
            0x40_0000..0x80_0000 => 32_768,
            0x80_0000..0x100_0000 => 65_536,
            0x100_0000..0x200_0000 => 131_072,
            _ => 262_144,
        })),
    }
}

/// The superblock of an empty journal of `len` blocks.
pub(super) fn superblock(block: u64, len: u64, uuid: &[u8; 16]) -> Block {
    let len = u32::try_from(len).expect("at most 10240000 blocks");
    let mut bytes = vec![0; BLOCK];
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    put(0x00, 0xc03b_3998);
    put(0x04, 4); // superblock, version 2
    put(0x0c, 4096);
    put(0x10, len);
    put(0x14, 1); // first block of the log
    put(0x18, 1); // first commit expected
    put(0x40, 1); // filesystems that use it
    bytes[0x30..0x40].copy_from_slice(uuid);
    Block { block, bytes }
}
