//! Loop devices: a file as a block device.
//!
//! Source: Linux `include/uapi/linux/loop.h`; `LOOP_CONFIGURE` needs Linux 5.8.

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::ioctl::{self, Ioctl, Opcode};
use std::ffi::{c_int, c_void};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// Where the kernel (module `loop`) gives loop devices away.
const CONTROL: &str = "/dev/loop-control";

const LOOP_CTL_GET_FREE: Opcode = 0x4c82;
const LOOP_CLR_FD: Opcode = 0x4c01;
const LOOP_CONFIGURE: Opcode = 0x4c0a;
const FLAG_READ_ONLY: u32 = 1;
const FLAG_AUTOCLEAR: u32 = 4;
/// How often another process may take the free device before we do.
const TRIES: u32 = 64;

/// `struct loop_info64`; what is not set here stays zero.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232);
const _: () = assert!(size_of::<Config>() == 304);

/// Asks for the number of a free device, which is the call's return value.
struct GetFree;

// SAFETY: LOOP_CTL_GET_FREE takes no argument and writes to no memory; it returns
// a number or an error.
unsafe impl Ioctl for GetFree {
    type Output = c_int;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: ioctl::IoctlOutput, _: *mut c_void) -> rustix::io::Result<c_int> {
        Ok(out)
    }
}

/// A loop device. It goes away when this is dropped and nothing else (a mount, a
/// mapping) uses it any more.
#[derive(Debug)]
pub struct Loop {
    /// Its node: `/dev/loop0`.
    pub node: PathBuf,
    /// Keeps it alive.
    _device: File,
}

/// Takes the file from an open loop device; when others use the device, once they no longer do.
///
/// # Errors
/// `ENXIO` when it has none, `ENOTTY` when the descriptor is no loop device.
pub fn detach(device: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: LOOP_CLR_FD has no argument.
    unsafe { ioctl::ioctl(device, ioctl::NoArg::<LOOP_CLR_FD>::new()) }
}

/// Makes a device of a file. `sector_size` is its logical sector size in bytes, a
/// power of two from 512 to 4096; a file that is not a multiple of it loses its end.
///
/// # Errors
/// `ENOENT` without the module `loop`, `EINVAL` for a sector size the kernel does
/// not make or a kernel before 5.8, and what opening says.
pub fn attach(file: &File, sector_size: u32, read_only: bool) -> std::io::Result<Loop> {
    let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
    let fd = u32::try_from(file.as_raw_fd()).map_err(|_| Errno::BADF)?;
    let flags = FLAG_AUTOCLEAR | if read_only { FLAG_READ_ONLY } else { 0 };
    let mut last = Errno::BUSY;
    for _ in 0..TRIES {
        // SAFETY: `GetFree` passes no pointer.
        let number = unsafe { ioctl::ioctl(control.as_fd(), GetFree) }?;
        let node = PathBuf::from(format!("/dev/loop{number}"));
        let device = OpenOptions::new().read(true).write(!read_only).open(&node)?;
        let mut config = Config {
            fd,
            block_size: sector_size,
            info: Info {
                device: 0,
                inode: 0,
                rdevice: 0,
                offset: 0,
                size_limit: 0,
                number: 0,
                encrypt_type: 0,
                encrypt_key_size: 0,
                flags,
                file_name: [0; 64],
                crypt_name: [0; 64],
                encrypt_key: [0; 32],
                init: [0; 2],
            },
            reserved: [0; 8],
        };
        // SAFETY: LOOP_CONFIGURE takes a pointer to `struct loop_config`, whose
        // layout `Config` has; the kernel takes its own reference to the file and
        // keeps nothing of the memory.
        match unsafe { ioctl::ioctl(&device, ioctl::Updater::<LOOP_CONFIGURE, Config>::new(&mut config)) } {
            Ok(()) => return Ok(Loop { node, _device: device }),
            // Somebody else was faster.
            Err(Errno::BUSY) => last = Errno::BUSY,
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.into())
}
