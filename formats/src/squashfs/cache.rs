//! Compressed blocks kept from one build to the next.

use sha2::Digest as _;

use super::Options;
use super::compress::Block;
use crate::tree::Digest;

/// A store of compressed blocks that outlives one image.
///
/// The writer asks for an entry before it reads and compresses content, and
/// offers what it had to make. Entries carry a checksum, also of their key: what
/// a store garbles, cuts short or mixes up is found out and made anew. A store may forget
/// whatever it likes and keeps its own errors to itself.
pub trait BlockCache: Sync {
    /// The entry kept under a key.
    fn get(&self, key: &Digest) -> Option<Vec<u8>>;
    /// Offers an entry: up to 8 MiB and a little.
    fn put(&self, key: &Digest, data: &[u8]);
}

/// A cache that keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoCache;

impl BlockCache for NoCache {
    fn get(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }
    fn put(&self, _: &Digest, _: &[u8]) {}
}

/// Starts a key: everything but the content that decides the bytes of a block.
/// `kind` keeps entries of different make apart.
pub(super) fn key(options: &Options, kind: &str) -> sha2::Sha256 {
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"sledos squashfs 1 ");
    hasher.update(kind);
    hasher.update(zstd::zstd_safe::version_number().to_le_bytes());
    hasher.update(options.block_size.to_le_bytes());
    hasher.update(options.level.to_le_bytes());
    hasher
}

/// Set in the stored size of a block that is not compressed (`SQUASHFS_COMPRESSED_BIT_BLOCK`).
pub(super) const UNCOMPRESSED: u32 = 1 << 24;

/// Consecutive blocks as they go into the image, and as they are cached:
/// crc32 of the key and all that follows, one stored size per block, the blocks.
pub(super) struct Entry {
    bytes: Vec<u8>,
    blocks: usize,
}

/// Bytes of the checksum.
const CRC: usize = 4;

fn checksum(key: &Digest, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

impl Entry {
    /// Joins blocks, each with its stored size.
    pub(super) fn new(key: &Digest, parts: &[Block]) -> Self {
        let data: usize = parts.iter().map(|(_, block)| block.len()).sum();
        let mut bytes = Vec::with_capacity(CRC + 4 * parts.len() + data);
        bytes.extend([0; CRC]);
        bytes.extend(parts.iter().flat_map(|(size, _)| size.to_le_bytes()));
        for (_, block) in parts {
            bytes.extend_from_slice(block);
        }
        let crc = checksum(key, &bytes[CRC..]);
        bytes[..CRC].copy_from_slice(&crc.to_le_bytes());
        Self { bytes, blocks: parts.len() }
    }

    /// Takes what a cache gave under a key for blocks of these lengths before
    /// compression; `None` when it cannot be that.
    pub(super) fn check(
        key: &Digest,
        bytes: Vec<u8>,
        lengths: impl ExactSizeIterator<Item = u32>,
    ) -> Option<Self> {
        let blocks = lengths.len();
        let (crc, body) = bytes.split_first_chunk::<CRC>()?;
        let data = body.len().checked_sub(4 * blocks)?;
        if checksum(key, body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let entry = Self { bytes, blocks };
        let mut total = 0;
        for (size, length) in entry.sizes().zip(lengths) {
            let stored = size & (UNCOMPRESSED - 1);
            let good = if size & UNCOMPRESSED == 0 { stored < length } else { size == length | UNCOMPRESSED };
            if !good {
                return None;
            }
            total += usize::try_from(stored).ok()?;
        }
        (total == data).then_some(entry)
    }

    /// The stored size of each block: bytes in the image, 0 for a hole, with
    /// [`UNCOMPRESSED`] where it applies.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u32> {
        let (sizes, _) = self.bytes[CRC..CRC + 4 * self.blocks].as_chunks();
        sizes.iter().map(|size| u32::from_le_bytes(*size))
    }

    /// What goes into the image.
    pub(super) fn data(&self) -> &[u8] {
        &self.bytes[CRC + 4 * self.blocks..]
    }

    /// What goes into the cache.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Digest = [9; 32];

    fn entry() -> Vec<u8> {
        Entry::new(&KEY, &[(3, b"abc".to_vec()), (0, vec![]), (8 | UNCOMPRESSED, b"01234567".to_vec())]).bytes
    }

    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let crc = checksum(&KEY, &bytes[CRC..]);
        bytes[..CRC].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn a_good_entry_comes_back() {
        let e = Entry::check(&KEY, entry(), [8, 8, 8].into_iter()).unwrap();
        assert_eq!(e.sizes().collect::<Vec<_>>(), [3, 0, 8 | UNCOMPRESSED]);
        assert_eq!(e.data(), b"abc01234567");
    }

    #[test]
    fn damage_and_mix_ups_are_misses() {
        for at in 0..entry().len() {
            let mut bad = entry();
            bad[at] ^= 1;
            assert!(Entry::check(&KEY, bad, [8, 8, 8].into_iter()).is_none(), "byte {at}");
            assert!(
                Entry::check(&KEY, entry()[..at].to_vec(), [8, 8, 8].into_iter()).is_none(),
                "cut at {at}"
            );
        }
        assert!(Entry::check(&[8; 32], entry(), [8, 8, 8].into_iter()).is_none());
        assert!(Entry::check(&KEY, entry(), [8, 8].into_iter()).is_none());
        assert!(Entry::check(&KEY, entry(), [8, 8, 9].into_iter()).is_none());
        assert!(Entry::check(&KEY, entry(), [3, 8, 8].into_iter()).is_none());
    }

    #[test]
    fn a_good_checksum_does_not_excuse_bad_sizes() {
        let mut longer = entry();
        longer.push(b'8');
        assert!(Entry::check(&KEY, sealed(longer), [8, 8, 8].into_iter()).is_none());
        let mut high_bits = entry();
        high_bits[CRC + 11] |= 0x80;
        assert!(Entry::check(&KEY, sealed(high_bits), [8, 8, 8].into_iter()).is_none());
    }
}
