//! A disk as bytes with a cache in front of it, and the one below /dev.

use super::Error;
use crate::disks;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// What an installation does with a disk. What was written is on the disk for
/// certain only after a flush.
pub trait Disk {
    /// Fills a buffer.
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes a range read as zeroes.
    fn zero(&self, at: u64, len: u64) -> io::Result<()>;
    /// Waits until everything is on the disk. What is read afterwards comes from there.
    fn flush(&self) -> io::Result<()>;

    /// Makes the kernel forget all partitions; fails when one is in use.
    fn forget_partitions(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    /// Makes the kernel look at the table. That it cannot read one is no failure:
    /// partitions are announced when they are used.
    fn reread_partitions(&self) {}
}

/// A block device, for this process alone.
#[derive(Debug)]
pub(crate) struct BlockDevice {
    file: File,
}

impl BlockDevice {
    /// Opens a whole disk. Nothing of it may be mounted or in a RAID or a mapping,
    /// and can be while it is open.
    pub(crate) fn open(node: &Path) -> io::Result<Self> {
        let flags = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(node)?;
        Ok(Self { file })
    }

    /// Opens a whole disk of which another part is in use.
    pub(crate) fn open_shared(node: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().read(true).write(true).open(node)? })
    }
}

impl Disk for BlockDevice {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    fn zero(&self, at: u64, len: u64) -> io::Result<()> {
        Ok(syscalls::block::zero(&self.file, at, len)?)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_all()?;
        Ok(syscalls::block::drop_cache(&self.file)?)
    }

    fn forget_partitions(&self, name: &str) -> io::Result<()> {
        disks::known_partitions(name)
            .into_iter()
            .try_for_each(|number| Ok(syscalls::blkpg::delete_partition(&self.file, number)?))
    }

    fn reread_partitions(&self) {
        let _ = syscalls::block::reread_partitions(&self.file);
    }
}

/// Part of a disk, for writers that want a file. What they write to the first `held`
/// bytes is kept back: it is what makes the rest valid, and goes last.
pub(crate) struct Window<'a> {
    disk: &'a dyn Disk,
    origin: u64,
    at: u64,
    held: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, origin: u64, held: usize) -> Self {
        Self { disk, origin, at: 0, held: vec![0; held] }
    }

    /// Writes what was kept back, after everything else is on the disk.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.disk.flush()?;
        if !self.held.is_empty() {
            self.disk.write(self.origin, &self.held)?;
            self.disk.flush()?;
        }
        Ok(())
    }
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let taken = match self.held.get_mut(at..) {
            Some(room) if !room.is_empty() => {
                let len = room.len().min(bytes.len());
                room[..len].copy_from_slice(&bytes[..len]);
                len
            }
            _ => {
                self.disk.write(self.origin + self.at, bytes)?;
                bytes.len()
            }
        };
        self.at += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Gives an I/O error its disk and what was being done.
pub(crate) fn on<'a>(disk: &'a str, doing: &'static str) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::Disk { disk: disk.to_owned(), doing, source }
}
