//! DHCPv4 messages of a client: what it sends, and what it reads in answers.
//!
//! Sources: RFC 2131 (message, which option in which state), RFC 2132
//! (options), RFC 3396 (long options), RFC 3397 (119), RFC 3442 (121).
//!
//! Own code: the crate `dhcproto` 0.15 makes PID 1 227 KiB larger (it brings
//! `url`, ICU tables and a DNS library); PID 1's whole network makes it 112 KiB.

mod decode;
mod encode;

pub use decode::{Error, decode};
pub use encode::{Send, encode};

use crate::l2::Mac;
use std::net::Ipv4Addr;

/// UDP port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// What a message is (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who is there?
    Discover = 1,
    /// A server offers an address.
    Offer = 2,
    /// The client wants this address.
    Request = 3,
    /// The address is in use by somebody else.
    Decline = 4,
    /// The server gives it.
    Ack = 5,
    /// The server does not give it.
    Nak = 6,
    /// The client gives it back.
    Release = 7,
}

/// A way to other networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; bits beyond the prefix are zero.
    pub to: Ipv4Addr,
    /// 0 to 32.
    pub prefix: u8,
    /// Over which router; 0.0.0.0 means directly on the link (RFC 3442).
    pub via: Ipv4Addr,
}

/// A server's message. Options that were not sent, or make no sense, are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Offer, Ack or Nak.
    pub kind: Kind,
    /// The number of the exchange, as the client chose it.
    pub xid: u32,
    /// The client it is for.
    pub mac: Mac,
    /// The address for the client; 0.0.0.0 in a Nak.
    pub address: Ipv4Addr,
    /// 54: which server.
    pub server: Option<Ipv4Addr>,
    /// 1: subnet mask as a prefix length.
    pub prefix: Option<u8>,
    /// 3: routers, best first. Empty when there is 121, which replaces it.
    pub routers: Vec<Ipv4Addr>,
    /// 121: classless routes.
    pub routes: Vec<Route>,
    /// 6: name servers.
    pub dns: Vec<Ipv4Addr>,
    /// 42: time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// 12: the client's name.
    pub hostname: Option<String>,
    /// 15: the domain.
    pub domain: Option<String>,
    /// 119: domains to search.
    pub search: Vec<String>,
    /// 26: bytes, at least 68.
    pub mtu: Option<u16>,
    /// 51: seconds; `u32::MAX` is for ever.
    pub lease: Option<u32>,
    /// 58: seconds until the client asks its server again (T1).
    pub renew: Option<u32>,
    /// 59: seconds until it asks any server (T2).
    pub rebind: Option<u32>,
    /// 56: why not, in the server's words.
    pub reason: Option<String>,
    /// 224, for site-specific use: where this site's sleds get their metadata.
    pub metadata_url: Option<String>,
}

/// Option numbers.
mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const MASK: u8 = 1;
    pub(super) const ROUTERS: u8 = 3;
    pub(super) const DNS: u8 = 6;
    pub(super) const HOSTNAME: u8 = 12;
    pub(super) const DOMAIN: u8 = 15;
    pub(super) const MTU: u8 = 26;
    pub(super) const BROADCAST: u8 = 28;
    pub(super) const NTP: u8 = 42;
    pub(super) const ADDRESS: u8 = 50;
    pub(super) const LEASE: u8 = 51;
    pub(super) const OVERLOAD: u8 = 52;
    pub(super) const KIND: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const WANTED: u8 = 55;
    pub(super) const REASON: u8 = 56;
    pub(super) const MAX_SIZE: u8 = 57;
    pub(super) const RENEW: u8 = 58;
    pub(super) const REBIND: u8 = 59;
    pub(super) const VENDOR_CLASS: u8 = 60;
    pub(super) const CLIENT_ID: u8 = 61;
    pub(super) const SEARCH: u8 = 119;
    pub(super) const ROUTES: u8 = 121;
    pub(super) const METADATA_URL: u8 = 224;
    pub(super) const END: u8 = 255;
}

/// The fixed part: everything before the magic cookie (RFC 2131 §2).
const FIXED: usize = 236;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
