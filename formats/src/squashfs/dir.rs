//! Directory listings.

use super::Error;
use super::meta::{BLOCK, Position, Writer};

/// A name in a directory.
pub(super) struct Entry<'t> {
    /// 1..=255 bytes.
    pub(super) name: &'t [u8],
    /// Where its inode is in the inode table.
    pub(super) inode: Position,
    /// Its inode number.
    pub(super) number: u32,
    /// Its inode's basic type.
    pub(super) kind: u16,
}

/// A listing in the directory table.
pub(super) struct Listing {
    pub(super) start: Position,
    /// Bytes before compression.
    pub(super) size: u32,
    /// Where to start looking for a name; empty for a short listing.
    pub(super) index: Vec<u8>,
    /// Entries of the index.
    pub(super) indexed: u16,
}

/// Bytes of a header (`squashfs_dir_header`), and how many entries may follow it.
const HEADER: usize = 12;
const RUN: usize = 256;

/// Writes the entries of one directory, sorted by name.
///
/// Entries come in runs below a header that gives what they have in common: the
/// metadata block of their inodes, and an inode number near theirs. A run ends
/// with the metadata block it is in, so that every block has a header for the
/// index to point to.
pub(super) fn write(table: &mut Writer, entries: &[Entry<'_>]) -> Result<Listing, Error> {
    let too_large = Error::TooMany { what: "bytes in one directory", limit: u32::MAX.into() };
    let start = table.position()?;
    let mut size = 0usize;
    let mut index = Vec::new();
    let mut indexed = 0usize;
    let mut block = start.block;
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let at = table.position()?;
        if at.block != block {
            block = at.block;
            indexed += 1;
            index_entry(&mut index, size, block, first.name);
        }
        let (bytes, taken) = run(rest, first, BLOCK - usize::from(at.offset));
        table.write(&bytes)?;
        size += bytes.len();
        rest = &rest[taken..];
    }
    if size <= BLOCK {
        index.clear();
        indexed = 0;
    }
    let limit = Error::TooMany { what: "KiB in one directory", limit: 8 * u64::from(u16::MAX) };
    let indexed = u16::try_from(indexed).map_err(|_| limit)?;
    Ok(Listing { start, size: u32::try_from(size).map_err(|_| too_large)?, index, indexed })
}

/// The header and the entries that can follow it, and how many they are.
/// `room`: bytes left in the metadata block.
fn run(entries: &[Entry<'_>], first: &Entry<'_>, room: usize) -> (Vec<u8>, usize) {
    let mut bytes = vec![0; HEADER];
    let mut count = 0u32;
    let mut taken = 0;
    for entry in entries.iter().take(RUN) {
        let delta = i16::try_from(i64::from(entry.number) - i64::from(first.number));
        let Ok(delta) = delta else { break };
        if entry.inode.block != first.inode.block || (taken > 0 && bytes.len() >= room) {
            break;
        }
        let length = u16::try_from(entry.name.len() - 1).expect("a name has 1 to 255 bytes");
        bytes.extend(entry.inode.offset.to_le_bytes());
        bytes.extend(delta.to_le_bytes());
        bytes.extend(entry.kind.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend_from_slice(entry.name);
        taken += 1;
        count += 1;
    }
    bytes[..4].copy_from_slice(&(count - 1).to_le_bytes());
    bytes[4..8].copy_from_slice(&first.inode.block.to_le_bytes());
    bytes[8..HEADER].copy_from_slice(&first.number.to_le_bytes());
    (bytes, taken)
}

/// `squashfs_dir_index`: at `offset` bytes into the listing, in the metadata
/// block that starts at `block`, is the header before `name`.
fn index_entry(index: &mut Vec<u8>, offset: usize, block: u32, name: &[u8]) {
    // A listing too long for this is refused when it is complete.
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    let length = u32::try_from(name.len() - 1).expect("a name has 1 to 255 bytes");
    index.extend(offset.to_le_bytes());
    index.extend(block.to_le_bytes());
    index.extend(length.to_le_bytes());
    index.extend_from_slice(name);
}
