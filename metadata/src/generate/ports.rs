//! Networks that share a NIC, or a bond of NICs, come together: a port.

use super::nics::{self, Nic};
use super::place::Place;
use super::{Error, made_of};
use crate::config::{Bond, BondMode, Network};
use std::collections::BTreeMap;

/// A NIC, or several in a bond, and the networks on it.
#[derive(Debug)]
pub(super) struct Port<'a> {
    pub(super) nics: Vec<&'a Nic>,
    pub(super) bond: Option<&'a Bond>,
    /// Name and network; at most one without a VLAN.
    pub(super) networks: Vec<(&'a str, &'a Network)>,
}

impl Port<'_> {
    /// The name of its first network, which its files have.
    pub(super) fn name(&self) -> &str {
        self.networks.first().map_or("", |(name, _)| name)
    }

    /// The bond's interface.
    pub(super) fn bond_interface(&self) -> Option<String> {
        self.bond.map(|_| format!("bond-{}", self.name()))
    }

    /// The greatest packet of any of its networks: a VLAN's fit into the NIC's.
    pub(super) fn mtu(&self) -> Option<u32> {
        self.networks.iter().filter_map(|(_, network)| network.mtu).max()
    }

    fn macs(&self) -> Vec<crate::values::Mac> {
        self.nics.iter().map(|nic| nic.mac).collect()
    }
}

/// Longest name of a network, so that `bond-NAME` and `vlan-NAME` are interfaces:
/// those have 15 bytes at most.
const NAME_MAX: usize = 10;

/// Finds the NICs of all networks.
pub(super) fn resolve<'a>(
    out: &mut Place,
    networks: &'a BTreeMap<String, Network>,
    nics: &'a [Nic],
) -> Result<Vec<Port<'a>>, Error> {
    let mut ports: Vec<Port<'a>> = Vec::new();
    let mut gateways = networks.iter().filter(|(_, n)| n.gateway.is_some_and(|g| g.is_ipv4()));
    if let (Some((one, _)), Some((two, _))) = (gateways.next(), gateways.next()) {
        out.warn(&format!("networks.{two}.gateway"), format!("networks.{one} has a default gateway, too"));
    }
    for (name, network) in networks {
        check(name, network)?;
        let mut found = nics::matching(&network.nic, nics);
        let field = format!("networks.{name}.match");
        let Some(&first) = found.first() else {
            let text = format!("fits no NIC, {name} stays down. NICs here: {}", list(nics));
            if network.required == Some(true) {
                return Err(Error::new(field, text));
            }
            out.warn(&field, text);
            continue;
        };
        match &network.bond {
            None => found = vec![first],
            Some(_) if found.len() == 1 => {
                out.warn(&field, format!("fits one NIC only, the bond has no second one: {first}"));
            }
            Some(_) => {}
        }
        let new = Port { nics: found, bond: network.bond.as_ref(), networks: vec![(name.as_str(), network)] };
        let shared = ports.iter_mut().find(|p| p.nics.iter().any(|nic| new.macs().contains(&nic.mac)));
        match shared {
            None => ports.push(new),
            Some(port) if port.macs() == new.macs() && port.bond == new.bond => {
                if let Some((other, _)) = port.networks.iter().find(|(_, n)| n.vlan == network.vlan) {
                    let what = match network.vlan {
                        None => "both without a VLAN".to_owned(),
                        Some(id) => format!("both in VLAN {id}"),
                    };
                    let problem = format!(
                        "fits the same NIC as networks.{other}, {what}: {first}. Say more in one of them \
                         (`index`, `mac`, `path`)"
                    );
                    return Err(Error::new(field, problem));
                }
                port.networks.push((name.as_str(), network));
            }
            Some(port) => {
                let problem = format!(
                    "fits NICs that networks.{} has in another bond or alone: {first}. Networks share \
                     all NICs of a bond or none, with the same `bond`",
                    port.name()
                );
                return Err(Error::new(field, problem));
            }
        }
    }
    Ok(ports)
}

/// What can be wrong whatever NICs there are.
fn check(name: &str, network: &Network) -> Result<(), Error> {
    let refuse = |field: &str, problem: String| {
        let dot = if field.is_empty() { "" } else { "." };
        Err(Error::new(format!("networks.{name}{dot}{field}"), problem))
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !made_of(name, plain) || name.len() > NAME_MAX {
        let problem = format!("a network's name has 1 to {NAME_MAX} small letters, digits or `-`");
        return refuse("", problem);
    }
    if nics::says_nothing(&network.nic) {
        return refuse("match", "says nothing; give a driver, mac, path, speed or index".into());
    }
    if let Some(mtu) = network.mtu.filter(|mtu| !(68..=65535).contains(mtu)) {
        return refuse("mtu", format!("{mtu} is not possible; 68 to 65535 bytes are"));
    }
    if let Some(id) = network.vlan.filter(|id| !(1..=4094).contains(id)) {
        return refuse("vlan", format!("{id} is not a VLAN; 1 to 4094 are"));
    }
    if let Some(bond) = &network.bond {
        if let Some(hash) = &bond.hash
            && !["layer2", "layer2+3", "layer3+4"].contains(&hash.as_str())
        {
            return refuse("bond.hash", format!("`{hash}` is none of layer2, layer2+3, layer3+4"));
        }
        if bond.mode != BondMode::Lacp && bond.lacp_fast.is_some() {
            return refuse("bond.lacp-fast", "only `mode: lacp` speaks LACP; leave it out".into());
        }
    }
    for cidr in &network.addresses {
        let ip = cidr.address;
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return refuse("addresses", format!("{cidr} cannot be the address of a sled"));
        }
    }
    // A router nobody can reach keeps networkd from configuring the link at all.
    let routers = network.gateway.iter().map(|via| ("gateway", *via));
    let routers = routers.chain(network.routes.iter().map(|route| ("routes", route.via)));
    for (field, via) in routers {
        let link_local = matches!(via, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
        let reached = network.addresses.iter().any(|cidr| cidr.contains(via));
        let dynamic = super::networkd::dhcp(network).is_some() || network.router_advertisements == Some(true);
        if !(reached || link_local || dynamic) {
            let problem = format!("{via} is in no network of `addresses`, so it cannot be reached");
            return refuse(field, problem);
        }
    }
    if let Some(route) = network.routes.iter().find(|route| route.to.address.is_ipv4() != route.via.is_ipv4())
    {
        return refuse("routes", format!("{} goes by {}, which is of the other family", route.to, route.via));
    }
    Ok(())
}

fn list(nics: &[Nic]) -> String {
    if nics.is_empty() {
        return "none at all".into();
    }
    nics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
