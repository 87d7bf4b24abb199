//! Asking the baseboard management controller through the kernel's IPMI driver.
//! Source: Linux `include/uapi/linux/ipmi.h`, `Documentation/driver-api/ipmi.rst`.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::{Errno, Result};
use rustix::ioctl;
use std::ffi::{c_int, c_long, c_short, c_uchar, c_uint, c_ushort};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// `struct ipmi_system_interface_addr`: the BMC itself.
#[repr(C)]
struct Address {
    addr_type: c_int,
    channel: c_short,
    lun: c_uchar,
}
const SYSTEM_INTERFACE: c_int = 0x0c;
const BMC_CHANNEL: c_short = 0x0f;

/// `struct ipmi_msg`.
#[repr(C)]
struct Message {
    netfn: c_uchar,
    cmd: c_uchar,
    data_len: c_ushort,
    data: *mut c_uchar,
}

/// `struct ipmi_req`.
#[repr(C)]
struct Request {
    addr: *mut Address,
    addr_len: c_uint,
    msgid: c_long,
    msg: Message,
}

/// `struct ipmi_recv`.
#[repr(C)]
struct Received {
    recv_type: c_int,
    addr: *mut Address,
    addr_len: c_uint,
    msgid: c_long,
    msg: Message,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Address>() == 8 && size_of::<Message>() == 16);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Request>() == 40 && size_of::<Received>() == 48);

const RECEIVE_MSG_TRUNC: ioctl::Opcode = ioctl::opcode::read_write::<Received>(b'i', 11);
const SEND_COMMAND: ioctl::Opcode = ioctl::opcode::read::<Request>(b'i', 13);
/// A response to a command of ours.
const RESPONSE: c_int = 1;
/// The number of the next command: the kernel gives it back with the answer.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Sends a command to the BMC and waits for its answer: completion code, then data.
///
/// # Errors
/// `ENOTTY` when the descriptor is not an IPMI device, `ETIMEDOUT` when there is no
/// answer in time, else the driver's.
pub fn ask(device: impl AsFd, netfn: u8, command: u8, data: &[u8], patience: Duration) -> Result<Vec<u8>> {
    let device = device.as_fd();
    let mut data = data.to_vec();
    let mut address = Address { addr_type: SYSTEM_INTERFACE, channel: BMC_CHANNEL, lun: 0 };
    let data_len = c_ushort::try_from(data.len()).map_err(|_| Errno::INVAL)?;
    let msgid = c_long::from(NEXT.fetch_add(1, Ordering::Relaxed));
    let mut request = Request {
        addr: &raw mut address,
        addr_len: 8,
        msgid,
        msg: Message { netfn, cmd: command, data_len, data: data.as_mut_ptr() },
    };
    // SAFETY: SEND_COMMAND takes a pointer to `struct ipmi_req`, whose layout `Request`
    // has; `addr` and `msg.data` point to live memory of the lengths given beside them.
    // The kernel copies all of it during the call.
    unsafe { ioctl::ioctl(device, ioctl::Updater::<SEND_COMMAND, Request>::new(&mut request)) }?;

    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&device, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        // Events are not asked for, but queued; so is an answer that came too late for whoever asked.
        match receive(device) {
            Ok((RESPONSE, of, answer)) if of == msgid => return Ok(answer),
            Ok(_) | Err(Errno::AGAIN) if !left.is_zero() => {}
            Ok(_) => return Err(Errno::TIMEDOUT),
            Err(error) => return Err(error),
        }
    }
}

/// The kind of what was received, the number of its command, and its data.
fn receive(device: rustix::fd::BorrowedFd<'_>) -> Result<(c_int, c_long, Vec<u8>)> {
    let mut data = [0; 272]; // IPMI_MAX_MSG_LENGTH
    // `struct ipmi_addr`, which has room for any kind, is 40 bytes.
    let mut address = [0_u64; 6];
    let mut received = Received {
        recv_type: 0,
        addr: address.as_mut_ptr().cast(),
        addr_len: 48,
        msgid: 0,
        msg: Message { netfn: 0, cmd: 0, data_len: 272, data: data.as_mut_ptr() },
    };
    // SAFETY: RECEIVE_MSG_TRUNC takes a pointer to `struct ipmi_recv`, whose layout
    // `Received` has; `addr` and `msg.data` point to live memory that is as long as the
    // lengths beside them say, aligned for any address. The kernel writes no more.
    unsafe { ioctl::ioctl(device, ioctl::Updater::<RECEIVE_MSG_TRUNC, Received>::new(&mut received)) }?;
    let length = usize::from(received.msg.data_len);
    Ok((received.recv_type, received.msgid, data.get(..length).unwrap_or(&data).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_is_no_bmc_is_refused_by_the_kernel() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(ask(&null, 6, 1, &[], Duration::ZERO), Err(Errno::NOTTY));
    }
}
