//! rtnetlink messages: what is asked of the kernel and what it tells. Pure.
//!
//! Source: Linux `include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h`.
//! All numbers are in the machine's byte order, attributes padded to 4 bytes.

use formats::l2::Mac;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Message types.
mod kind {
    pub(super) const ERROR: u16 = 2;
    pub(super) const DONE: u16 = 3;
    pub(super) const NEW_LINK: u16 = 16;
    pub(super) const GET_LINK: u16 = 18;
    pub(super) const NEW_ADDRESS: u16 = 20;
    pub(super) const DELETE_ADDRESS: u16 = 21;
    pub(super) const GET_ADDRESS: u16 = 22;
    pub(super) const NEW_ROUTE: u16 = 24;
    pub(super) const ND_OPTION: u16 = 68;
    pub(super) const NEW_LINK_PROPERTY: u16 = 108;
}

pub(super) const REQUEST: u16 = 1;
pub(super) const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const REPLACE_OR_CREATE: u16 = 0x100 | 0x400;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const HEADER: usize = 16;

/// Groups to subscribe to: links, IPv6 addresses, and options of router
/// advertisements (`RTNLGRP_LINK`, `RTNLGRP_IPV6_IFADDR`, `RTNLGRP_ND_USEROPT`).
pub const GROUPS: u32 = 1 | 1 << 8 | 1 << 19;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Switch a link on.
    Up,
    /// Give it another name.
    Name(String),
    /// Give it one more name.
    AlternativeName(String),
    /// Set its MTU, bytes.
    Mtu(u16),
    /// Add an address or refresh it.
    AddAddress {
        /// The address.
        address: IpAddr,
        /// Prefix length of its subnet.
        prefix: u8,
        /// Seconds until the kernel removes it by itself; `None`: never.
        lifetime: Option<u32>,
        /// Metric of the route to its subnet.
        metric: u32,
    },
    /// Remove an address, and with it the routes that use it.
    RemoveAddress {
        /// The address.
        address: IpAddr,
        /// Prefix length it was added with.
        prefix: u8,
    },
    /// Add a route or replace the one with the same target and metric.
    AddRoute {
        /// Target; bits beyond the prefix are zero.
        to: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// The router; `None`: directly on the link.
        via: Option<IpAddr>,
        /// The router is on the link although no subnet says so.
        onlink: bool,
        /// Our address to use.
        source: Option<IpAddr>,
        /// The lowest wins.
        metric: u32,
    },
}

impl Op {
    /// The request for link number `link`; the kernel answers it with `seq`.
    pub fn encode(&self, link: u32, seq: u32) -> Vec<u8> {
        let new = REQUEST | ACK | REPLACE_OR_CREATE;
        match self {
            Self::Up => link_message(link, 1).finish(seq),
            Self::Name(name) => link_message(link, 0).attr(3, &c_text(name)).finish(seq),
            Self::AlternativeName(name) => {
                // IFLA_PROP_LIST, nested, with one IFLA_ALT_IFNAME.
                let list = nest(&[(53, &c_text(name))]);
                let body = [[0; 4], link.to_ne_bytes(), [0; 4], [0; 4]].concat();
                Writer::new(kind::NEW_LINK_PROPERTY, new, &body).attr(52 | NESTED, &list).finish(seq)
            }
            Self::Mtu(mtu) => link_message(link, 0).attr(4, &u32::from(*mtu).to_ne_bytes()).finish(seq),
            Self::AddAddress { address, prefix, lifetime, metric } => {
                let seconds = lifetime.unwrap_or(u32::MAX).to_ne_bytes();
                let lifetimes = [seconds, seconds, [0; 4], [0; 4]].concat();
                let message = Writer::new(kind::NEW_ADDRESS, new, &address_body(*address, *prefix, link));
                message
                    .addresses(*address, *prefix)
                    .attr(6, &lifetimes)
                    .attr(9, &metric.to_ne_bytes())
                    .finish(seq)
            }
            Self::RemoveAddress { address, prefix } => {
                let body = address_body(*address, *prefix, link);
                Writer::new(kind::DELETE_ADDRESS, REQUEST | ACK, &body)
                    .addresses(*address, *prefix)
                    .finish(seq)
            }
            Self::AddRoute { to, prefix, via, onlink, source, metric } => {
                // Table main, protocol boot, unicast; scope link without a router.
                let scope = if via.is_some() || to.is_ipv6() { 0 } else { 253 };
                let flags = u32::from(*onlink) * 4;
                let body = [&[family(*to), *prefix, 0, 0, 254, 3, scope, 1][..], &flags.to_ne_bytes()];
                let mut message = Writer::new(kind::NEW_ROUTE, new, &body.concat());
                message = message.attr(4, &link.to_ne_bytes()).attr(6, &metric.to_ne_bytes());
                for (attribute, ip) in [(1, Some(*to).filter(|_| *prefix > 0)), (5, *via), (7, *source)] {
                    if let Some(ip) = ip {
                        message = message.ip(attribute, ip);
                    }
                }
                message.finish(seq)
            }
        }
    }
}

