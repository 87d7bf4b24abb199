//! dm-verity: the superblock, a reader of the hash tree, and (feature `write`) its maker.
//!
//! Format 1 with sha256 and 4096-byte blocks on both sides, as `veritysetup`
//! makes it and as `Documentation/admin-guide/device-mapper/verity.rst` and
//! cryptsetup's `docs/on-disk-format` (wiki page "DMVerity") describe it. The
//! kernel needs the table only; the superblock is for people and tools, and
//! for PID 1, which makes the table from it.
//!
//! Nothing here decides whether a root hash is to be trusted.

#[cfg(feature = "write")]
mod build;
mod tree;

#[cfg(feature = "write")]
pub use build::{Built, build};
pub use tree::{Tree, TreeError, device_bytes};

use std::ops::Range;

/// Bytes of a data block and of a hash block.
pub const BLOCK: u64 = 4096;

/// A root hash.
pub type Hash = [u8; 32];

/// Where everything is in the first 512 bytes of a hash device.
mod field {
    use super::Range;

    pub(super) const SIGNATURE: Range<usize> = 0..8;
    pub(super) const VERSION: Range<usize> = 8..12;
    pub(super) const HASH_TYPE: Range<usize> = 12..16;
    pub(super) const UUID: Range<usize> = 16..32;
    pub(super) const ALGORITHM: Range<usize> = 32..64;
    pub(super) const DATA_BLOCK_SIZE: Range<usize> = 64..68;
    pub(super) const HASH_BLOCK_SIZE: Range<usize> = 68..72;
    pub(super) const DATA_BLOCKS: Range<usize> = 72..80;
    pub(super) const SALT_SIZE: Range<usize> = 80..82;
    pub(super) const SALT: Range<usize> = 88..120;
    /// The salt field has room for 256 bytes.
    pub(super) const AFTER_SALT: Range<usize> = 120..512;
}

const SIGNATURE: &[u8; 8] = b"verity\0\0";
const ALGORITHM: &[u8; 32] = b"sha256\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What a hash device says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Names the pair of devices; says nothing about their content.
    pub uuid: [u8; 16],
    /// Number of 4096-byte data blocks: at least 1.
    pub data_blocks: u64,
    /// Hashed before every block.
    pub salt: [u8; 32],
}

/// Why bytes are not a superblock of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuperblockError {
    /// Fewer than 512 bytes.
    #[error("{0} bytes are too few for a verity superblock, which has 512")]
    Short(usize),
    /// No signature: this is not a hash device, or an empty one.
    #[error("there is no verity superblock: the signature is missing")]
    Signature,
    /// A value this code does not handle although the kernel may.
    #[error("the verity superblock has {field} {found}; only {expected} is supported")]
    Unsupported {
        /// Which.
        field: &'static str,
        /// What it has.
        found: u64,
        /// What it must have.
        expected: u64,
    },
    /// Another hash algorithm.
    #[error("the verity superblock names a hash algorithm other than sha256")]
    Algorithm,
    /// The number of data blocks is 0, or too large to be counted in bytes.
    #[error("the verity superblock counts {0} data blocks, which is impossible")]
    DataBlocks(u64),
}

