//! What an archive says about each path in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use formats::tree::{Digest, TreePath};

/// One member of an archive, without the bytes of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it belongs, as the archive says it: `lib/x`, not yet `usr/lib/x`.
    pub path: TreePath,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky: 0..=0o7777.
    pub mode: u16,
    /// Owner.
    pub user: Owner,
    /// Group.
    pub group: Owner,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A regular file.
    File(FileData),
    /// A symbolic link and the bytes it points to.
    Symlink(Vec<u8>),
    /// Another name of the regular file at this path of the same archive.
    Hardlink(TreePath),
    /// A character device.
    CharDev {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDev {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Where the bytes of a regular file are in the unpacked data, and how to check them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileData {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// sha256 of the bytes.
    pub sha256: Digest,
    /// crc32 of each [`CHUNK`] bytes, the last one shorter. Found out at every
    /// read, unlike the sha256.
    pub crcs: Arc<[u32]>,
}

/// Bytes under one crc32. squashfs reads blocks of this size or a multiple.
pub const CHUNK: usize = 128 << 10;

/// A user or group as an archive names it. Debian gives numbers meaning by
/// name only, so the number counts only where the name is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Name, may be empty.
    pub name: Arc<str>,
    /// Number.
    pub id: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.name {
            "" => write!(f, "{}", self.id),
            name => f.write_str(name),
        }
    }
}
