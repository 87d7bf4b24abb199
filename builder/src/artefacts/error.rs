//! Why an artefact cannot be read.

use std::io;
use std::path::PathBuf;

use formats::{cpio, fat, gpt, pe, squashfs};

use crate::exit::{Classify, Exit};

/// Why an artefact cannot be read. `part` says which part of which file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// `read`, `open`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is none of the things we know.
    #[error(
        "{} is no image: {found}; give output/NAME/VERSION, or a disk.raw, .efi, .squashfs or initramfs.zst of one",
        path.display()
    )]
    NotAnImage {
        /// The file or directory.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// `manifest.json` is not one.
    #[error("{} is no manifest of this version of sledos; build the image again", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        source: serde_json::Error,
    },
    /// No copy of the partition table can be used.
    #[error("{part} has no usable partition table at bytes 512 and {backup}")]
    Gpt {
        /// What was read.
        part: String,
        /// Where the backup's header is.
        backup: u64,
        /// Why.
        source: gpt::ReadError,
    },
    /// The ESP cannot be read.
    #[error("cannot read {part}, which starts at byte {offset}")]
    Fat {
        /// What was read.
        part: String,
        /// First byte of it in its file.
        offset: u64,
        /// Why.
        source: fat::ReadError,
    },
    /// /usr cannot be read.
    #[error("cannot read {part}, which starts at byte {offset}")]
    Squashfs {
        /// What was read.
        part: String,
        /// First byte of it in its file.
        offset: u64,
        /// Why.
        source: squashfs::ReadError,
    },
    /// A compressed part does not unpack.
    #[error("{part} does not unpack: its zstd frame is damaged before or at byte {offset} of what it holds")]
    Zstd {
        /// What was read.
        part: String,
        /// Bytes that were unpacked.
        offset: u64,
        /// What zstd said.
        source: io::Error,
    },
    /// A part is larger than any of ours.
    #[error("{part} holds more than {limit} bytes")]
    TooLarge {
        /// What was read.
        part: String,
        /// How many are read.
        limit: u64,
    },
    /// The initramfs is no archive.
    #[error("cannot read the archive in {part}")]
    Cpio {
        /// What was read.
        part: String,
        /// Why.
        source: cpio::ReadError,
    },
    /// The UKI is no PE image.
    #[error("cannot read {part}")]
    Pe {
        /// What was read.
        part: String,
        /// Why.
        source: pe::Error,
    },
    /// The table of who put what where is not one.
    #[error("cannot read {part}")]
    Origins {
        /// What was read.
        part: String,
        /// Why.
        source: serde_json::Error,
    },
    /// It has not what was asked for.
    #[error("{} has no {wanted}", path.display())]
    Without {
        /// The image.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
    },
}

impl Error {
    /// For `map_err`: what was done to which file.
    pub(crate) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::Failure,
            Self::NotAnImage { .. } | Self::Without { .. } => Exit::Usage,
            _ => Exit::Verification,
        }
    }
}
