//! The superblock of an image that may be damaged.

use super::ReadError;

/// Bytes of the superblock.
pub(super) const SIZE: usize = 96;
/// `SQUASHFS_INVALID_BLK`: there is no such table.
const NOWHERE: u64 = u64::MAX;
const NAME: &str = "the superblock";

/// What the superblock says. Addresses are bytes from the start of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Number of inodes.
    pub inodes: u32,
    /// Time of the image, seconds since 1970.
    pub mtime: u32,
    /// Size of a data block in bytes before compression.
    pub block_size: u32,
    /// Number of fragment blocks.
    pub fragments: u32,
    /// Number of owners.
    pub ids: u16,
    /// Reference to the root's inode.
    pub root: u64,
    /// Bytes of the image without padding.
    pub used: u64,
    /// Where the table of owners is found.
    pub id_table: u64,
    /// Where the table of xattrs is found; `None` when there is none.
    pub xattr_table: Option<u64>,
    /// Where inodes start.
    pub inode_table: u64,
    /// Where directories start.
    pub directory_table: u64,
    /// Where the table of fragments is found; `None` when there is none.
    pub fragment_table: Option<u64>,
    /// Where the table of inode references is found; `None` when there is none.
    pub export_table: Option<u64>,
}

/// Reads and checks the superblock of an image of `size` bytes.
pub(super) fn parse(raw: &[u8; SIZE], size: u64) -> Result<Superblock, ReadError> {
    let u16_at = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if raw[..4] != *b"hsqs" {
        return Err(ReadError::NotSquashfs("the magic number"));
    }
    for (what, found, expected, text) in [
        ("version", u64::from(u16_at(28)) << 16 | u64::from(u16_at(30)), 4 << 16, "4.0 (262144)"),
        ("compression", u64::from(u16_at(20)), 6, "zstd (6)"),
    ] {
        if found != expected {
            return Err(ReadError::Unsupported { what, found, expected: text });
        }
    }
    let damaged = |why| ReadError::Damaged { structure: NAME, offset: 0, why };
    let block_size = u32_at(12);
    if !block_size.is_power_of_two() || !(4 << 10..=1 << 20).contains(&block_size) {
        return Err(damaged("the block size is impossible"));
    }
    if u32::from(u16_at(22)) != block_size.trailing_zeros() {
        return Err(damaged("the block size and its logarithm disagree"));
    }
    let optional = |at: usize| Some(u64_at(at)).filter(|address| *address != NOWHERE);
    let superblock = Superblock {
        inodes: u32_at(4),
        mtime: u32_at(8),
        block_size,
        fragments: u32_at(16),
        ids: u16_at(26),
        root: u64_at(32),
        used: u64_at(40),
        id_table: u64_at(48),
        xattr_table: optional(56),
        inode_table: u64_at(64),
        directory_table: u64_at(72),
        fragment_table: optional(80),
        export_table: optional(88),
    };
    let Superblock { used, inode_table, directory_table, id_table, .. } = superblock;
    if used > size {
        return Err(damaged("the image is shorter than it says: it was cut off"));
    }
    let tables = [superblock.fragment_table, superblock.export_table, Some(id_table), superblock.xattr_table];
    let mut before = directory_table;
    // As every writer lays them out, and as the kernel checks it.
    for table in tables.into_iter().flatten() {
        if table < before || table >= used {
            return Err(damaged("a table lies outside of its place"));
        }
        before = table;
    }
    if inode_table < SIZE as u64 || directory_table < inode_table {
        return Err(damaged("a table lies outside of its place"));
    }
    if superblock.fragments > 0 && superblock.fragment_table.is_none() {
        return Err(damaged("there are fragments, but no table of them"));
    }
    if superblock.ids == 0 || superblock.inodes == 0 {
        return Err(damaged("there are no inodes or no owners"));
    }
    Ok(superblock)
}
