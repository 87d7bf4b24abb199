//! Questions to the kernel over netlink, and its answers.

use super::netlink::{self, Message};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send};
use std::time::Duration;

/// A socket of one of netlink's protocols that hears these groups.
pub(super) fn socket(protocol: Option<Protocol>, flags: SocketFlags, groups: u32) -> Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// One question after the other.
#[derive(Debug)]
pub(super) struct Talk {
    socket: OwnedFd,
    seq: u32,
    buffer: Vec<u8>,
}

impl Talk {
    pub(super) fn open(protocol: Option<Protocol>) -> Result<Self> {
        let socket = socket(protocol, SocketFlags::empty(), 0)?;
        // The kernel answers within the call; this is against waiting for ever.
        let _ = set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(5)));
        Ok(Self { socket, seq: 0, buffer: vec![0; 32 << 10] })
    }

    /// Asks, and reads the answers until the one that ends them.
    pub(super) fn ask<T>(
        &mut self,
        request: impl Fn(u32) -> Vec<u8>,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>> {
        self.seq = self.seq.wrapping_add(1).max(1);
        send(&self.socket, &request(self.seq), SendFlags::empty())?;
        let mut answers = Vec::new();
        loop {
            let (length, _) = match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let received = self.buffer.get(..length).unwrap_or(&self.buffer);
            for message in netlink::messages(received) {
                match message.end() {
                    // A late answer to something asked before.
                    _ if message.seq != self.seq => {}
                    Some(0) => return Ok(answers),
                    Some(errno) => return Err(Errno::from_raw_os_error(errno)),
                    None => answers.extend(read(&message)),
                }
            }
        }
    }
}
