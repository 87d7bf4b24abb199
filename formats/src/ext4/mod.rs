//! Writes ext4 filesystems.
//!
//! [`write()`] turns a [`Tree`] into a complete filesystem, the way `mke2fs -d`
//! would, but with the time, the UUID and the hash seed given by the caller: the
//! same input gives the same bytes. The format is that of
//! <https://www.kernel.org/doc/html/latest/filesystems/ext4/>; names of fields
//! and constants are taken from there.
//!
//! What it makes: 4 KiB blocks, 256-byte inodes, 64-byte group descriptors,
//! extents, flex_bg, metadata checksums, sparse superblock copies, a journal, and
//! a resize inode with room for the group descriptors of a filesystem of
//! [`Options::grow_to`] bytes, so that a mounted filesystem can grow in place.
//!
//! What it does not make: hashed directories (a directory of several blocks is
//! linear, which every kernel reads; one of a single block is hashed by the
//! kernel when it outgrows it), inline data, encryption, quota, POSIX ACLs.
//!
//! Ranges that hold nothing are never written. They must read as zeroes: write
//! into a sparse file, and when an image is copied to a disk that held other
//! data, write or discard the holes too, else an old journal may be replayed.

mod alloc;
mod dir;
mod error;
mod extent;
mod group;
mod inode;
mod journal;
mod layout;
mod plan;
mod resize;
mod superblock;
mod write;
mod xattr;

pub use error::{Error, XattrReason};

use std::io::{Seek, Write};

use crate::tree::Tree;

/// Bytes in a block.
pub const BLOCK_SIZE: u64 = 4096;
/// [`BLOCK_SIZE`] for lengths of buffers.
const BLOCK: usize = 4096;
/// The smallest filesystem that can be made.
pub const MIN_SIZE: u64 = 8 << 20;
/// The largest filesystem that can be made.
pub const MAX_SIZE: u64 = 16 << 40;

/// What a filesystem is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size in bytes: a multiple of [`BLOCK_SIZE`] from [`MIN_SIZE`] to [`MAX_SIZE`].
    pub size: u64,
    /// The size in bytes that the filesystem must be able to grow to while
    /// mounted. The descriptors for it are set aside (1 block per 8 GiB in each
    /// copy of the descriptor table); at most about 8 TiB counts, past that the
    /// kernel switches to other means (meta_bg). At most `size`: nothing is set aside.
    pub grow_to: u64,
    /// Volume label, at most 16 bytes, without NUL.
    pub label: String,
    /// Filesystem UUID, in the order in which it is printed.
    pub uuid: [u8; 16],
    /// Seed of directory hashes.
    pub hash_seed: [u8; 16],
    /// Every time stamp of the filesystem: seconds since 1970, to 2106.
    pub mtime: u32,
    /// The journal.
    pub journal: Journal,
    /// Share of the blocks that only root may use, in percent, 0 to 50.
    pub reserved_percent: u8,
    /// One inode per this many bytes, at least 4096. The filesystem keeps the
    /// ratio as it grows. More inodes are made when the tree needs them.
    pub bytes_per_inode: u64,
}

impl Options {
    /// A filesystem that does not grow, with a journal and `mke2fs`'s inode ratio.
    pub fn new(size: u64, uuid: [u8; 16], hash_seed: [u8; 16], mtime: u32) -> Self {
        Self {
            size,
            grow_to: size,
            label: String::new(),
            uuid,
            hash_seed,
            mtime,
            journal: Journal::Auto,
            reserved_percent: 0,
            bytes_per_inode: 16384,
        }
    }
}

/// The journal of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// None: a crash may damage the filesystem.
    None,
    /// One of a size that suits the filesystem's size, 4 MiB to 1 GiB.
    Auto,
    /// One of this many bytes: a multiple of [`BLOCK_SIZE`] from 4 MiB to 40 GiB.
    Bytes(u64),
}

/// Writes the filesystem at the current position of `out`, which becomes its
/// origin. Afterwards `out` reaches exactly `options.size` bytes past it; the
/// position is unspecified.
///
/// A directory `lost+found` is added when the tree has none.
///
/// # Errors
/// When the options are out of range, when the tree holds something that ext4
/// cannot, when it does not fit ([`Error::TooSmall`]), and for I/O.
pub fn write<W: Write + Seek>(out: &mut W, tree: &Tree, options: &Options) -> Result<(), Error> {
    let plan = plan::Plan::new(tree, options)?;
    write::write(out, &plan, options)
}
