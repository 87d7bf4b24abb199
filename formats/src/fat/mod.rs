//! FAT filesystems: what UEFI firmware reads an EFI system partition from. FAT32 is made;
//! FAT12, FAT16 and FAT32 are read ([`Volume`]) and changed in place ([`Editor`]).
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

mod bpb;
mod dir;
mod edit;
mod entries;
mod error;
mod geometry;
mod name;
mod plan;
mod read;
mod table;
mod write;

pub use edit::{EditError, Editor, Medium, restore_boot_sector};
pub use error::{Error, NameReason};
pub use read::{Entry, ReadError, Volume};

use std::io::{Seek, Write};

use crate::tree::Tree;

/// Bytes in a sector of most disks.
pub const SECTOR_SIZE: u64 = 512;

/// What a filesystem is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size in bytes: a multiple of the sector size, at least [`min_size`], below 2 TiB.
    pub size: u64,
    /// Bytes in a logical sector of the disk, which the filesystem's must not be
    /// below: 512, 1024, 2048 or 4096.
    pub sector_size: u32,
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
pub const MIN_SIZE: u64 = min_size(512);

/// The smallest FAT32 filesystem on a disk with sectors of so many bytes, in bytes.
pub const fn min_size(sector_size: u32) -> u64 {
    // 64-bit arithmetic on a 32-bit value: nothing is cut.
    geometry::min_sectors(sector_size as u64) * sector_size as u64
}

/// Whether a filesystem can be written.
///
/// # Errors
/// As [`write()`] has them, but for I/O.
pub fn check(tree: &Tree, options: &Options) -> Result<(), Error> {
    plan::Plan::new(tree, options).map(drop)
}

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
