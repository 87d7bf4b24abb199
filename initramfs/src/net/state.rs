//! What is known of a link and its address. Values only.

use formats::dhcp4::{Message, Route};
use formats::ipconf::class_prefix;
use formats::l2::{Bpdu, Lacp, Mac};
use formats::lldp::Neighbour;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// One network card's port, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// The kernel's name.
    pub name: String,
    /// Its other names: what it is for, where the kernel could not rename it.
    pub alternative_names: Vec<String>,
    /// The kernel's number; unlike the name it never changes.
    pub index: u32,
    /// The address frames go out with.
    pub mac: Mac,
    /// The address in the card, if the driver tells it.
    pub permanent_mac: Option<Mac>,
    /// The driver's name; empty for a link without a device.
    pub driver: String,
    /// Megabits per second, when there is a carrier and the driver knows.
    pub speed_mbps: Option<u32>,
    /// PCI address (`0000:03:00.0`) of the card, also when virtio is between;
    /// for other buses the device's own name; empty without a device.
    pub path: String,
    /// Whether frames can be sent: operational state up, or unknown with a carrier.
    pub carrier: bool,
    /// What the switch port was heard to do since the carrier came.
    pub heard: Heard,
    /// Who speaks LLDP here, the likeliest switch port first.
    pub neighbours: Vec<Neighbour>,
    /// Whether and how far DHCP is.
    pub dhcp: Dhcp,
    /// The IPv4 address: from DHCP, or from `ip=` (then `server` is `None`).
    pub lease: Option<Lease>,
    /// Global IPv6 addresses that passed duplicate address detection.
    pub addresses6: Vec<(Ipv6Addr, u8)>,
    /// Name servers and search list from router advertisements.
    pub dns6: Vec<Ipv6Addr>,
    /// Domains to search, from router advertisements.
    pub search6: Vec<String>,
    /// Why the link cannot be used, in one sentence.
    pub trouble: Option<String>,
}

/// Frames of a switch that explain silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Spanning tree.
    pub bpdu: Option<Bpdu>,
    /// Link aggregation.
    pub lacp: Option<Lacp>,
}

/// How far DHCP is on a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dhcp {
    /// `ip=` says not to ask here.
    #[default]
    Off,
    /// Asking; no offer.
    Asking,
    /// An offer of this server is being taken.
    Offered(Ipv4Addr),
    /// There is a lease.
    Bound,
    /// It went wrong for this reason and starts again.
    Again(String),
}

/// An IPv4 address and what came with it. Times are since the kernel started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Its subnet's prefix length.
    pub prefix: u8,
    /// Routers to everywhere, best first.
    pub routers: Vec<Ipv4Addr>,
    /// Other routes; they may hold 0.0.0.0/0, then there are no `routers`.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Time servers.
    pub ntp: Vec<IpAddr>,
    /// Bytes.
    pub mtu: Option<u16>,
    /// Domain of this machine.
    pub domain: Option<String>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Which server gave it; `None` when it is from `ip=`.
    pub server: Option<Ipv4Addr>,
    /// Name for this machine.
    pub hostname: Option<String>,
    /// Option 224: where to ask for metadata.
    pub metadata_url: Option<String>,
    /// When to ask the server again (T1); `None`: never.
    pub renew: Option<Duration>,
    /// When to ask any server (T2).
    pub rebind: Option<Duration>,
    /// When it ends.
    pub expires: Option<Duration>,
}

impl Lease {
    /// The lease an acknowledgement gives to a request sent at `asked`
    /// (RFC 2131 §4.4.5: counted from the request, T1 and T2 by default at 1/2
    /// and 7/8).
    pub fn of(message: &Message, server: Ipv4Addr, asked: Duration) -> Self {
        // The standard demands a time; without one an hour is a guess that does
        // little harm. Very short ones would only make a storm.
        let seconds = message.lease.unwrap_or(3600).max(10);
        let rebind = message.rebind.filter(|t| (2..seconds).contains(t)).unwrap_or(seconds / 8 * 7);
        let renew = message.renew.filter(|t| (1..rebind).contains(t)).unwrap_or(rebind.min(seconds / 2));
        let at = |after: u32| {
            (seconds < u32::MAX).then(|| asked.saturating_add(Duration::from_secs(after.into())))
        };
        let ip = |all: &[Ipv4Addr]| all.iter().copied().map(IpAddr::V4).collect();
        Self {
            address: message.address,
            prefix: message.prefix.unwrap_or_else(|| class_prefix(message.address)),
            routers: message.routers.clone(),
            routes: message.routes.clone(),
            dns: ip(&message.dns),
            ntp: ip(&message.ntp),
            mtu: message.mtu,
            domain: message.domain.clone(),
            search: message.search.clone(),
            server: Some(server),
            hostname: message.hostname.clone(),
            metadata_url: message.metadata_url.clone(),
            renew: at(renew),
            rebind: at(rebind),
            expires: at(seconds),
        }
    }

    /// An address that was configured and lasts.
    pub fn fixed(address: Ipv4Addr, prefix: u8) -> Self {
        Self {
            address,
            prefix,
            routers: Vec::new(),
            routes: Vec::new(),
            dns: Vec::new(),
            ntp: Vec::new(),
            mtu: None,
            domain: None,
            search: Vec::new(),
            server: None,
            hostname: None,
            metadata_url: None,
            renew: None,
            rebind: None,
            expires: None,
        }
    }
}
