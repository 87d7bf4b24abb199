//! What can be wrong.

use std::io;

/// Why a filesystem could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is out of its range.
    #[error("ext4: {option} is {value}; it must be {must_be}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        must_be: &'static str,
    },
    /// The tree is larger than the filesystem.
    #[error(
        "ext4: the tree does not fit into {size} bytes: {missing} bytes more are needed; enlarge the filesystem or put less into it"
    )]
    TooSmall {
        /// Size of the filesystem, bytes.
        size: u64,
        /// Bytes that are missing. A larger filesystem may need a little more
        /// for its own tables.
        missing: u64,
    },
    /// More nodes than the filesystem can have inodes.
    #[error(
        "ext4: the tree has {nodes} nodes, but {size} bytes can have at most {inodes} inodes; enlarge the filesystem"
    )]
    TooManyNodes {
        /// Nodes in the tree, and the filesystem's own inodes.
        nodes: u64,
        /// Most inodes that are possible.
        inodes: u64,
        /// Size of the filesystem, bytes.
        size: u64,
    },
    /// A hard link to something that is not there, or that cannot have links.
    #[error(
        "ext4: the hard link /{path} leads to /{target}, which is not a file; link to a file that is in the tree"
    )]
    Hardlink {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// More than 65 000 names for one file.
    #[error("ext4: /{path} has more than 65000 hard links; make copies")]
    TooManyLinks {
        /// The file.
        path: String,
    },
    /// A symbolic link without a target, with a NUL in it, or of more than 4095 bytes.
    #[error(
        "ext4: the symbolic link /{path} has a target of {len} bytes; 1 to 4095 bytes without NUL are possible"
    )]
    Symlink {
        /// The link.
        path: String,
        /// Length of its target.
        len: usize,
    },
    /// A device number that does not fit.
    #[error("ext4: the device /{path} has the number {major}:{minor}; at most 4095:1048575 is possible")]
    Device {
        /// The device.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// Something other than a directory is called `lost+found`.
    #[error("ext4: /lost+found is not a directory; fsck needs it, rename the file")]
    LostAndFound,
    /// A mode with bits that are not permissions.
    #[error("ext4: /{path} has the mode {mode:o}; at most 7777 is possible")]
    Mode {
        /// The node.
        path: String,
        /// Its mode.
        mode: u16,
    },
    /// A file of 16 TiB or more.
    #[error("ext4: /{path} has {len} bytes; a file must have less than 16 TiB")]
    TooLong {
        /// The file.
        path: String,
        /// Its length, bytes.
        len: u64,
    },
    /// An extended attribute that cannot be stored.
    #[error("ext4: the extended attribute {name} of /{path} cannot be stored: {reason}")]
    Xattr {
        /// The node.
        path: String,
        /// Name of the attribute.
        name: String,
        /// Why.
        reason: XattrReason,
    },
    /// The content of a file could not be read.
    #[error("ext4: the content of /{path} could not be read")]
    Read {
        /// The file.
        path: String,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// The filesystem could not be written.
    #[error("ext4: the filesystem could not be written")]
    Write(
        /// What the writer said.
        #[from]
        io::Error,
    ),
}

/// Why an extended attribute cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XattrReason {
    /// Not one of `user.`, `trusted.`, `security.`.
    #[error("only user.*, trusted.* and security.* are possible")]
    Namespace,
    /// No name after the prefix, a NUL in it, or more than 255 bytes.
    #[error("its name must have 1 to 255 bytes after the prefix, without NUL")]
    Name,
    /// `user.*` on something that is neither a file nor a directory.
    #[error("user.* is possible on files and directories only")]
    Kind,
    /// All attributes of a node together are too large.
    #[error("all attributes of a node together must fit into about 4 kB")]
    Space,
}
