//! What a build prints at its end, for people.

use std::fmt;
use std::time::Duration;

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

/// A size as people read it.
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", tenths(1 << 10)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1 << 20)),
        _ => format!("{} GiB", tenths(1 << 30)),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.title)?;
        writeln!(f, "  {}", self.directory)?;
        writeln!(f, "  root hash {}", self.root_hash)?;
        writeln!(f, "\n  {:<16}{:>12}{:>12}   full", "partition", "used", "size")?;
        for (name, used, total) in &self.partitions {
            let percent = used * 100 / total.max(&1);
            writeln!(f, "  {name:<16}{:>12}{:>12}   {percent:>3} %", size(*used), size(*total))?;
        }
        let mut usr = self.usr.clone();
        usr.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest: u64 = usr.iter().skip(TOP).map(|(_, bytes)| bytes).sum();
        writeln!(f, "\n  {:<40}{:>12}", "in /usr, compressed", "size")?;
        for (name, bytes) in usr.iter().take(TOP) {
            writeln!(f, "  {name:<40}{:>12}", size(*bytes))?;
        }
        if usr.len() > TOP {
            writeln!(f, "  {:<40}{:>12}", format!("{} others", usr.len() - TOP), size(rest))?;
        }
        writeln!(f, "\n  {:<40}{:>12}", "in the initramfs, uncompressed", "size")?;
        for (name, bytes) in &self.initramfs {
            writeln!(f, "  {name:<40}{:>12}", size(*bytes))?;
        }
        writeln!(f, "  {:<40}{:>12}", "all of it, compressed", size(self.initramfs_size))?;
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

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_rounded_to_tenths() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1_626_341), "1.6 MiB");
        assert_eq!(size(u64::MAX), "17179869184.0 GiB");
    }
}