/// For the operator: what the kernel was asked.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("to switch it on"),
            Self::Name(name) => write!(f, "the name {name}"),
            Self::AlternativeName(name) => write!(f, "the alternative name {name}"),
            Self::Mtu(mtu) => write!(f, "MTU {mtu}"),
            Self::AddAddress { address, prefix, .. } => write!(f, "address {address}/{prefix}"),
            Self::RemoveAddress { address, prefix } => write!(f, "to remove {address}/{prefix}"),
            Self::AddRoute { to, prefix, via, .. } => match via {
                Some(via) => write!(f, "route {to}/{prefix} via {via}"),
                None => write!(f, "route {to}/{prefix}"),
            },
        }
    }
}

/// The request to list all links.
pub fn list_links(seq: u32) -> Vec<u8> {
    Writer::new(kind::GET_LINK, REQUEST | DUMP, &[0; 16]).finish(seq)
}

/// The request to list all IPv6 addresses.
pub fn list_addresses6(seq: u32) -> Vec<u8> {
    Writer::new(kind::GET_ADDRESS, REQUEST | DUMP, &[AF_INET6, 0, 0, 0, 0, 0, 0, 0]).finish(seq)
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn link_message(link: u32, up: u32) -> Writer {
    // Family and type, index, flags, which flags change.
    let body = [[0; 4], link.to_ne_bytes(), up.to_ne_bytes(), up.to_ne_bytes()].concat();
    Writer::new(kind::NEW_LINK, REQUEST | ACK, &body)
}

fn address_body(address: IpAddr, prefix: u8, link: u32) -> Vec<u8> {
    // An IPv6 address that was configured needs no duplicate address detection
    // (IFA_F_NODAD): it would be useless for the first second.
    let flags = if address.is_ipv6() { 2 } else { 0 };
    [&[family(address), prefix, flags, 0][..], &link.to_ne_bytes()].concat()
}

fn c_text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// An attribute is made of others.
pub(super) const NESTED: u16 = 1 << 15;

/// The value of an attribute that is made of others.
pub(super) fn nest(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let empty = Writer(Vec::new());
    attributes.iter().fold(empty, |list, (kind, value)| list.attr(*kind, value)).0
}

/// A message that grows.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(body);
        Self(bytes)
    }

    pub(super) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        // No value here is longer than some dozen bytes.
        let length = u16::try_from(value.len() + 4).unwrap_or(4);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn ip(self, kind: u16, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => self.attr(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attr(kind, &v6.octets()),
        }
    }

    /// `IFA_ADDRESS`, `IFA_LOCAL`, and in IPv4 `IFA_BROADCAST` where there is one.
    fn addresses(self, address: IpAddr, prefix: u8) -> Self {
        let message = self.ip(1, address).ip(2, address);
        match address {
            IpAddr::V4(v4) if prefix < 31 => {
                let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                message.attr(4, &(v4.to_bits() | host).to_be_bytes())
            }
            _ => message,
        }
    }

    pub(super) fn finish(mut self, seq: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(0);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&seq.to_ne_bytes());
        self.0
    }
}

/// A link as the kernel lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkInfo {
    /// Number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Its other names.
    pub alternative_names: Vec<String>,
    /// Address.
    pub mac: Mac,
    /// Address in the card.
    pub permanent_mac: Option<Mac>,
    /// Bytes.
    pub mtu: u32,
    /// Administratively on.
    pub up: bool,
    /// Ready for frames: operational state up, or unknown (drivers that never
    /// say) with a carrier.
    pub ready: bool,
    /// Ethernet, not loopback.
    pub ethernet: bool,
    /// What software made it: `bond`, `bridge`, `vlan`, `tun`…; empty for hardware.
    pub made_by: String,
}

/// One thing the kernel said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A request is done (0) or failed with this errno.
    Done(i32),
    /// A link.
    Link(LinkInfo),
    /// A usable IPv6 address of more than the link's scope.
    Address6 {
        /// Of which link.
        link: u32,
        /// The address.
        address: Ipv6Addr,
        /// Prefix length.
        prefix: u8,
    },
    /// Options of a router advertisement, to be read by `formats::icmp6`.
    RouterOptions {
        /// On which link.
        link: u32,
        /// The options.
        options: Vec<u8>,
    },
}

