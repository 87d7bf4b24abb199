//! Hardware watchdogs.
//! Source: Linux `include/uapi/linux/watchdog.h`, `Documentation/watchdog/watchdog-api.rst`.

use rustix::fd::AsFd;
use rustix::io::{Errno, Result};
use rustix::ioctl;
use std::ffi::c_int;

/// `struct watchdog_info`.
#[repr(C)]
struct Info {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

const _: () = assert!(size_of::<Info>() == 40);

const GETSUPPORT: ioctl::Opcode = ioctl::opcode::read::<Info>(b'W', 0);
const KEEPALIVE: ioctl::Opcode = ioctl::opcode::read::<c_int>(b'W', 5);
const SETTIMEOUT: ioctl::Opcode = ioctl::opcode::read_write::<c_int>(b'W', 6);

/// The name of the hardware.
///
/// # Errors
/// `ENOTTY` when the descriptor is not a watchdog.
pub fn identity(watchdog: impl AsFd) -> Result<String> {
    // SAFETY: GETSUPPORT writes a `struct watchdog_info`, whose layout `Info` has, and
    // any bytes are a value of it.
    let info = unsafe { ioctl::ioctl(watchdog, ioctl::Getter::<GETSUPPORT, Info>::new()) }?;
    let end = info.identity.iter().position(|b| *b == 0).unwrap_or(info.identity.len());
    Ok(String::from_utf8_lossy(&info.identity[..end]).into_owned())
}

/// Sets how many seconds without [`feed`] reset the machine. Returns what the
/// hardware made of it.
///
/// # Errors
/// `EOPNOTSUPP` when it has a fixed timeout, `EINVAL` when it cannot do this one.
pub fn set_timeout(watchdog: impl AsFd, seconds: u32) -> Result<u32> {
    let mut value = c_int::try_from(seconds).map_err(|_| Errno::INVAL)?;
    // SAFETY: SETTIMEOUT reads and writes one int.
    unsafe { ioctl::ioctl(watchdog, ioctl::Updater::<SETTIMEOUT, c_int>::new(&mut value)) }?;
    u32::try_from(value).map_err(|_| Errno::INVAL)
}

/// Starts the time again.
///
/// # Errors
/// `ENOTTY` when the descriptor is not a watchdog.
pub fn feed(watchdog: impl AsFd) -> Result<()> {
    // SAFETY: KEEPALIVE ignores its argument.
    unsafe { ioctl::ioctl(watchdog, ioctl::NoArg::<KEEPALIVE>::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_is_no_watchdog_is_refused_by_the_kernel() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(identity(&null), Err(Errno::NOTTY));
        assert_eq!(set_timeout(&null, 60), Err(Errno::NOTTY));
        assert_eq!(set_timeout(&null, u32::MAX), Err(Errno::INVAL));
        assert_eq!(feed(&null), Err(Errno::NOTTY));
    }
}
