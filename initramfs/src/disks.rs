//! The disks of a sled: described, looked at, searched for /usr.

mod describe;
mod find;
mod look;
mod prefer;

pub use describe::{Description, describe, names};
pub use find::{Found, find};
pub use look::{Edges, device_of, edges, edges_of, is_read_only, known_partitions, look, look_at, node};

pub use prefer::{Preferred, prefer};

use formats::gpt;

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Kernel name: `nvme0n1`.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Model as the disk says, for people. May be empty.
    pub model: String,
    /// What is on it.
    pub content: Content,
}

/// What is on a disk, as far as partitions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A partition table.
    Gpt(gpt::Table),
    /// No GPT.
    Other,
    /// The disk does not let itself be read, or its GPT is damaged, and how.
    Unreadable(String),
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, bytes, model, content } = self;
        write!(f, "{name} {}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)?;
        if !model.is_empty() {
            write!(f, " {model}")?;
        }
        match content {
            Content::Gpt(table) if table.partitions.is_empty() => f.write_str(": no partitions"),
            Content::Gpt(table) => {
                f.write_str(":")?;
                table.partitions.iter().try_for_each(|p| write!(f, " {}", p.name))
            }
            Content::Other => f.write_str(": no GPT"),
            Content::Unreadable(why) => write!(f, ": {why}"),
        }
    }
}