/// Reads what was received: the number of the request it answers (0: none), and
/// what it says. What is not understood is passed over.
pub fn decode(bytes: &[u8]) -> Vec<(u32, Told)> {
    messages(bytes).filter_map(|message| Some((message.seq, message.told()?))).collect()
}

/// A message as it was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// The number of the request it answers.
    pub(super) seq: u32,
    kind: u16,
    pub(super) body: &'a [u8],
}

impl Message<'_> {
    /// The errno it ends a request with; 0 when that is done.
    pub(super) fn end(&self) -> Option<i32> {
        // An error is a negative errno; that of the end of a list follows it too.
        let errno = || self.body.first_chunk().map_or(0, |e| i32::from_ne_bytes(*e));
        matches!(self.kind, kind::ERROR | kind::DONE).then(|| errno().saturating_neg())
    }

    pub(super) fn told(&self) -> Option<Told> {
        match self.kind {
            kind::ERROR | kind::DONE => self.end().map(Told::Done),
            kind::NEW_LINK => link(self.body).map(Told::Link),
            kind::NEW_ADDRESS => address6(self.body),
            kind::ND_OPTION => router_options(self.body),
            _ => None,
        }
    }
}

/// Cuts what was received into messages.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let head = rest.first_chunk::<HEADER>()?;
        let length = usize::try_from(u32_at(head, 0)).unwrap_or(usize::MAX);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Message { seq: u32_at(head, 8), kind: u16_at(head, 4), body })
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_ne_bytes(*b))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b| u16::from_ne_bytes(*b))
}

/// Type and value of each attribute.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0));
        let value = rest.get(4..length)?;
        // The two highest bits are flags (nested, byte order).
        let kind = u16_at(rest, 2) & 0x3fff;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn link(body: &[u8]) -> Option<LinkInfo> {
    let (head, rest) = body.split_first_chunk::<16>()?;
    let flags = u32_at(head, 8);
    let mut info = LinkInfo { index: u32_at(head, 4), up: flags & 1 != 0, ..LinkInfo::default() };
    let (mut operstate, mut has_mac) = (0, false);
    for (kind, value) in attributes(rest) {
        match kind {
            1 => {
                if let Ok(mac) = value.try_into() {
                    (info.mac, has_mac) = (mac, true);
                }
            }
            3 => info.name = text(value),
            4 => info.mtu = u32_at(value, 0),
            16 => operstate = value.first().copied().unwrap_or(0),
            18 => {
                let made_by = attributes(value).find(|(kind, _)| *kind == 1);
                info.made_by = made_by.map(|(_, name)| text(name)).unwrap_or_default();
            }
            52 => {
                let names = attributes(value).filter(|(kind, _)| *kind == 53);
                info.alternative_names = names.map(|(_, name)| text(name)).collect();
            }
            54 => info.permanent_mac = value.try_into().ok(),
            _ => {}
        }
    }
    // ARPHRD_ETHER, IFF_LOOPBACK, IFF_LOWER_UP; IF_OPER_UNKNOWN 0, IF_OPER_UP 6.
    info.ethernet = u16_at(head, 2) == 1 && flags & 8 == 0 && has_mac;
    info.ready = info.up && (operstate == 6 || operstate == 0 && flags & 0x1_0000 != 0);
    Some(info)
}

fn address6(body: &[u8]) -> Option<Told> {
    let (head, rest) = body.split_first_chunk::<8>()?;
    let mut flags = u32::from(head[2]);
    let mut address = None;
    for (kind, value) in attributes(rest) {
        match kind {
            1 => address = <[u8; 16]>::try_from(value).ok(),
            8 => flags = u32_at(value, 0),
            _ => {}
        }
    }
    // Not while it may be a duplicate (IFA_F_TENTATIVE) or is one (IFA_F_DADFAILED).
    let usable = head[0] == AF_INET6 && head[3] == 0 && flags & 0x48 == 0;
    let address = Ipv6Addr::from(address?);
    usable.then_some(Told::Address6 { link: u32_at(head, 4), address, prefix: head[1] })
}

fn router_options(body: &[u8]) -> Option<Told> {
    let (head, rest) = body.split_first_chunk::<16>()?;
    let options = rest.get(..usize::from(u16_at(head, 2)))?;
    // ICMPv6 type 134: router advertisement.
    let ours = head[0] == AF_INET6 && head[8] == 134;
    ours.then(|| Told::RouterOptions { link: u32_at(head, 4), options: options.to_vec() })
}

#[cfg(test)]
mod tests;
