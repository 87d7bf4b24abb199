//! kmod's binary index: a radix tree from keys to prioritised values.
//!
//! The file is big-endian: magic, version, then the offset of the root node.
//! A node is its prefix (NUL-terminated), the range of its children's first
//! bytes with one offset for each byte of the range, and its values. The top
//! bits of a node's offset say which of the three it has. Children are written
//! before their parent. See `libkmod-index.c` of kmod for the reader.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
/// Major and minor version, 16 bits each.
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;
/// Offsets have 28 bits.
const MAX_OFFSET: usize = 0x0FFF_FFFF;
/// libkmod looks keys up in a buffer of this size.
const MAX_KEY: usize = 4095;

/// Why a key or value cannot be in an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes above 0x7f, or NUL.
    #[error("{0:?} has characters other than 7-bit ASCII, which kmod's indexes cannot hold")]
    NotAscii(String),
    /// A key kmod could never look up.
    #[error("a key of {0} bytes is longer than the 4095 kmod can look up")]
    KeyTooLong(usize),
    /// The index grew past its 28-bit offsets.
    #[error("the index would be larger than the 256 MiB its offsets can reach")]
    TooLarge,
}

#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    values: Vec<(u32, String)>,
}

impl Trie {
    /// Adds a value. Values of one key are ordered by priority; among equals the last added is first.
    pub(super) fn insert(&mut self, key: &str, value: &str, priority: u32) -> Result<(), Error> {
        if let Some(bad) = [key, value].into_iter().find(|s| !s.is_ascii() || s.contains('\0')) {
            return Err(Error::NotAscii(bad.to_owned()));
        }
        if key.len() > MAX_KEY {
            return Err(Error::KeyTooLong(key.len()));
        }
        let mut node = &mut self.root;
        let mut rest = key.as_bytes();
        loop {
            let common = node.prefix.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if common < node.prefix.len() {
                node.split(common);
            }
            let Some((first, after)) = rest.get(common..).and_then(<[u8]>::split_first) else {
                let at = node.values.partition_point(|(p, _)| *p < priority);
                node.values.insert(at, (priority, value.to_owned()));
                return Ok(());
            };
            node = node
                .children
                .entry(*first)
                .or_insert_with(|| Node { prefix: after.to_vec(), ..Node::default() });
            rest = after;
        }
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        let root = self.root.write(&mut out)?;
        out.splice(8..12, root.to_be_bytes());
        Ok(out)
    }
}

impl Node {
    /// Keeps the first `at` bytes of the prefix here and moves all else into a child.
    fn split(&mut self, at: usize) {
        let rest = self.prefix.split_off(at);
        let Some((first, prefix)) = rest.split_first() else { return };
        let child = Self {
            prefix: prefix.to_vec(),
            children: std::mem::take(&mut self.children),
            values: std::mem::take(&mut self.values),
        };
        self.children.insert(*first, child);
    }

    /// Returns the node's offset with its flags. Recursion is as deep as the longest key.
    fn write(&self, out: &mut Vec<u8>) -> Result<u32, Error> {
        let mut offsets = BTreeMap::new();
        for (first, child) in &self.children {
            offsets.insert(*first, child.write(out)?);
        }
        if out.len() > MAX_OFFSET {
            return Err(Error::TooLarge);
        }
        let mut offset = u32::try_from(out.len()).map_err(|_| Error::TooLarge)?;
        if !self.prefix.is_empty() {
            out.extend_from_slice(&self.prefix);
            out.push(0);
            offset |= HAS_PREFIX;
        }
        if let (Some((first, _)), Some((last, _))) = (offsets.first_key_value(), offsets.last_key_value()) {
            out.extend_from_slice(&[*first, *last]);
            for byte in *first..=*last {
                out.extend_from_slice(&offsets.get(&byte).copied().unwrap_or(0).to_be_bytes());
            }
            offset |= HAS_CHILDREN;
        }
        if !self.values.is_empty() {
            let count = u32::try_from(self.values.len()).map_err(|_| Error::TooLarge)?;
            out.extend_from_slice(&count.to_be_bytes());
            for (priority, value) in &self.values {
                out.extend_from_slice(&priority.to_be_bytes());
                out.extend_from_slice(value.as_bytes());
                out.push(0);
            }
            offset |= HAS_VALUES;
        }
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_index_cannot_hold() {
        let mut trie = Trie::default();
        assert!(matches!(trie.insert("ä", "x", 0), Err(Error::NotAscii(_))));
        assert!(matches!(trie.insert("a", "x\0", 0), Err(Error::NotAscii(_))));
        assert_eq!(trie.insert(&"a".repeat(4096), "x", 0), Err(Error::KeyTooLong(4096)));
    }

    #[test]
    fn values_are_ordered_by_priority() {
        let mut trie = Trie::default();
        for (value, priority) in [("b", 2), ("a", 1), ("c", 2)] {
            trie.insert("key", value, priority).unwrap();
        }
        let bytes = trie.write().unwrap();
        let order: Vec<u8> = bytes.iter().copied().filter(|b| b"abc".contains(b)).collect();
        assert_eq!(order, b"acb");
    }
}
