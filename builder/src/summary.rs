//! What a build prints at its end, for people.

use std::fmt;
use std::time::Duration;

use crate::progress::bytes;

/// The result of a build at a glance.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Image name and version.
    pub title: String,
    /// Where it is.
    pub directory: String,
    /// dm-verity root hash.
    pub root_hash: String,
    /// Partition, bytes used, bytes available.
    pub partitions: Vec<(String, u64, u64)>,
    /// Bytes each origin (package, overlay, fix-up) takes in the compressed /usr.
    pub usr: Vec<(String, u64)>,
    /// What the initramfs is made of, in uncompressed bytes.
    pub initramfs: Vec<(String, u64)>,
    /// Compressed size of the initramfs.
    pub initramfs_size: u64,
    /// Time per stage.
    pub stages: Vec<(String, Duration)>,
    /// Things the operator should know.
    pub notes: Vec<String>,
}

/// How many packages are listed.
const TOP: usize = 12;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.title)?;
        writeln!(f, "  {}", self.directory)?;
        writeln!(f, "  root hash {}", self.root_hash)?;
        writeln!(f, "\n  {:<16}{:>12}{:>12}   full", "partition", "used", "size")?;
        for (name, used, total) in &self.partitions {
            let percent = used * 100 / total.max(&1);
            writeln!(f, "  {name:<16}{:>12}{:>12}   {percent:>3} %", bytes(*used), bytes(*total))?;
        }
        let mut usr = self.usr.clone();
        usr.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest: u64 = usr.iter().skip(TOP).map(|(_, size)| size).sum();
        writeln!(f, "\n  {:<40}{:>12}", "in /usr, compressed", "size")?;
        for (name, size) in usr.iter().take(TOP) {
            writeln!(f, "  {name:<40}{:>12}", bytes(*size))?;
        }
        if usr.len() > TOP {
            writeln!(f, "  {:<40}{:>12}", format!("{} others", usr.len() - TOP), bytes(rest))?;
        }
        writeln!(f, "\n  {:<40}{:>12}", "in the initramfs, uncompressed", "size")?;
        for (name, size) in &self.initramfs {
            writeln!(f, "  {name:<40}{:>12}", bytes(*size))?;
        }
        writeln!(f, "  {:<40}{:>12}", "all of it, compressed", bytes(self.initramfs_size))?;
        writeln!(f, "\n  {:<40}{:>12}", "stage", "time")?;
        for (name, time) in &self.stages {
            writeln!(f, "  {name:<40}{:>10.2} s", time.as_secs_f64())?;
        }
        for note in &self.notes {
            writeln!(f, "\n  note: {note}")?;
        }
        Ok(())
    }
}
