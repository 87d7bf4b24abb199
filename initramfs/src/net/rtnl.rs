//! The conversation with the kernel's network: one socket to ask, one to hear.

use super::netlink::{self, LinkInfo, Op, Told};
use super::talk::{self, Talk};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::{RecvFlags, SocketFlags, recv};
use std::net::Ipv6Addr;

/// Asks and changes.
#[derive(Debug)]
pub struct Rtnl(Talk);

impl Rtnl {
    /// Opens the socket.
    ///
    /// # Errors
    /// The kernel's; none are expected.
    pub fn open() -> Result<Self> {
        // NETLINK_ROUTE is number 0, which is "no protocol".
        Talk::open(None).map(Self)
    }

    /// Makes one change.
    ///
    /// # Errors
    /// The kernel's.
    pub fn change(&mut self, link: u32, op: &Op) -> Result<()> {
        self.ask(|seq| op.encode(link, seq)).map(drop)
    }

    /// Gives a link a name. Returns whether it has that now; kernels before 6.2 rename no
    /// link that is up, there it is an alternative name.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when another link has it.
    pub fn name(&mut self, link: u32, name: &str) -> Result<bool> {
        match self.change(link, &Op::Name(name.to_owned())) {
            Err(Errno::BUSY) => self.change(link, &Op::AlternativeName(name.to_owned())).map(|()| false),
            done => done.map(|()| true),
        }
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
        self.0.ask(request, |message| message.told())
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
        talk::socket(None, SocketFlags::NONBLOCK, netlink::GROUPS).map(Self)
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
