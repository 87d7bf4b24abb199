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

#[cfg(test)]
mod tests {
    use super::super::meta::UNCOMPRESSED;
    use super::*;

    /// The table from the metadata block at `block` on, before compression.
    fn unpack(table: &[u8], block: u32) -> Vec<u8> {
        let mut rest = &table[usize::try_from(block).unwrap()..];
        let mut out = Vec::new();
        while let Some((header, body)) = rest.split_first_chunk() {
            let header = u16::from_le_bytes(*header);
            let (block, later) = body.split_at(usize::from(header & !UNCOMPRESSED));
            match header & UNCOMPRESSED {
                0 => out.extend(zstd::bulk::decompress(block, BLOCK).unwrap()),
                _ => out.extend_from_slice(block),
            }
            rest = later;
        }
        out
    }

    fn number(bytes: &[u8], at: usize) -> usize {
        usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
    }

    /// The names of a listing, read from a header on.
    fn names(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while bytes.len() > HEADER {
            let count = number(bytes, 0) + 1;
            bytes = &bytes[HEADER..];
            for _ in 0..count {
                let end = 8 + usize::from(bytes[6]) + 1;
                out.push(bytes[8..end].to_vec());
                bytes = &bytes[end..];
            }
        }
        out
    }

    /// The kernel starts at an index entry and reads on from there; no other
    /// reader uses the index.
    #[test]
    fn reading_from_any_index_entry_finds_all_later_names() {
        let all: Vec<Vec<u8>> =
            (0..3000).map(|i| format!("{i:05}{}", "y".repeat(i % 150)).into_bytes()).collect();
        let entries: Vec<_> = (0u16..)
            .zip(&all)
            .map(|(i, name)| {
                let inode = Position { block: u32::from(i / 2000), offset: i % 2000 };
                Entry { name, inode, number: u32::from(i), kind: 2 }
            })
            .collect();
        for before in [0, 1, 5000, 8191] {
            let mut table = Writer::new().unwrap();
            table.write(&vec![7; before]).unwrap();
            let listing = write(&mut table, &entries).unwrap();
            let table = table.finish().unwrap().0;
            let start = usize::from(listing.start.offset);
            assert_eq!(names(&unpack(&table, listing.start.block)[start..]), all);

            let mut index = listing.index.as_slice();
            let mut indexed = 0;
            let mut last_block = usize::try_from(listing.start.block).unwrap();
            while !index.is_empty() {
                let (offset, block, length) = (number(index, 0), number(index, 4), number(index, 8) + 1);
                let name = &index[12..12 + length];
                let from = (start + offset) % BLOCK;
                let rest = names(&unpack(&table, u32::try_from(block).unwrap())[from..]);
                assert_eq!(rest[0], name);
                assert_eq!(rest, all[all.len() - rest.len()..]);
                assert!(block > last_block, "one entry per metadata block");
                last_block = block;
                indexed += 1;
                index = &index[12 + length..];
            }
            assert_eq!(indexed, usize::from(listing.indexed));
            assert!(indexed >= usize::try_from(listing.size).unwrap() / BLOCK - 1);
        }
    }
}
