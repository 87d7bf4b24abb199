//! The superblock.

use super::Options;
use super::meta::UNCOMPRESSED;

/// Bytes before the data: the superblock and zstd's options.
pub(super) const SIZE: usize = 96 + 2 + 4;

/// What the superblock says besides the options. Addresses are bytes from the
/// start of the image.
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) fragments: u32,
    pub(super) ids: u16,
    /// Reference to the root's inode.
    pub(super) root: u64,
    /// Bytes of the image without padding.
    pub(super) used: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: u64,
    pub(super) id_table: u64,
    /// `None`: no inode has xattrs.
    pub(super) xattr_table: Option<u64>,
}

/// `SQUASHFS_DUPLICATES`, `SQUASHFS_EXPORT`, `SQUASHFS_COMP_OPT`.
const FLAGS: u16 = 1 << 6 | 1 << 7 | 1 << 10;
/// `SQUASHFS_NO_XATTR`.
const NO_XATTR: u16 = 1 << 9;
/// `ZSTD_COMPRESSION`.
const ZSTD: u16 = 6;
/// `SQUASHFS_INVALID_BLK`.
const NOWHERE: u64 = u64::MAX;

impl Superblock {
    pub(super) fn encode(&self, options: &Options) -> Vec<u8> {
        let mut out = Vec::with_capacity(SIZE);
        let block_log = u16::try_from(options.block_size.trailing_zeros()).expect("at most 31");
        let flags = FLAGS | if self.xattr_table.is_none() { NO_XATTR } else { 0 };
        out.extend(b"hsqs");
        for x in [self.inodes, options.mtime, options.block_size, self.fragments] {
            out.extend(x.to_le_bytes());
        }
        for x in [ZSTD, block_log, flags, self.ids, 4, 0] {
            out.extend(x.to_le_bytes());
        }
        for x in [
            self.root,
            self.used,
            self.id_table,
            self.xattr_table.unwrap_or(NOWHERE),
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ] {
            out.extend(x.to_le_bytes());
        }
        out.extend((4 | UNCOMPRESSED).to_le_bytes());
        out.extend(options.level.to_le_bytes());
        debug_assert_eq!(out.len(), SIZE);
        out
    }
}
