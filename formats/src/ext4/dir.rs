//! Directory blocks: entries one after the other, a checksum at the end.

use super::BLOCK;
use super::inode::Seed;

/// Bytes of the checksum entry at the end of every block.
const TAIL: usize = 12;
const SPACE: usize = BLOCK - TAIL;

/// The type of an inode as directory entries give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileType {
    Regular = 1,
    Dir = 2,
    CharDev = 3,
    BlockDev = 4,
    Fifo = 5,
    Symlink = 7,
}

/// One name in a directory.
pub(super) struct Entry<'a> {
    pub(super) inode: u32,
    /// 1 to 255 bytes.
    pub(super) name: &'a [u8],
    pub(super) file_type: FileType,
}

/// The blocks of a directory, at least `min_blocks`.
pub(super) fn blocks(
    inode: u32,
    parent: u32,
    entries: &[Entry<'_>],
    min_blocks: usize,
    seed: Seed,
) -> Vec<Vec<u8>> {
    let dots = [
        Entry { inode, name: b".", file_type: FileType::Dir },
        Entry { inode: parent, name: b"..", file_type: FileType::Dir },
    ];
    let mut done = Vec::new();
    let mut block = Packing::default();
    for entry in dots.iter().chain(entries) {
        if !block.fits(entry) {
            done.push(std::mem::take(&mut block).finish(seed));
        }
        block.push(entry);
    }
    done.push(block.finish(seed));
    while done.len() < min_blocks {
        done.push(Packing::default().finish(seed));
    }
    done
}

/// A block being filled.
#[derive(Default)]
struct Packing {
    bytes: Vec<u8>,
    /// Where the last entry starts.
    last: Option<usize>,
}

impl Packing {
    fn entry_len(name: &[u8]) -> usize {
        (8 + name.len()).next_multiple_of(4)
    }

    fn fits(&self, entry: &Entry<'_>) -> bool {
        self.bytes.len() + Self::entry_len(entry.name) <= SPACE
    }

    fn push(&mut self, entry: &Entry<'_>) {
        self.last = Some(self.bytes.len());
        let len = Self::entry_len(entry.name);
        let end = self.bytes.len() + len;
        self.bytes.extend(entry.inode.to_le_bytes());
        self.bytes.extend(u16_of(len).to_le_bytes());
        self.bytes.push(u8::try_from(entry.name.len()).expect("a tree has no name above 255 bytes"));
        self.bytes.push(entry.file_type as u8);
        self.bytes.extend(entry.name);
        self.bytes.resize(end, 0);
    }

    /// The last entry takes the rest of the block; without one, an unused entry does.
    fn finish(mut self, seed: Seed) -> Vec<u8> {
        let last = self.last.unwrap_or(0);
        self.bytes.resize(SPACE, 0);
        self.bytes[last + 4..last + 6].copy_from_slice(&u16_of(SPACE - last).to_le_bytes());
        let crc = seed.crc(&self.bytes);
        self.bytes.extend([0, 0, 0, 0, 12, 0, 0, 0xde]);
        self.bytes.extend(crc.to_le_bytes());
        self.bytes
    }
}

fn u16_of(len: usize) -> u16 {
    u16::try_from(len).expect("a record is shorter than a block")
}
