//! Looking at the disks: sysfs says which there are, the disks what is on them.

use super::{Content, Disk};
use crate::probe::EDGE;
use formats::gpt::{self, HeaderError, Partition, ReadError};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const CLASS: &str = "/sys/class/block";

/// All disks by name, with their partition tables. Disks without a medium are left out.
pub fn look() -> Vec<Disk> {
    super::names(Path::new("/sys")).iter().filter_map(|name| look_at(name)).collect()
}

/// One disk by its kernel name, whatever kind of block device it is; `None` when it
/// is none, or has no medium.
pub fn look_at(name: &str) -> Option<Disk> {
    let dir = Path::new(CLASS).join(name);
    // `hidden`: one of the paths to a multipath NVMe disk, without a device node.
    if dir.join("partition").exists() || number(&dir.join("hidden")) == Some(1) {
        return None;
    }
    // In units of 512 bytes, whatever the sectors are.
    let bytes = number(&dir.join("size"))?.checked_mul(512).filter(|bytes| *bytes > 0)?;
    let sector = u32::try_from(number(&dir.join("queue/logical_block_size"))?).ok()?;
    let model = fs::read_to_string(dir.join("device/model")).unwrap_or_default();
    Some(Disk {
        name: name.to_owned(),
        bytes,
        model: model.trim().to_owned(),
        content: content(name, bytes, sector),
    })
}

fn content(name: &str, bytes: u64, sector: u32) -> Content {
    // Opening a disk makes the kernel look for its partitions first.
    let disk = match File::open(node(name)) {
        Ok(disk) => disk,
        Err(error) => return Content::Unreadable(format!("does not open ({error})")),
    };
    match gpt::read(bytes, sector, |at, buffer| disk.read_exact_at(buffer, at)) {
        Ok(table) => Content::Gpt(table),
        Err(ReadError::Unusable { primary: HeaderError::Signature, backup: HeaderError::Signature }) => {
            Content::Other
        }
        Err(error) => Content::Unreadable(error.to_string()),
    }
}

/// The device node of a partition. The kernel is told of it when it did not see
/// it, as with a damaged first copy of the table.
///
/// # Errors
/// The kernel's, when it does not accept the partition.
pub fn device_of(disk: &str, partition: &Partition) -> io::Result<PathBuf> {
    if let Some(node) = known(disk, partition) {
        return Ok(node);
    }
    let open = File::open(node(disk))?;
    syscalls::blkpg::add_partition(&open, partition.number, partition.start, partition.size)?;
    known(disk, partition).ok_or_else(|| io::Error::other("the kernel does not show the partition"))
}

/// Whether a disk or a partition of it takes no writes, as the kernel knows.
pub fn is_read_only(disk: &str, partition: &Partition) -> bool {
    let flag = |name: &str| number(&Path::new(CLASS).join(name).join("ro")) == Some(1);
    let own = known(disk, partition).and_then(|node| node.file_name()?.to_str().map(flag));
    flag(disk) || own == Some(true)
}

/// Numbers of the partitions of a disk that the kernel knows.
pub fn known_partitions(disk: &str) -> Vec<u32> {
    let entries = fs::read_dir(Path::new(CLASS).join(disk)).into_iter().flatten().flatten();
    entries.filter_map(|entry| u32::try_from(number(&entry.path().join("partition"))?).ok()).collect()
}

fn known(disk: &str, partition: &Partition) -> Option<PathBuf> {
    let entries = fs::read_dir(Path::new(CLASS).join(disk)).ok()?.flatten();
    let mut names = entries.filter_map(|entry| {
        let is = |file: &str, value| number(&entry.path().join(file)) == Some(value);
        let same = is("partition", partition.number.into())
            && is("start", partition.start / 512)
            && is("size", partition.size / 512);
        same.then(|| entry.file_name())
    });
    names.next().map(|name| Path::new("/dev").join(name))
}

/// The first and the last bytes of a disk or a part of it, [`EDGE`] of them or all there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// From its start.
    pub head: Vec<u8>,
    /// Up to its end.
    pub tail: Vec<u8>,
}

/// Reads both edges of the part of a disk that begins at `start` and has so many bytes.
///
/// # Errors
/// The kernel's.
pub fn edges(disk: &str, start: u64, bytes: u64) -> io::Result<Edges> {
    edges_of(&node(disk), start, bytes)
}

/// As [`edges`], through a device node. A disk and its partitions have caches of their own: what
/// was written through one is for certain read through that one only.
///
/// # Errors
/// The kernel's.
pub fn edges_of(node: &Path, start: u64, bytes: u64) -> io::Result<Edges> {
    let file = File::open(node)?;
    let len = usize::try_from(bytes.min(EDGE)).unwrap_or(0);
    let (mut head, mut tail) = (vec![0; len], vec![0; len]);
    file.read_exact_at(&mut head, start)?;
    file.read_exact_at(&mut tail, start + bytes - len as u64)?;
    Ok(Edges { head, tail })
}

/// The device node of a disk. sysfs writes `!` for a `/` in a name (`cciss!c0d0`).
pub fn node(name: &str) -> PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
