//! Addresses held against their networks and against each other: those of racks, of sleds and of BMCs.

use super::file::FleetFile;
use super::lint::Found;
use super::resolve::{Sled, contains, range};
use super::{at, pairs};
use crate::values::Cidr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::{Node, Problems};

/// A subnet of a rack: first and last number of the network, and of its bays' addresses.
struct OfRack<'a> {
    rack: &'a str,
    name: &'a str,
    network: Cidr,
    whole: (u128, u128),
    bays: (u128, u128),
    place: &'a Place,
}

/// Subnets of racks lie beside each other, or are the same one, whose bays do not share addresses.
pub(super) fn racks(file: &FleetFile, root: &Node, problems: &Problems, found: &mut Found) {
    let mut all = Vec::new();
    for (rack_key, node) in pairs(root, "racks") {
        let Some(rack) = file.racks.get(&rack_key.name) else { continue };
        for (key, node) in pairs(node, "subnets") {
            let Some(subnet) = rack.subnets.get(&key.name) else { continue };
            let network = subnet.network.network();
            let first = range(Cidr { address: subnet.first, prefix: 128 }).0;
            all.push(OfRack {
                rack: &rack_key.name,
                name: &key.name,
                network,
                whole: range(network),
                bays: (first, first.saturating_add(u128::from(rack.bays.saturating_sub(1)))),
                place: node.get("network").map_or(&node.place, |n| &n.place),
            });
        }
    }
    all.sort_by_key(|s| (s.network.address.is_ipv6(), s.whole.0, s.network.prefix, s.bays));
    // Networks are within each other or apart: the ones around the last one are enough.
    let mut around: Vec<&OfRack<'_>> = Vec::new();
    let mut shared: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for subnet in &all {
        let same_family = |other: &&OfRack<'_>| {
            other.network.address.is_ipv4() == subnet.network.address.is_ipv4()
                && other.whole.1 >= subnet.whole.0
        };
        while around.last().is_some_and(|other| !same_family(other)) {
            around.pop();
        }
        if let Some(other) = around.last() {
            let title = |s: &OfRack<'_>| format!("`{}` of rack `{}` ({})", s.name, s.rack, s.network);
            let wrong = if other.network != subnet.network {
                Some((
                    format!("the subnets {} and {} overlap", title(other), title(subnet)),
                    "give each rack a network of its own",
                ))
            } else if other.bays.1 >= subnet.bays.0 {
                Some((
                    format!("bays of {} and {} would have the same addresses", title(other), title(subnet)),
                    "let `first` of one begin behind the last bay of the other, or give each a network of its own",
                ))
            } else {
                shared.entry(subnet.network.to_string()).or_default().extend([other.rack, subnet.rack]);
                None
            };
            if let Some((wrong, hint)) = wrong {
                // The later one in the file is the one that was added.
                let (first, second) =
                    if (other.place.line, other.place.column) < (subnet.place.line, subnet.place.column) {
                        (other.place, subnet.place)
                    } else {
                        (subnet.place, other.place)
                    };
                problems.report(Diagnostic::at(second, wrong).also("the other one", first).hint(hint));
            }
        }
        around.push(subnet);
    }
    for (network, racks) in shared {
        let racks: Vec<_> = racks.into_iter().collect();
        found.notes.push(format!("one network of several racks: {network} of {}", racks.join(", ")));
    }
}

/// What one sled's addresses and routers have to do with each other.
pub(super) fn sled(sled: &Sled, own: &Problems) {
    let place = |path: &[&str]| at(&sled.config_node, path).map_or(&sled.place, |n| &n.place);
    for (name, network) in &sled.config.networks {
        let key = |key: &str| place(&["networks", name, key]);
        let nodes = at(&sled.config_node, &["networks", name, "addresses"]);
        for (cidr, node) in network.addresses.iter().zip(nodes.into_iter().flat_map(Node::entries)) {
            host(*cidr, &node.place, own);
        }
        router(network.gateway, &network.addresses, key("gateway"), own);
        for route in &network.routes {
            router(Some(route.via), &network.addresses, key("routes"), own);
        }
    }
    let Some(bmc) = &sled.config.bmc else { return };
    if let Some(cidr) = bmc.address {
        host(cidr, place(&["bmc", "address"]), own);
        router(bmc.gateway, &[cidr], place(&["bmc", "gateway"]), own);
    }
}

