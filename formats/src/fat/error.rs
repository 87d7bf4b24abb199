//! What can be wrong.

use std::io;

/// Why a filesystem could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The size is out of range.
    #[error(
        "FAT32: {size} bytes are not possible; the size must be a multiple of {sector} from {min} bytes to 2 TiB"
    )]
    Size {
        /// The size asked for.
        size: u64,
        /// Bytes in a sector.
        sector: u16,
        /// The smallest possible one.
        min: u64,
    },
    /// Disks have no such sectors.
    #[error("FAT32: sectors of {0} bytes are not possible; 512 to 4096 in powers of two are")]
    SectorSize(
        /// The size asked for.
        u32,
    ),
    /// The label cannot be a volume label.
    #[error(
        "FAT32: the label {label:?} is not possible; it must have at most 11 of A-Z 0-9 space and !#$%&'()-@^_`{{}}~, and not start with a space"
    )]
    Label {
        /// The label.
        label: String,
    },
    /// The tree is larger than the filesystem.
    #[error(
        "FAT32: the tree does not fit into {size} bytes: {missing} bytes more are needed; enlarge the filesystem or put less into it"
    )]
    TooSmall {
        /// Size of the filesystem, bytes.
        size: u64,
        /// Bytes that are missing. A larger filesystem may need a little more
        /// for its own tables.
        missing: u64,
    },
    /// A node that is neither a directory nor a file.
    #[error("FAT32: /{path} is a {kind}; only directories and files are possible")]
    Kind {
        /// The node.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A hard link to something that is not a file of the tree.
    #[error(
        "FAT32: the hard link /{path} leads to /{target}, which is not a file; link to a file that is in the tree"
    )]
    Hardlink {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A name that FAT cannot hold.
    #[error("FAT32: the name of /{path} is not possible: {reason}; rename it")]
    Name {
        /// The node.
        path: String,
        /// What is wrong with its name.
        reason: NameReason,
    },
    /// Two names in one directory that differ only in case.
    #[error("FAT32: /{first} and /{second} differ only in case, which FAT does not tell apart; rename one")]
    CaseCollision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A file of 4 GiB or more.
    #[error("FAT32: /{path} has {len} bytes; a file may have at most 4294967295")]
    FileTooLong {
        /// The file.
        path: String,
        /// Its length, bytes.
        len: u64,
    },
    /// A directory with more than 2 MiB of entries.
    #[error(
        "FAT32: the directory /{path} has too many entries ({entries}); at most 65536 are possible, long names take several"
    )]
    DirectoryTooLong {
        /// The directory.
        path: String,
        /// Entries needed.
        entries: usize,
    },
    /// The content of a file could not be read.
    #[error("FAT32: the content of /{path} could not be read")]
    Read {
        /// The file.
        path: String,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// The filesystem could not be written.
    #[error("FAT32: the filesystem could not be written")]
    Write(
        /// What the writer said.
        #[from]
        io::Error,
    ),
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameReason {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A character that long names may not have.
    #[error("it has the character {0:?}")]
    Character(
        /// The character.
        char,
    ),
    /// A dot or a space at the end, which readers drop.
    #[error("it ends with a dot or a space")]
    End,
    /// A space at the start, which readers drop.
    #[error("it starts with a space")]
    Start,
    /// More than 255 UTF-16 units.
    #[error("it has more than 255 characters")]
    TooLong,
    /// So many similar names that no short name is left.
    #[error("too many names of the directory begin like it")]
    NoShortName,
}
