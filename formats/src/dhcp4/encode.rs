//! What a client sends (RFC 2131 §4.4, table 5).

use super::{FIXED, Kind, MAGIC, option};
use crate::l2::Mac;
use std::net::Ipv4Addr;

/// Shortest message some relays and servers take: that of BOOTP (RFC 951).
const MIN_LENGTH: usize = 300;
/// What we can receive: an Ethernet frame's IP packet, less the headers.
const MAX_SIZE: u16 = 1472;

const WANTED: [u8; 15] = [
    option::MASK,
    option::ROUTERS,
    option::DNS,
    option::HOSTNAME,
    option::DOMAIN,
    option::MTU,
    option::BROADCAST,
    option::NTP,
    option::LEASE,
    option::SERVER,
    option::RENEW,
    option::REBIND,
    option::SEARCH,
    option::ROUTES,
    option::METADATA_URL,
];

/// One of a client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// To everybody: who is there?
    Discover,
    /// State SELECTING: this server's offer is taken, the others' are not.
    Select {
        /// The address offered.
        address: Ipv4Addr,
        /// The server that offered it.
        server: Ipv4Addr,
    },
    /// State INIT-REBOOT: is the address from before still right here?
    Reboot {
        /// The address from before.
        address: Ipv4Addr,
    },
    /// States RENEWING and REBINDING: may it be longer?
    Renew {
        /// The address in use.
        address: Ipv4Addr,
    },
    /// The address is in use by somebody else.
    Decline {
        /// That address.
        address: Ipv4Addr,
        /// The server that gave it.
        server: Ipv4Addr,
    },
    /// The address is given back.
    Release {
        /// That address.
        address: Ipv4Addr,
        /// The server that gave it.
        server: Ipv4Addr,
    },
}

/// The UDP payload. `seconds` since the client began to want an address;
/// `xid` is the number of the exchange.
///
/// The broadcast flag is never set: a client on a raw socket hears answers to
/// an address it does not have yet. Option 61 is the same at every stage, else
/// one boot takes several leases; 93 is left out, for this is no PXE ROM.
pub fn encode(send: Send, mac: &Mac, xid: u32, seconds: u16) -> Vec<u8> {
    let (kind, own, asked, server) = match send {
        Send::Discover => (Kind::Discover, None, None, None),
        Send::Select { address, server } => (Kind::Request, None, Some(address), Some(server)),
        Send::Reboot { address } => (Kind::Request, None, Some(address), None),
        Send::Renew { address } => (Kind::Request, Some(address), None, None),
        Send::Decline { address, server } => (Kind::Decline, None, Some(address), Some(server)),
        Send::Release { address, server } => (Kind::Release, Some(address), None, Some(server)),
    };
    let asks = matches!(kind, Kind::Discover | Kind::Request);

    let mut bytes = vec![1, 1, 6, 0];
    bytes.extend_from_slice(&xid.to_be_bytes());
    bytes.extend_from_slice(&if asks { seconds } else { 0 }.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&own.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    bytes.resize(28, 0);
    bytes.extend_from_slice(mac);
    bytes.resize(FIXED, 0);
    bytes.extend_from_slice(&MAGIC);

    let mut add = |code: u8, value: &[u8]| {
        // Every value here is a few bytes.
        let Ok(length) = u8::try_from(value.len()) else { return };
        bytes.extend_from_slice(&[code, length]);
        bytes.extend_from_slice(value);
    };
    add(option::KIND, &[kind as u8]);
    add(option::CLIENT_ID, &[&[1][..], mac].concat());
    if let Some(address) = asked {
        add(option::ADDRESS, &address.octets());
    }
    if let Some(server) = server {
        add(option::SERVER, &server.octets());
    }
    if asks {
        add(option::MAX_SIZE, &MAX_SIZE.to_be_bytes());
        add(option::VENDOR_CLASS, b"sledos");
        add(option::WANTED, &WANTED);
    }
    bytes.push(option::END);
    bytes.resize(bytes.len().max(MIN_LENGTH), option::PAD);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 9];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const ID: [u8; 9] = [61, 7, 1, 2, 0, 0, 0, 0, 9];

    fn options(send: Send) -> Vec<u8> {
        encode(send, &MAC, 0x0102_0304, 7)[240..].to_vec()
    }

    fn starts(send: Send, with: &[&[u8]]) {
        let with = with.concat();
        assert_eq!(options(send)[..with.len()], with, "{send:?}");
    }

    #[test]
    fn a_discover_byte_by_byte() {
        let bytes = encode(Send::Discover, &MAC, 0x0102_0304, 7);
        let mut golden = vec![1, 1, 6, 0, 1, 2, 3, 4, 0, 7, 0, 0];
        golden.resize(28, 0);
        golden.extend([2, 0, 0, 0, 0, 9]);
        golden.resize(236, 0);
        golden.extend([99, 130, 83, 99, 53, 1, 1]);
        golden.extend(ID);
        golden.extend([57, 2, 5, 192, 60, 6, b's', b'l', b'e', b'd', b'o', b's']);
        golden.extend([55, 15, 1, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59, 119, 121, 224, 255]);
        golden.resize(300, 0);
        assert_eq!(bytes, golden);
    }

    #[test]
    fn each_state_has_its_fields() {
        let (address, server) = (ADDRESS, SERVER);
        let (asked, chosen) = ([50, 4, 10, 0, 0, 5], [54, 4, 10, 0, 0, 1]);
        starts(Send::Select { address, server }, &[&[53, 1, 3], &ID, &asked, &chosen, &[57]]);
        starts(Send::Reboot { address }, &[&[53, 1, 3], &ID, &asked, &[57]]);
        starts(Send::Renew { address }, &[&[53, 1, 3], &ID, &[57]]);
        starts(Send::Decline { address, server }, &[&[53, 1, 4], &ID, &asked, &chosen, &[255]]);
        starts(Send::Release { address, server }, &[&[53, 1, 7], &ID, &chosen, &[255]]);
        for (send, ciaddr) in [
            (Send::Select { address, server }, [0; 4]),
            (Send::Reboot { address }, [0; 4]),
            (Send::Renew { address }, [10, 0, 0, 5]),
            (Send::Decline { address, server }, [0; 4]),
            (Send::Release { address, server }, [10, 0, 0, 5]),
        ] {
            let bytes = encode(send, &MAC, 1, 7);
            assert_eq!(bytes[12..16], ciaddr, "{send:?}");
            assert_eq!(bytes.len(), 300, "{send:?}");
        }
    }
}
