//! Whole Ethernet frames to and from one link.
//!
//! Source: packet(7), Linux `include/uapi/linux/if_packet.h` and `filter.h`.
//! rustix makes the socket and moves bytes; binding it to a link, its filter
//! and its multicast groups are what it does not wrap.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::ffi::{c_int, c_void};

/// `struct sockaddr_ll`.
#[repr(C)]
struct Address {
    family: u16,
    /// Ethertype in network byte order.
    protocol: u16,
    ifindex: c_int,
    hatype: u16,
    pkttype: u8,
    halen: u8,
    addr: [u8; 8],
}

const _: () = assert!(size_of::<Address>() == 20);

// SAFETY: the closure gets a pointer to a live `Address`, which has the layout
// of `struct sockaddr_ll`, and its size.
unsafe impl SocketAddrArg for Address {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        f((&raw const *self).cast(), 20)
    }
}

/// `struct packet_mreq`.
#[repr(C)]
struct Membership {
    ifindex: c_int,
    kind: u16,
    length: u16,
    address: [u8; 8],
}

const _: () = assert!(size_of::<Membership>() == 16);

/// One instruction of a classic BPF program: `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to jump over if true.
    pub if_true: u8,
    /// The same if false.
    pub if_false: u8,
    /// Operand.
    pub k: u32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

const _: () = assert!(size_of::<Program>() == 16);

/// A socket that gets frames of one kind from one link, and sends frames there.
/// It does not block, and gets nothing of what the host itself sends.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    ifindex: c_int,
}

impl PacketSocket {
    /// Opens a socket for this ethertype on this link. Frames for which the
    /// filter (over the whole frame) returns 0 do not come in; an empty filter
    /// lets all pass.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`, `ENODEV` when there is no such link,
    /// `EINVAL` for a filter the kernel does not take.
    pub fn open(ifindex: u32, ethertype: u16, filter: &[Instruction]) -> Result<Self> {
        let ifindex = c_int::try_from(ifindex).map_err(|_| Errno::NODEV)?;
        // Without a protocol nothing comes in before filter and link are set.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
        let socket = Self { fd, ifindex };
        if !filter.is_empty() {
            let length = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
            let program = Program { length, instructions: filter.as_ptr() };
            socket.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
        }
        let address = Address {
            family: AddressFamily::PACKET.as_raw(),
            protocol: ethertype.to_be(),
            ifindex,
            hatype: 0,
            pkttype: 0,
            halen: 0,
            addr: [0; 8],
        };
        rustix::net::bind(&socket.fd, &address)?;
        Ok(socket)
    }

    /// Asks the link to also take frames to this group address; until the
    /// socket is closed.
    ///
    /// # Errors
    /// The kernel's; `ENODEV` when the link is gone.
    pub fn join(&self, group: [u8; 6]) -> Result<()> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&group);
        let kind = u16::try_from(libc::PACKET_MR_MULTICAST).map_err(|_| Errno::INVAL)?;
        let membership = Membership { ifindex: self.ifindex, kind, length: 6, address };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Sends a whole frame.
    ///
    /// # Errors
    /// `ENETDOWN` when the link is down, `EMSGSIZE` when the frame is too long.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        rustix::net::send(&self.fd, frame, SendFlags::empty()).map(drop)
    }

    /// Takes the next frame that came in; one that is longer than the buffer is cut.
    ///
    /// # Errors
    /// `EAGAIN` when there is none, `ENETDOWN` once when the link was or went down.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        rustix::net::recv(&self.fd, buffer, RecvFlags::empty()).map(|(length, _)| length)
    }

    fn set<T>(&self, level: c_int, name: c_int, value: &T) -> Result<()> {
        let length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::INVAL)?;
        let pointer = (&raw const *value).cast::<c_void>();
        // SAFETY: `value` lives during the call and is `length` bytes long; all
        // callers pass the struct that the option takes. The kernel copies it,
        // and what a filter program points to, which also lives.
        let done = unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, name, pointer, length) };
        if done == 0 {
            return Ok(());
        }
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_does_not_exist_is_refused() {
        // Who may not open raw sockets hears that first.
        let refused = |ifindex| PacketSocket::open(ifindex, 0x88cc, &[]).map(drop).unwrap_err();
        for ifindex in [u32::MAX, 0x7fff_fff0] {
            assert!(matches!(refused(ifindex), Errno::NODEV | Errno::PERM), "{ifindex}");
        }
    }
}