/// An address names one machine.
fn host(cidr: Cidr, place: &Place, own: &Problems) {
    let (first, last) = range(cidr);
    let number = range(Cidr { address: cidr.address, prefix: 128 }).0;
    let wrong = match cidr.address {
        IpAddr::V4(ip)
            if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast() =>
        {
            "no address of a machine"
        }
        IpAddr::V6(ip) if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() => {
            "no address of a machine"
        }
        // RFC 3021: a network of two has no broadcast address.
        IpAddr::V4(_) if cidr.prefix < 31 && number == first => "the network itself",
        IpAddr::V4(_) if cidr.prefix < 31 && number == last => "the network's broadcast address",
        _ => return,
    };
    own.report(Diagnostic::at(place, format!("{cidr} is {wrong}, not the address of a host in it")));
}

/// A router is reached through a network the sled is in; which one that is, DHCP may say.
fn router(via: Option<IpAddr>, addresses: &[Cidr], place: &Place, own: &Problems) {
    let Some(via) = via else { return };
    let link_local = matches!(via, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let mut same = addresses.iter().filter(|a| a.address.is_ipv4() == via.is_ipv4()).peekable();
    if link_local || same.peek().is_none() {
        return;
    }
    if addresses.iter().any(|a| a.address == via) {
        own.report(Diagnostic::at(place, format!("the router {via} is the sled's own address")));
    } else if let Some(first) = same.clone().next().filter(|_| !same.any(|a| contains(*a, via))) {
        // As it is said of a rack's gateway: both are at the same place.
        let wrong = format!("{via} is not in {}", first.network());
        own.report(
            Diagnostic::at(place, wrong).why("a router outside of the sled's networks is not reached"),
        );
    }
}

/// Addresses of sleds and BMCs that are routers' too, and BMCs that sleds reach directly.
pub(super) fn fleet(file: &FleetFile, root: &Node, sleds: &[Sled], problems: &Problems, found: &mut Found) {
    let mut routers: HashMap<IpAddr, &Place> = HashMap::new();
    for (key, node) in pairs(root, "racks") {
        let Some(rack) = file.racks.get(&key.name) else { continue };
        for (key, node) in pairs(node, "subnets") {
            let gateway = rack.subnets.get(&key.name).and_then(|s| s.gateway);
            if let Some((gateway, node)) = gateway.zip(node.get("gateway")) {
                routers.entry(gateway).or_insert(&node.place);
            }
        }
    }
    // Networks of sleds by their prefix length: few lengths, many networks.
    let mut networks: BTreeMap<u8, HashMap<IpAddr, &str>> = BTreeMap::new();
    for sled in sleds {
        for (name, network) in &sled.config.networks {
            for cidr in &network.addresses {
                let of_length = networks.entry(cidr.prefix).or_default();
                of_length.entry(cidr.network().address).or_insert(name);
            }
        }
    }
    let is_router = |address: IpAddr, place: &Place| {
        if let Some(router) = routers.get(&address) {
            let wrong = format!("{address} is a rack's gateway and would be a sled's address");
            problems.report(Diagnostic::at(place, wrong).also("the gateway", router));
        }
    };
    for sled in sleds {
        for (name, network) in &sled.config.networks {
            let nodes = at(&sled.config_node, &["networks", name, "addresses"]);
            for (cidr, node) in network.addresses.iter().zip(nodes.into_iter().flat_map(Node::entries)) {
                is_router(cidr.address, &node.place);
            }
        }
        let Some(bmc) = sled.config.bmc.as_ref().and_then(|bmc| bmc.address) else { continue };
        let place = at(&sled.config_node, &["bmc", "address"]).map_or(&sled.place, |n| &n.place);
        is_router(bmc.address, place);
        let within = networks.iter().find_map(|(prefix, of_length)| {
            let network = Cidr { address: bmc.address, prefix: *prefix }.network();
            of_length.get(&network.address).map(|name| (network, name))
        });
        if let Some((network, name)) = within {
            let wrong = format!("the BMC's address is in {network}, which is the sleds' network `{name}`");
            found.warnings.push(
                Diagnostic::at(place, wrong)
                    .why("what runs on the sleds would reach the BMCs")
                    .hint("give the BMCs a network of their own"),
            );
        }
    }
}
