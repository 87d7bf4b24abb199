//! The sockets of one link: which frames PID 1 gets to see.
//!
//! One socket for each kind of frame rather than one for all with a filter: the
//! kernel then hands the image's download, at full speed, to none of them.
//! Firmware that answers LLDP itself and shows it to nobody is for `firmware`.

use formats::dhcp4::{CLIENT_PORT, SERVER_PORT};
use formats::l2::{BRIDGE_GROUP, BROADCAST, Frame, Mac, SLOW_PROTOCOLS, ethertype};
use formats::{lldp, udp4};
use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, Result};
use std::net::{Ipv4Addr, SocketAddrV4};
use syscalls::packet::{Instruction, PacketSocket};

/// Frames taken from one socket before the others get their turn.
const AT_ONCE: usize = 32;

/// Whole unfragmented UDP datagrams to a DHCP client.
const TO_CLIENT: [Instruction; 9] = [
    op(0x30, 23),                         // the protocol
    jump(0x15, 17, 0, 6),                 // is UDP, and
    op(0x28, 20),                         // the fragment offset
    jump(0x45, 0x1fff, 4, 0),             // is 0, and
    op(0xb1, 14),                         // behind the IP header
    op(0x48, 16),                         // the port
    jump(0x15, CLIENT_PORT as u32, 0, 1), // is the client's:
    op(0x06, 0xffff),                     // take it.
    op(0x06, 0),
];

const fn op(code: u16, k: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, k }
}

const fn jump(code: u16, k: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, k }
}

/// Open sockets.
#[derive(Debug)]
pub struct Ports {
    index: u32,
    mac: Mac,
    ip: PacketSocket,
    lldp: PacketSocket,
    llc: PacketSocket,
    slow: PacketSocket,
    /// Only while an address is probed: ARP of a large network never rests.
    arp: Option<PacketSocket>,
}

impl Ports {
    /// Opens all, and asks the card for the switch's group addresses.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(index: u32, mac: Mac) -> Result<Self> {
        let socket = |kind, groups: &[Mac]| {
            let socket = PacketSocket::open(index, kind, &[])?;
            // A card that takes no groups is still good for everything else.
            for group in groups {
                let _ = socket.join(*group);
            }
            Ok::<_, Errno>(socket)
        };
        Ok(Self {
            index,
            mac,
            ip: PacketSocket::open(index, ethertype::IPV4, &TO_CLIENT)?,
            lldp: socket(ethertype::LLDP, &lldp::GROUPS)?,
            llc: socket(ethertype::LLC, &[BRIDGE_GROUP])?,
            slow: socket(ethertype::SLOW, &[SLOW_PROTOCOLS])?,
            arp: None,
        })
    }

    fn all(&self) -> impl Iterator<Item = &PacketSocket> {
        [&self.ip, &self.lldp, &self.llc, &self.slow].into_iter().chain(&self.arp)
    }

    /// What to wait for.
    pub fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.all().map(|socket| PollFd::new(socket, PollFlags::IN))
    }

    /// Frames that came in; more may be waiting.
    pub fn receive(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        // DHCP answers have at most our MAX_SIZE, the others a frame's 1500 bytes.
        let mut buffer = [0_u8; 2048];
        for socket in self.all() {
            for _ in 0..AT_ONCE {
                match socket.receive(&mut buffer) {
                    Ok(length) => frames.push(buffer.get(..length).unwrap_or(&buffer).to_vec()),
                    // Tells once that the link was down; frames may follow.
                    Err(Errno::NETDOWN) => {}
                    Err(_) => break,
                }
            }
        }
        frames
    }

    /// Sends a DHCP message to all servers. What cannot be sent is lost like
    /// any frame: it is sent again.
    pub fn broadcast(&self, payload: &[u8]) {
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
        let Some(packet) = udp4::build(&udp4::Datagram { from, to, payload }) else { return };
        let frame = Frame { to: BROADCAST, from: self.mac, kind: ethertype::IPV4, payload: &packet };
        let _ = self.ip.send(&frame.bytes());
    }

    /// Asks who has an address, and from now on hears ARP.
    pub fn probe(&mut self, address: Ipv4Addr) {
        if self.arp.is_none() {
            self.arp = PacketSocket::open(self.index, ethertype::ARP, &[]).ok();
        }
        if let Some(arp) = &self.arp {
            let _ = arp.send(&formats::l2::Arp::probe(self.mac, address));
        }
    }

    /// Hears ARP no more.
    pub fn end_probe(&mut self) {
        self.arp = None;
    }
}
