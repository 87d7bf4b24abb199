//! What a lease, or `ip=`, means for the kernel. Pure.

use super::netlink::Op;
use super::state::Lease;
use formats::dhcp4::Route;
use formats::ipconf::{Device, IpParam, Method};
use formats::l2::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Of several ways the one over the link the sled was booted from is taken
/// first, then by the links' numbers.
pub fn metric(index: u32, is_boot_link: bool) -> u32 {
    if is_boot_link { 100 } else { index.saturating_add(1000) }
}

/// Puts a lease into effect: MTU (unless it is so already: some cards drop the
/// carrier to change it), address with the lease's lifetime, routes.
pub fn install(lease: &Lease, now: Duration, mtu: u32, metric: u32) -> Vec<Op> {
    let mut ops = Vec::new();
    ops.extend(lease.mtu.filter(|new| u32::from(*new) != mtu).map(Op::Mtu));
    let left = lease.expires.map(|end| end.saturating_sub(now).as_secs().max(1));
    let lifetime = left.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    ops.push(Op::AddAddress { address: lease.address.into(), prefix: lease.prefix, lifetime, metric });
    let source = Some(IpAddr::V4(lease.address));
    let mut route = |to: Ipv4Addr, prefix: u8, via: Ipv4Addr| {
        let via = Some(via).filter(|via| !via.is_unspecified());
        // A /32 has its router outside of every subnet.
        let onlink = via.is_some_and(|via| !same_subnet(via, lease.address, lease.prefix));
        let (to, via) = (to.into(), via.map(IpAddr::V4));
        ops.push(Op::AddRoute { to, prefix, via, onlink, source, metric });
    };
    // Routes on the link first: the others may need them.
    let (direct, over): (Vec<&Route>, Vec<&Route>) =
        lease.routes.iter().partition(|r| r.via.is_unspecified());
    for r in direct.into_iter().chain(over) {
        route(r.to, r.prefix, r.via);
    }
    if let Some(router) = lease.routers.first() {
        route(Ipv4Addr::UNSPECIFIED, 0, *router);
    }
    ops
}

fn same_subnet(a: Ipv4Addr, b: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    a.to_bits() & mask == b.to_bits() & mask
}

/// What `ip=` means for one link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Ask for an address by DHCP.
    pub dhcp: bool,
    /// The fixed IPv4 address.
    pub fixed: Option<Lease>,
    /// Fixed IPv6 addresses: address, prefix length, router.
    pub fixed6: Vec<(Ipv6Addr, u8, Option<Ipv6Addr>)>,
    /// Time servers, before those of a lease.
    pub ntp: Vec<IpAddr>,
    /// Name for this machine, instead of a lease's.
    pub hostname: Option<String>,
    /// Bytes, instead of a lease's.
    pub mtu: Option<u16>,
}

impl Wish {
    /// A lease from DHCP with what `ip=` says besides.
    pub fn complete(&self, mut lease: Lease) -> Lease {
        lease.mtu = self.mtu.or(lease.mtu);
        lease.ntp.splice(0..0, self.ntp.iter().copied());
        lease.hostname = self.hostname.clone().or(lease.hostname);
        lease
    }
}

/// The wish for a link. DHCP is on everywhere but where an `ip=` says otherwise:
/// one for this link (with an address, `off` or `auto6`), or `ip=off` for all.
/// `floating` are addresses for whichever link, which became this one's.
pub fn wish(params: &[IpParam], floating: &[IpParam], name: &str, macs: &[Mac]) -> Wish {
    let mine = |param: &&IpParam| match &param.device {
        Some(Device::Name(wanted)) => wanted == name,
        Some(Device::Mac(mac)) => macs.contains(mac),
        None => false,
    };
    let own: Vec<_> = params.iter().filter(mine).chain(floating).collect();
    let for_all: Vec<_> = params.iter().filter(|p| p.device.is_none() && p.client.is_none()).collect();
    let asks = |of: &[&IpParam]| of.is_empty() || of.iter().any(|p| p.method == Method::Dhcp);
    let mut wish = Wish { dhcp: if own.is_empty() { asks(&for_all) } else { asks(&own) }, ..Wish::default() };
    for param in own.iter().chain(&for_all) {
        wish.ntp.extend(param.ntp);
        wish.mtu = wish.mtu.or(param.mtu);
        wish.hostname = wish.hostname.or_else(|| param.hostname.clone());
    }
    for param in own {
        match (param.client, param.gateway) {
            (Some((IpAddr::V4(address), prefix)), gateway) => {
                let mut lease = Lease::fixed(address, prefix);
                lease.routers = gateway.into_iter().filter_map(v4).collect();
                lease.dns.clone_from(&param.dns);
                lease.ntp.extend(param.ntp);
                lease.mtu = param.mtu;
                lease.hostname.clone_from(&param.hostname);
                wish.fixed = Some(lease);
            }
            (Some((IpAddr::V6(address), prefix)), gateway) => {
                let gateway = gateway.and_then(|g| if let IpAddr::V6(v6) = g { Some(v6) } else { None });
                wish.fixed6.push((address, prefix, gateway));
            }
            (None, _) => {}
        }
    }
    wish
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    if let IpAddr::V4(v4) = ip { Some(v4) } else { None }
}

/// Addresses for whichever link comes up.
pub fn floating(params: &[IpParam]) -> Vec<IpParam> {
    params.iter().filter(|p| p.device.is_none() && p.client.is_some()).cloned().collect()
}

/// A fixed IPv6 address and its router.
pub fn install6(address: Ipv6Addr, prefix: u8, router: Option<Ipv6Addr>, metric: u32) -> Vec<Op> {
    let mut ops = vec![Op::AddAddress { address: address.into(), prefix, lifetime: None, metric }];
    if let Some(router) = router {
        let to = Ipv6Addr::UNSPECIFIED.into();
        ops.push(Op::AddRoute {
            to,
            prefix: 0,
            via: Some(router.into()),
            onlink: true,
            source: None,
            metric,
        });
    }
    ops
}

#[cfg(test)]
mod tests;
