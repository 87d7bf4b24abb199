//! Linux software RAID: starting an array whose members say what it is.
//!
//! Source: Linux `include/uapi/linux/raid/md_u.h`, `drivers/md/md.c` (`md_ioctl`).

use rustix::fd::AsFd;
use rustix::ioctl::{self, Opcode};
use std::ffi::c_int;

const MAJOR: u8 = 9;
const SET_ARRAY_INFO: Opcode = ioctl::opcode::write::<ArrayInfo>(MAJOR, 0x23);
const ADD_NEW_DISK: Opcode = ioctl::opcode::write::<DiskInfo>(MAJOR, 0x21);
const RUN_ARRAY: Opcode = ioctl::opcode::write::<[c_int; 3]>(MAJOR, 0x30);
const STOP_ARRAY: Opcode = ioctl::opcode::none(MAJOR, 0x32);

/// `mdu_array_info_t`: major, minor and patch version, then 15 numbers that are only
/// looked at when an array is made.
type ArrayInfo = [c_int; 18];
/// `mdu_disk_info_t`: number, major, minor, raid disk, state.
type DiskInfo = [c_int; 5];

/// Starts an array with metadata 1.2 on an open md device from its members: major and
/// minor number of each. The kernel reads their superblocks, leaves out what is not
/// fresh, and runs what is left, degraded if need be.
///
/// # Errors
/// The first of the kernel's: `EINVAL` for a member without a superblock, or of another
/// array; `EBUSY` when the device runs already or a member is in use; `ENOTTY` when the
/// descriptor is no md device. The device is stopped again then.
pub fn start(md: impl AsFd, members: &[(u32, u32)]) -> rustix::io::Result<()> {
    let mut version: ArrayInfo = [0; 18];
    (version[0], version[1]) = (1, 2);
    // SAFETY: SET_ARRAY_INFO takes a pointer to `mdu_array_info_t`, 18 `int`s (the two
    // unsigned ones have their size), which the kernel reads and does not keep.
    unsafe { ioctl::ioctl(&md, ioctl::Updater::<SET_ARRAY_INFO, ArrayInfo>::new(&mut version)) }?;
    let run = || {
        for (major, minor) in members {
            let number = |n: u32| c_int::try_from(n).map_err(|_| rustix::io::Errno::INVAL);
            let mut disk: DiskInfo = [0, number(*major)?, number(*minor)?, 0, 0];
            // SAFETY: ADD_NEW_DISK takes a pointer to `mdu_disk_info_t`, five `int`s,
            // which the kernel reads and does not keep.
            unsafe { ioctl::ioctl(&md, ioctl::Updater::<ADD_NEW_DISK, DiskInfo>::new(&mut disk)) }?;
        }
        let mut nothing = [0; 3];
        // SAFETY: RUN_ARRAY takes a pointer to `mdu_param_t`, three `int`s; the kernel
        // does not even look at it.
        unsafe { ioctl::ioctl(&md, ioctl::Updater::<RUN_ARRAY, [c_int; 3]>::new(&mut nothing)) }
    };
    run().inspect_err(|_| {
        // SAFETY: STOP_ARRAY has no argument.
        let _ = unsafe { ioctl::ioctl(&md, ioctl::NoArg::<STOP_ARRAY>::new()) };
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel_and_others_devices_are_refused() {
        // As mdadm's strace shows them.
        assert_eq!((SET_ARRAY_INFO, ADD_NEW_DISK, RUN_ARRAY), (0x4048_0923, 0x4014_0921, 0x400c_0930));
        assert_eq!(STOP_ARRAY, 0x932);
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(start(&null, &[(8, 1)]), Err(rustix::io::Errno::NOTTY));
    }
}
