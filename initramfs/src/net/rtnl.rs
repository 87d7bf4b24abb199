//! The conversation with the kernel's network: one socket to ask, one to hear.

use super::netlink::{self, LinkInfo, Op, Told};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send};
use std::net::Ipv6Addr;
use std::time::Duration;

fn socket(flags: SocketFlags, groups: u32) -> Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    // NETLINK_ROUTE is number 0, which is "no protocol".
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Asks and changes.
#[derive(Debug)]
pub struct Rtnl {
    socket: OwnedFd,
    seq: u32,
    buffer: Vec<u8>,
}

impl Rtnl {
    /// Opens the socket.
    ///
    /// # Errors
    /// The kernel's; none are expected.
    pub fn open() -> Result<Self> {
        let socket = socket(SocketFlags::empty(), 0)?;
        // The kernel answers within the call; this is against waiting for ever.
        let timeout = Some(Duration::from_secs(5));
        let _ =
            rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, timeout);
        Ok(Self { socket, seq: 0, buffer: vec![0; 32 << 10] })
    }

    /// Makes one change.
    ///
    /// # Errors
    /// The kernel's.
    pub fn change(&mut self, link: u32, op: &Op) -> Result<()> {
        self.ask(|seq| op.encode(link, seq)).map(drop)
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel's.
    pub fn links(&mut self) -> Result<Vec<LinkInfo>> {
        let told = self.ask(netlink::list_links)?;
        Ok(told
            .into_iter()
            .filter_map(|t| if let Told::Link(link) = t { Some(link) } else { None })
            .collect())
    }

    /// All usable global IPv6 addresses: link, address, prefix length. None in
    /// a kernel without IPv6.
    pub fn addresses6(&mut self) -> Vec<(u32, Ipv6Addr, u8)> {
        let mut all = Vec::new();
        for told in self.ask(netlink::list_addresses6).unwrap_or_default() {
            if let Told::Address6 { link, address, prefix } = told {
                all.push((link, address, prefix));
            }
        }
        all
    }

    fn ask(&mut self, request: impl Fn(u32) -> Vec<u8>) -> Result<Vec<Told>> {
        self.seq = self.seq.wrapping_add(1).max(1);
        send(&self.socket, &request(self.seq), SendFlags::empty())?;
        let mut answers = Vec::new();
        loop {
            let (length, _) = match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            for (seq, told) in netlink::decode(&self.buffer[..length]) {
                match told {
                    // A late answer to something asked before.
                    _ if seq != self.seq => {}
                    Told::Done(0) => return Ok(answers),
                    Told::Done(errno) => return Err(Errno::from_raw_os_error(errno)),
                    told => answers.push(told),
                }
            }
        }
    }
}

/// Hears that something changed.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Subscribes to links, IPv6 addresses and router advertisements.
    ///
    /// # Errors
    /// The kernel's; none are expected.
    pub fn open() -> Result<Self> {
        socket(SocketFlags::NONBLOCK, netlink::GROUPS).map(Self)
    }

    /// Takes all events: whether to look at the links again, and the options of
    /// router advertisements. What else the events say is not used: looking is
    /// right even when some were lost.
    pub fn drain(&self) -> (bool, Vec<(u32, Vec<u8>)>) {
        let mut buffer = [0_u8; 8192];
        let (mut look, mut options) = (false, Vec::new());
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let told = netlink::decode(&buffer[..length]);
                    // Removals are not decoded and count all the same.
                    look |= told.is_empty();
                    for (_, told) in told {
                        match told {
                            Told::RouterOptions { link, options: bytes } => options.push((link, bytes)),
                            _ => look = true,
                        }
                    }
                }
                Err(Errno::NOBUFS) => look = true,
                Err(Errno::INTR) => {}
                Err(_) => return (look, options),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