impl Superblock {
    /// Reads a superblock from the start of a hash device; bytes after the
    /// first 512 are not looked at.
    ///
    /// # Errors
    /// When it is not a superblock of format 1 with sha256, 4096-byte blocks
    /// and a 32-byte salt.
    pub fn parse(bytes: &[u8]) -> Result<Self, SuperblockError> {
        let Some(bytes) = bytes.first_chunk::<512>() else {
            return Err(SuperblockError::Short(bytes.len()));
        };
        if bytes[field::SIGNATURE] != *SIGNATURE {
            return Err(SuperblockError::Signature);
        }
        let le = |range: Range<usize>| {
            bytes[range].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        for (name, range, expected) in [
            ("version", field::VERSION, 1),
            ("hash type", field::HASH_TYPE, 1),
            ("data block size", field::DATA_BLOCK_SIZE, BLOCK),
            ("hash block size", field::HASH_BLOCK_SIZE, BLOCK),
            ("salt size", field::SALT_SIZE, 32),
        ] {
            let found = le(range);
            if found != expected {
                return Err(SuperblockError::Unsupported { field: name, found, expected });
            }
        }
        if bytes[field::ALGORITHM] != *ALGORITHM {
            return Err(SuperblockError::Algorithm);
        }
        let data_blocks = le(field::DATA_BLOCKS);
        if data_blocks == 0 || data_blocks > i64::MAX.unsigned_abs() / BLOCK {
            return Err(SuperblockError::DataBlocks(data_blocks));
        }
        let (mut uuid, mut salt) = ([0; 16], [0; 32]);
        uuid.copy_from_slice(&bytes[field::UUID]);
        salt.copy_from_slice(&bytes[field::SALT]);
        Ok(Self { uuid, data_blocks, salt })
    }

    /// The superblock as it is on disk.
    pub fn encode(&self) -> [u8; 512] {
        let mut out = [0; 512];
        out[field::SIGNATURE].copy_from_slice(SIGNATURE);
        out[field::VERSION].copy_from_slice(&1u32.to_le_bytes());
        out[field::HASH_TYPE].copy_from_slice(&1u32.to_le_bytes());
        out[field::UUID].copy_from_slice(&self.uuid);
        out[field::ALGORITHM].copy_from_slice(ALGORITHM);
        out[field::DATA_BLOCK_SIZE].copy_from_slice(&4096u32.to_le_bytes());
        out[field::HASH_BLOCK_SIZE].copy_from_slice(&4096u32.to_le_bytes());
        out[field::DATA_BLOCKS].copy_from_slice(&self.data_blocks.to_le_bytes());
        out[field::SALT_SIZE].copy_from_slice(&32u16.to_le_bytes());
        out[field::SALT].copy_from_slice(&self.salt);
        out[field::AFTER_SALT].fill(0);
        out
    }

    /// Bytes of the data device that are protected.
    pub fn data_bytes(&self) -> u64 {
        self.data_blocks.saturating_mul(BLOCK)
    }

    /// The parameters of a device-mapper target `verity` over `data_blocks * 8`
    /// sectors. `hash_start`: first block of the tree on the hash device, 1
    /// when a superblock comes before it. Devices are paths or `major:minor`.
    pub fn table(&self, data_device: &str, hash_device: &str, hash_start: u64, root: &Hash) -> String {
        let Self { data_blocks, salt, .. } = self;
        format!(
            "1 {data_device} {hash_device} {BLOCK} {BLOCK} {data_blocks} {hash_start} sha256 {} {}",
            hex(root),
            hex(salt)
        )
    }
}

/// Lower-case hexadecimal, as tables and command lines want hashes.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Superblock = Superblock { uuid: [7; 16], data_blocks: 9, salt: [0xab; 32] };

    #[test]
    fn superblock_comes_back() {
        assert_eq!(Superblock::parse(&GOOD.encode()), Ok(GOOD));
    }

    #[test]
    fn every_broken_field_has_its_error() {
        let broken = |at: usize, byte: u8| {
            let mut bytes = GOOD.encode();
            bytes[at] = byte;
            Superblock::parse(&bytes).unwrap_err()
        };
        let unsupported = |field, found, expected| SuperblockError::Unsupported { field, found, expected };
        assert_eq!(Superblock::parse(&[0; 511]), Err(SuperblockError::Short(511)));
        assert_eq!(broken(0, b'V'), SuperblockError::Signature);
        assert_eq!(broken(8, 2), unsupported("version", 2, 1));
        assert_eq!(broken(12, 0), unsupported("hash type", 0, 1));
        assert_eq!(broken(35, b'5'), SuperblockError::Algorithm);
        assert_eq!(broken(38, b'x'), SuperblockError::Algorithm);
        assert_eq!(broken(65, 2), unsupported("data block size", 512, 4096));
        assert_eq!(broken(69, 2), unsupported("hash block size", 512, 4096));
        assert_eq!(broken(72, 0), SuperblockError::DataBlocks(0));
        assert_eq!(broken(79, 0x80), SuperblockError::DataBlocks(0x8000_0000_0000_0009));
        assert_eq!(broken(80, 31), unsupported("salt size", 31, 32));
    }

    #[test]
    fn table_is_what_the_kernel_documents() {
        assert_eq!(
            GOOD.table("254:0", "/dev/vdb", 1, &[0x0f; 32]),
            format!("1 254:0 /dev/vdb 4096 4096 9 1 sha256 {} {}", "0f".repeat(32), "ab".repeat(32))
        );
    }
}
