//! Telling the kernel about a partition it did not find by itself.
//!
//! The kernel reads the backup GPT only when booted with `gpt`; whoever read
//! the backup in user space can announce its partitions with `BLKPG`.
//! Source: Linux `include/uapi/linux/blkpg.h`.

use rustix::fd::AsFd;
use rustix::ioctl;
use std::ffi::{c_int, c_void};

const BLKPG: ioctl::Opcode = ioctl::opcode::none(0x12, 105);
const BLKPG_ADD_PARTITION: c_int = 1;
const BLKPG_DEL_PARTITION: c_int = 2;

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct Argument {
    op: c_int,
    flags: c_int,
    datalen: c_int,
    data: *mut c_void,
}

/// `struct blkpg_partition`. Both names are ignored by the kernel.
#[repr(C)]
struct Partition {
    /// Bytes from the start of the disk.
    start: i64,
    /// Bytes.
    length: i64,
    pno: c_int,
    devname: [u8; 64],
    volname: [u8; 64],
}

const _: () = assert!(size_of::<Argument>() == 24);
const _: () = assert!(size_of::<Partition>() == 152);

/// Adds partition `number` to an open disk: `start` and `length` in bytes,
/// multiples of the disk's sector size.
///
/// # Errors
/// `EBUSY` when the number is taken or the range overlaps a known partition,
/// `EINVAL` when it does not fit the disk or is out of range, `ENOTTY` when the
/// descriptor is not a disk.
pub fn add_partition(disk: impl AsFd, number: u32, start: u64, length: u64) -> rustix::io::Result<()> {
    call(disk, BLKPG_ADD_PARTITION, number, start, length)
}

/// Makes the kernel forget partition `number` of an open disk; the disk stays as it is.
///
/// # Errors
/// `ENXIO` when the kernel knows no such partition, `EBUSY` while it is in use.
pub fn delete_partition(disk: impl AsFd, number: u32) -> rustix::io::Result<()> {
    call(disk, BLKPG_DEL_PARTITION, number, 0, 0)
}

fn call(disk: impl AsFd, op: c_int, number: u32, start: u64, length: u64) -> rustix::io::Result<()> {
    let range = |v: u64| i64::try_from(v).map_err(|_| rustix::io::Errno::INVAL);
    let mut partition = Partition {
        start: range(start)?,
        length: range(length)?,
        pno: c_int::try_from(number).map_err(|_| rustix::io::Errno::INVAL)?,
        devname: [0; 64],
        volname: [0; 64],
    };
    let mut argument = Argument { op, flags: 0, datalen: 152, data: (&raw mut partition).cast::<c_void>() };
    // SAFETY: BLKPG takes a pointer to `struct blkpg_ioctl_arg`, whose layout
    // `Argument` has; `data` points to a live `struct blkpg_partition` of
    // `datalen` bytes. Both outlive the call, and the kernel keeps neither.
    unsafe { ioctl::ioctl(disk, ioctl::Updater::<BLKPG, Argument>::new(&mut argument)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_is_no_disk_is_refused_by_the_kernel() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(add_partition(&null, 1, 0, 4096), Err(rustix::io::Errno::NOTTY));
        assert_eq!(add_partition(&null, 1, u64::MAX, 4096), Err(rustix::io::Errno::INVAL));
    }
}
