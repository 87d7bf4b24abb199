//! Why an image cannot be read.

use std::io;

use crate::tree::NotADirectory;

/// Why a squashfs image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source does not read.
    #[error("squashfs: {structure} at byte {offset} does not read")]
    Io {
        /// What was being read.
        structure: &'static str,
        /// Byte of the image.
        offset: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// There is no squashfs here.
    #[error("squashfs: there is none: {0}")]
    NotSquashfs(
        /// What is missing.
        &'static str,
    ),
    /// A squashfs this code does not read although the kernel may.
    #[error("squashfs: {what} {found} is not supported, only {expected}")]
    Unsupported {
        /// Which property.
        what: &'static str,
        /// What it is.
        found: u64,
        /// What it must be.
        expected: &'static str,
    },
    /// A structure says something impossible.
    #[error("squashfs: {structure} at byte {offset} is damaged: {why}")]
    Damaged {
        /// Which structure.
        structure: &'static str,
        /// Byte of the image where it, or the metadata block it is in, starts.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// More than any image of ours has: a bomb.
    #[error("squashfs: the image has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are read.
        limit: u64,
    },
    /// Something is below what is not a directory.
    #[error("squashfs: two entries are in each other's way")]
    Place(#[from] NotADirectory),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
