//! Extended attributes: in the inode while there is room, the rest in one block.

use super::BLOCK;
use super::error::XattrReason;
use super::inode::{IN_INODE_XATTRS, Seed};
use crate::tree::{Kind, Node};

const MAGIC: [u8; 4] = 0xea02_0000_u32.to_le_bytes();
/// Bytes of an entry without its name.
const ENTRY: usize = 16;
/// Bytes of the header of a block.
const BLOCK_HEADER: usize = 32;

/// The attributes of one node, encoded.
pub(super) struct Xattrs {
    /// For the inode; empty when there are none.
    pub(super) in_inode: Vec<u8>,
    /// For a block of its own; its checksum is still missing.
    pub(super) block: Option<Vec<u8>>,
}

/// One attribute.
struct Attr<'a> {
    /// Number that stands for the prefix of the name.
    index: u8,
    /// The name without that prefix.
    name: &'a [u8],
    value: &'a [u8],
}

impl Attr<'_> {
    fn len(&self) -> usize {
        ENTRY + self.name.len().next_multiple_of(4) + self.value.len().next_multiple_of(4)
    }

    /// The entry hash: each character, then each word of the value, rotated in.
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0_u32, |h, c| h.rotate_left(5) ^ u32::from(*c));
        self.value.chunks(4).fold(name, |h, word| {
            let mut bytes = [0; 4];
            bytes[..word.len()].copy_from_slice(word);
            h.rotate_left(16) ^ u32::from_le_bytes(bytes)
        })
    }
}

/// Distributes the attributes of a node.
///
/// # Errors
/// The name of the attribute that cannot be stored, and why.
pub(super) fn encode(node: &Node) -> Result<Xattrs, (Vec<u8>, XattrReason)> {
    let mut attrs = Vec::new();
    for (full, value) in &node.xattrs {
        let fail = |reason| (full.clone(), reason);
        let (index, name) = split(full).ok_or_else(|| fail(XattrReason::Namespace))?;
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(fail(XattrReason::Name));
        }
        if index == 1 && !matches!(node.kind, Kind::File(_) | Kind::Dir) {
            return Err(fail(XattrReason::Kind));
        }
        if value.len() > BLOCK {
            return Err(fail(XattrReason::Space));
        }
        attrs.push(Attr { index, name, value });
    }
    // The order in which the kernel searches a block.
    attrs.sort_unstable_by_key(|a| (a.index, a.name.len(), a.name));

    let mut room = IN_INODE_XATTRS - MAGIC.len() - 4;
    let (inner, outer): (Vec<_>, Vec<_>) = attrs.into_iter().partition(|attr| {
        let fits = attr.len() <= room;
        room -= if fits { attr.len() } else { 0 };
        fits
    });
    let mut room = BLOCK - BLOCK_HEADER - 4;
    for attr in &outer {
        let full = || [prefix(attr.index), attr.name].concat();
        room = room.checked_sub(attr.len()).ok_or_else(|| (full(), XattrReason::Space))?;
    }
    let in_inode = if inner.is_empty() {
        Vec::new()
    } else {
        [MAGIC.as_slice(), &body(&inner, IN_INODE_XATTRS - MAGIC.len(), 0)].concat()
    };
    Ok(Xattrs { in_inode, block: (!outer.is_empty()).then(|| block(&outer)) })
}

/// Puts the checksum into a block of attributes, which covers its address.
pub(super) fn seal(bytes: &mut [u8], block: u64, seed: Seed) {
    let covered = [block.to_le_bytes().as_slice(), bytes].concat();
    bytes[16..20].copy_from_slice(&seed.crc(&covered).to_le_bytes());
}

const PREFIXES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];

fn split(full: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|(index, prefix)| Some((*index, full.strip_prefix(*prefix)?)))
}

fn prefix(index: u8) -> &'static [u8] {
    PREFIXES.iter().find(|(i, _)| *i == index).map_or(b"", |(_, prefix)| prefix)
}

/// Header and body of a block.
fn block(attrs: &[Attr<'_>]) -> Vec<u8> {
    let hash = attrs.iter().map(Attr::hash).fold(0_u32, |h, e| h.rotate_left(16) ^ e);
    let hash = if attrs.iter().any(|a| a.hash() == 0) { 0 } else { hash };
    let mut bytes = Vec::with_capacity(BLOCK);
    bytes.extend(MAGIC);
    bytes.extend(1_u32.to_le_bytes()); // inodes that use it
    bytes.extend(1_u32.to_le_bytes()); // blocks
    bytes.extend(hash.to_le_bytes());
    bytes.resize(BLOCK_HEADER, 0);
    bytes.extend(body(attrs, BLOCK - BLOCK_HEADER, BLOCK_HEADER));
    bytes
}

/// Entries from the start, values from the end. Offsets of values count from
/// `before` bytes ahead of the body.
fn body(attrs: &[Attr<'_>], len: usize, before: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let (mut at, mut value_at) = (0, len);
    for attr in attrs {
        value_at -= attr.value.len().next_multiple_of(4);
        let offset = if attr.value.is_empty() { 0 } else { value_at + before };
        let narrow = |n: usize| u32::try_from(n).expect("attributes fit into a block");
        let mut entry = Vec::with_capacity(ENTRY + attr.name.len());
        entry.push(u8::try_from(attr.name.len()).expect("checked to be at most 255"));
        entry.push(attr.index);
        entry.extend(&narrow(offset).to_le_bytes()[..2]);
        entry.extend([0; 4]); // no inode holds the value
        entry.extend(narrow(attr.value.len()).to_le_bytes());
        entry.extend(attr.hash().to_le_bytes());
        entry.extend(attr.name);
        bytes[at..at + entry.len()].copy_from_slice(&entry);
        bytes[value_at..value_at + attr.value.len()].copy_from_slice(attr.value);
        at += entry.len().next_multiple_of(4);
    }
    bytes
}
