//! What can go wrong while writing an image.

use std::io;

use crate::tree::TreePath;

/// Why a tree cannot be written as a squashfs image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The option is out of range.
    #[error("squashfs block size {0}: must be a power of two from 4096 to 1048576")]
    BlockSize(u32),
    /// The option is out of range.
    #[error("zstd level {0}: must be from 1 to 22")]
    Level(i32),
    /// A file's content could not be read.
    #[error("cannot read the content of /{path}")]
    Read {
        /// The file, the first one when several share the content.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// The image could not be written.
    #[error("cannot write the squashfs image")]
    Write(#[source] io::Error),
    /// zstd failed, which only a lack of memory makes it do.
    #[error("zstd cannot compress a block of the squashfs image")]
    Compress(#[source] io::Error),
    /// The caller did not want it any more.
    #[error("writing the squashfs image was stopped")]
    Stopped,
    /// A hard link leads nowhere.
    #[error("/{link} is a hard link to /{target}, which is not a regular file of the tree")]
    HardLink {
        /// The link.
        link: TreePath,
        /// What it should lead to.
        target: TreePath,
    },
    /// A node has something the format cannot hold.
    #[error("squashfs cannot hold /{path}: {why}")]
    Unsupported {
        /// The node.
        path: TreePath,
        /// What is too large or unknown, and the limit.
        why: &'static str,
    },
    /// The tree as a whole is beyond a limit of the format.
    #[error("too much for one squashfs image: more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
}
