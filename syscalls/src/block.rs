//! Whole disks: zeroes, caches, partitions.
//!
//! Source: Linux `include/uapi/linux/fs.h`, `block/ioctl.c`.

use rustix::fd::AsFd;
use rustix::ioctl::{self, Opcode};

const BLKRRPART: Opcode = ioctl::opcode::none(0x12, 95);
const BLKFLSBUF: Opcode = ioctl::opcode::none(0x12, 97);
const BLKZEROOUT: Opcode = ioctl::opcode::none(0x12, 127);

/// Makes `length` bytes from `start` of an open disk read as zeroes: by telling the
/// disk where it can do that by itself, else by writing them. Both are multiples of
/// the sector size. The cache is consistent with it.
///
/// # Errors
/// `EBADF` when it is not open for writing, `EINVAL` when it is not within the disk,
/// `ENOTTY` when the descriptor is not a disk, `EIO`.
pub fn zero(disk: impl AsFd, start: u64, length: u64) -> rustix::io::Result<()> {
    let mut range = [start, length];
    // SAFETY: BLKZEROOUT takes a pointer to two `u64`, which it reads.
    unsafe { ioctl::ioctl(disk, ioctl::Updater::<BLKZEROOUT, [u64; 2]>::new(&mut range)) }
}

/// Writes back what is cached of an open disk and forgets it, so that what is read
/// next comes from the disk.
///
/// # Errors
/// `EACCES` without privileges, `ENOTTY` when the descriptor is not a disk.
pub fn drop_cache(disk: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: BLKFLSBUF has no argument.
    unsafe { ioctl::ioctl(disk, ioctl::NoArg::<BLKFLSBUF>::new()) }
}

/// Makes the kernel look at the partition table of an open disk again.
///
/// # Errors
/// `EBUSY` while a partition is in use, `EINVAL` when the disk has no partitions
/// for the kernel (a loop device without partition scan).
pub fn reread_partitions(disk: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: BLKRRPART has no argument.
    unsafe { ioctl::ioctl(disk, ioctl::NoArg::<BLKRRPART>::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_descriptor_that_is_no_disk_is_refused_by_the_kernel() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(zero(&null, 0, 4096), Err(Errno::NOTTY));
        assert_eq!(drop_cache(&null), Err(Errno::NOTTY));
        assert_eq!(reread_partitions(&null), Err(Errno::NOTTY));
    }
}
