//! The superblock in front of a verity tree.
//!
//! Source: cryptsetup wiki, "DMVerity", and `lib/verity/verity.c`.

/// Bytes on disk.
pub(super) const SIZE: usize = 512;

/// How to compute the tree behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// UUID of the tree.
    pub uuid: [u8; 16],
    /// Bytes in a data block: a power of two, 512 to 4096.
    pub data_block_size: u32,
    /// Bytes in a hash block: a power of two, 512 to 4096.
    pub hash_block_size: u32,
    /// How many data blocks.
    pub data_blocks: u64,
    /// Salt, 0 to 256 bytes, put before each block.
    pub salt: Vec<u8>,
}

/// Why a superblock cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else is on the partition.
    #[error("no verity superblock")]
    Missing,
    /// A version or hash algorithm other than version 1, type 1, SHA-256.
    #[error("verity data of a kind that is not used here")]
    Unsupported,
    /// A field with an impossible value.
    #[error("the verity superblock has an impossible {0}")]
    Field(&'static str),
}

impl Superblock {
    /// Reads it.
    ///
    /// # Errors
    /// When it is none, or none that can be used.
    pub fn parse(block: &[u8; SIZE]) -> Result<Self, Error> {
        let (magic, rest) = block.split_at(8);
        if magic != b"verity\0\0" {
            return Err(Error::Missing);
        }
        let (kind, rest) = rest.split_at(8);
        let (uuid, rest) = rest.split_first_chunk().ok_or(Error::Missing)?;
        let (algorithm, rest) = rest.split_at(32);
        if kind != [1, 0, 0, 0, 1, 0, 0, 0] || algorithm.split(|b| *b == 0).next() != Some(b"sha256") {
            return Err(Error::Unsupported);
        }
        let (data, rest) = rest.split_first_chunk().ok_or(Error::Missing)?;
        let (hash, rest) = rest.split_first_chunk().ok_or(Error::Missing)?;
        let (blocks, rest) = rest.split_first_chunk().ok_or(Error::Missing)?;
        let (salt_size, rest) = rest.split_first_chunk().ok_or(Error::Missing)?;
        let size = |bytes: &[u8; 4], what| {
            let size = u32::from_le_bytes(*bytes);
            let fits = size.is_power_of_two() && (512..=4096).contains(&size);
            if fits { Ok(size) } else { Err(Error::Field(what)) }
        };
        // Six bytes of padding, then room for 256 bytes of salt.
        let salt = rest.get(6..262).and_then(|room| room.get(..usize::from(u16::from_le_bytes(*salt_size))));
        Ok(Self {
            uuid: *uuid,
            data_block_size: size(data, "data block size")?,
            hash_block_size: size(hash, "hash block size")?,
            data_blocks: u64::from_le_bytes(*blocks),
            salt: salt.ok_or(Error::Field("salt"))?.to_vec(),
        })
    }
}
