//! Squashfs 4.0: a parallel zstd writer with a cache of compressed blocks, and a reader
//! ([`Image`]) of images that may be damaged.
//!
//! Layout and field names follow the kernel's `fs/squashfs/squashfs_fs.h` and
//! `Documentation/filesystems/squashfs.rst`. The writer works in two steps:
//! [`Plan::new`] decides where every byte of content goes (which contents are
//! the same, which tails share a fragment) without compressing anything;
//! [`Plan::write`] compresses and writes. The bytes depend on the tree, the
//! [`Options`] and the version of zstd, never on the number of threads or on
//! what the cache holds.
//!
//! Content is stored once however many files have it. What does not fill a
//! block goes to fragment blocks, which only files of one
//! [`Origin`](crate::tree::Origin) share: a new file in one package leaves the
//! fragments of all others as they were, so the cache still has them.
//!
//! Not supported: sockets (a tree has none), xattrs outside `user.`,
//! `trusted.` and `security.` (the format has no others).

mod cache;
mod compress;
mod data;
mod dir;
mod error;
mod graph;
mod image;
mod inode;
mod meta;
mod plan;
mod read;
mod stats;
mod superblock;
mod xattr;

pub use cache::{BlockCache, NoCache};
pub use error::Error;
pub use plan::{Plan, Progress};
pub use read::{Extent, Image, Listing, ReadError, Superblock};
pub use stats::Stats;

use std::io::{Seek, Write};
use std::ops::ControlFlow;

use crate::tree::Tree;

/// How to write an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of a data block in bytes before compression: a power of two, 4096..=1048576.
    pub block_size: u32,
    /// zstd level of data blocks: 1..=22.
    pub level: i32,
    /// Modification time of every inode and of the image, seconds since 1970.
    pub mtime: u32,
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        if !self.block_size.is_power_of_two() || !(4 << 10..=1 << 20).contains(&self.block_size) {
            return Err(Error::BlockSize(self.block_size));
        }
        if !(1..=22).contains(&self.level) {
            return Err(Error::Level(self.level));
        }
        Ok(())
    }
}

/// Writes a tree as an image, from the current position of `out` on, with the
/// current rayon pool. [`Plan`] does the same and reports progress.
///
/// # Errors
/// See [`Error`]. What is in `out` after an error is not an image.
pub fn write(
    tree: &Tree,
    options: &Options,
    cache: &dyn BlockCache,
    out: &mut (impl Write + Seek),
) -> Result<Stats, Error> {
    Plan::new(tree, options)?.write(out, cache, &|_| ControlFlow::Continue(()))
}
