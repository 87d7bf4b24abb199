//! Writes FAT32 filesystems: what UEFI firmware reads an EFI system partition from.
//!
//! [`write()`] makes a complete filesystem from a [`Tree`] of directories and
//! files. Modes, owners and extended attributes have no place in FAT and are left
//! out; a hard link becomes a copy; anything else is refused by name. The format
//! is that of Microsoft's "FAT32 File System Specification" 1.03.
//!
//! Volume id and time stamps are given by the caller, short names are derived from
//! the long ones in sorted order: the same input gives the same bytes.
//!
//! Ranges that hold nothing are never written and must read as zeroes.

mod dir;
mod error;
mod geometry;
mod name;
mod plan;
mod write;

pub use error::{Error, NameReason};

use std::io::{Seek, Write};

use crate::tree::Tree;

/// Bytes in a sector.
pub const SECTOR_SIZE: u64 = 512;

/// What a filesystem is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size in bytes: a multiple of [`SECTOR_SIZE`], at least [`MIN_SIZE`], below 2 TiB.
    pub size: u64,
    /// Volume label: at most 11 characters of those that short names may have;
    /// small letters become capitals. Empty: none.
    pub label: String,
    /// Volume id.
    pub volume_id: u32,
    /// The time of every entry, seconds since 1970. FAT cannot hold times before
    /// 1980, which become 1980-01-01, and drops the odd second. Written as UTC.
    pub mtime: u32,
}

/// The smallest FAT32 filesystem: one that has 65 525 clusters of one sector. With
/// fewer clusters, readers must take it for FAT16.
pub const MIN_SIZE: u64 = geometry::MIN_SECTORS * SECTOR_SIZE;

/// Writes the filesystem at the current position of `out`, which becomes its
/// origin. Afterwards `out` reaches exactly `options.size` bytes past it; the
/// position is unspecified.
///
/// # Errors
/// When the options are out of range, when the tree holds something that FAT
/// cannot, when it does not fit ([`Error::TooSmall`]), and for I/O.
pub fn write<W: Write + Seek>(out: &mut W, tree: &Tree, options: &Options) -> Result<(), Error> {
    let plan = plan::Plan::new(tree, options)?;
    write::write(out, &plan, options)
}
