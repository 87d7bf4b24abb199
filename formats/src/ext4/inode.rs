//! Inodes as they lie on disk, and their checksum seed.

use super::layout::INODE_SIZE;
use crate::crc::CRC32C;

/// The root directory.
pub(super) const ROOT: u32 = 2;
/// The inode that owns the reserved descriptor blocks.
pub(super) const RESIZE: u32 = 7;
/// The journal.
pub(super) const JOURNAL: u32 = 8;
/// `lost+found`, the first inode that is not reserved.
pub(super) const LOST_AND_FOUND: u32 = super::layout::FIRST_INODE;

/// File type bits of a mode.
pub(super) const S_IFREG: u16 = 0x8000;
pub(super) const S_IFDIR: u16 = 0x4000;
pub(super) const S_IFLNK: u16 = 0xa000;
pub(super) const S_IFCHR: u16 = 0x2000;
pub(super) const S_IFBLK: u16 = 0x6000;
pub(super) const S_IFIFO: u16 = 0x1000;

/// The inode's blocks are written down as extents.
pub(super) const EXTENTS_FL: u32 = 0x8_0000;

/// Bytes of an inode behind its fixed fields, for extended attributes.
pub(super) const IN_INODE_XATTRS: usize = INODE_SIZE - 128 - EXTRA_SIZE as usize;
/// Bytes of the fields that came after the first 128.
const EXTRA_SIZE: u16 = 32;

/// Where the metadata checksums of an inode start from.
#[derive(Clone, Copy)]
pub(super) struct Seed(u32);

impl Seed {
    /// For what belongs to the filesystem and not to an inode.
    pub(super) fn of_filesystem(uuid: &[u8; 16]) -> Self {
        Self(CRC32C.update(!0, uuid))
    }

    /// For the blocks of one inode (generation 0).
    pub(super) fn of_inode(self, inode: u32) -> Self {
        Self(CRC32C.update(CRC32C.update(self.0, &inode.to_le_bytes()), &[0; 4]))
    }

    /// The checksum of `bytes`.
    pub(super) fn crc(self, bytes: &[u8]) -> u32 {
        CRC32C.update(self.0, bytes)
    }
}

/// One inode.
pub(super) struct Inode {
    pub(super) number: u32,
    /// Type and permissions.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u16,
    /// Bytes.
    pub(super) size: u64,
    /// Blocks of 4 KiB that belong to it: data, extent tree, attributes.
    pub(super) blocks: u64,
    pub(super) flags: u32,
    /// Extent tree, target of a short symbolic link, device number or block map.
    pub(super) i_block: [u8; 60],
    /// The block with extended attributes, or 0.
    pub(super) file_acl: u64,
    /// Extended attributes in the inode.
    pub(super) xattrs: Vec<u8>,
}

impl Inode {
    /// An inode of root without any content.
    pub(super) fn plain(number: u32, mode: u16, links: u16) -> Self {
        Self {
            number,
            mode,
            uid: 0,
            gid: 0,
            links,
            size: 0,
            blocks: 0,
            flags: 0,
            i_block: [0; 60],
            file_acl: 0,
            xattrs: Vec::new(),
        }
    }

    /// The bytes in the inode table.
    pub(super) fn encode(&self, mtime: u32, seed: Seed) -> [u8; INODE_SIZE] {
        let mut raw = [0; INODE_SIZE];
        let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
        let (uid, gid) = (self.uid.to_le_bytes(), self.gid.to_le_bytes());
        let size = self.size.to_le_bytes();
        let sectors = (self.blocks * 8).to_le_bytes();
        let file_acl = self.file_acl.to_le_bytes();
        put(0x00, &self.mode.to_le_bytes());
        put(0x02, &uid[..2]);
        put(0x04, &size[..4]);
        for at in [0x08, 0x0c, 0x10, 0x90] {
            put(at, &mtime.to_le_bytes()); // atime, ctime, mtime, crtime
        }
        // Seconds are signed; the low bits of the extra field add 2³² of them.
        let epoch = u32::from(mtime > i32::MAX.unsigned_abs());
        for at in [0x84, 0x88, 0x8c, 0x94] {
            put(at, &epoch.to_le_bytes());
        }
        put(0x18, &gid[..2]);
        put(0x1a, &self.links.to_le_bytes());
        put(0x1c, &sectors[..4]);
        put(0x20, &self.flags.to_le_bytes());
        put(0x28, &self.i_block);
        put(0x68, &file_acl[..4]);
        put(0x6c, &size[4..]);
        put(0x74, &sectors[4..6]);
        put(0x76, &file_acl[4..6]);
        put(0x78, &uid[2..]);
        put(0x7a, &gid[2..]);
        put(0x80, &EXTRA_SIZE.to_le_bytes());
        put(0xa0, &self.xattrs);
        let crc = seed.of_inode(self.number).crc(&raw).to_le_bytes();
        raw[0x7c..0x7e].copy_from_slice(&crc[..2]);
        raw[0x82..0x84].copy_from_slice(&crc[2..]);
        raw
    }
}
