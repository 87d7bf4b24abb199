//! The disks of a sled: looked at, searched for /usr.

mod find;
mod gpt;
mod look;

pub use find::{Found, find};
pub use look::{device_of, look};

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
    Gpt(Gpt),
    /// No GPT.
    Other,
    /// The disk does not let itself be read, or its GPT is damaged, and how.
    Unreadable(String),
}

/// A GUID partition table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpt {
    /// The disk's GUID as lower-case text.
    pub guid: String,
    /// The first copy is damaged; this is the second.
    pub from_backup: bool,
    /// In the order of their numbers.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Number, from 1.
    pub number: u32,
    /// Type GUID as lower-case text.
    pub kind: String,
    /// The partition's own GUID as lower-case text.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// Bytes from the start of the disk.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, bytes, model, content } = self;
        write!(f, "{name} {}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)?;
        if !model.is_empty() {
            write!(f, " {model}")?;
        }
        match content {
            Content::Gpt(gpt) => {
                let names: Vec<_> = gpt.partitions.iter().map(|p| p.name.as_str()).collect();
                write!(f, ": {}", if names.is_empty() { "no partitions".to_owned() } else { names.join(" ") })
            }
            Content::Other => f.write_str(": no GPT"),
            Content::Unreadable(why) => write!(f, ": {why}"),
        }
    }
}
