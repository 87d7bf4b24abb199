//! Files of systemd-networkd: systemd.network(5), systemd.netdev(5), version 252.
//!
//! Every port hears and speaks LLDP: `networkctl lldp` shows where its cable leads, the switch
//! shows the sled.

use super::Error;
use super::place::Place;
use super::ports::Port;
use crate::config::{Bond, BondMode, Config, Dhcp, Network};
use crate::values::Mac;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where [`Interfaces`] lies as JSON.
pub const INTERFACES: &str = "/etc/sledos/networks.json";

/// Which interface each network of the document is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// By name of the network.
    pub networks: BTreeMap<String, Interface>,
}

/// The interface of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name, if the configuration gives it one (bonds, VLANs). Else it is the NIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Permanent MAC addresses of its NICs; none if no NIC fits.
    pub macs: Vec<Mac>,
}

const DIR: &str = "/etc/systemd/network";

/// With a number behind them these are names that the kernel or Docker gives.
const TAKEN: [&str; 12] =
    ["bond", "br", "docker", "dummy", "eth", "ifb", "tap", "tun", "tunl", "usb", "veth", "wlan"];

/// What the NICs of a port are for, by MAC address: `data0`; in a bond `data0` and `data1`,
/// ten at most. Nothing for names that cannot be.
fn names<'p>(port: &'p Port<'_>) -> impl Iterator<Item = (Mac, String)> + 'p {
    let network = port.name();
    // systemd takes no name for one that is a number.
    let possible = !TAKEN.contains(&network) && !network.bytes().all(|b| b.is_ascii_digit());
    let nics = port.nics.iter().zip(0..10).filter(move |_| possible);
    nics.map(move |(nic, n)| (nic.mac, format!("{network}{n}")))
}

/// Networks without any NIC that fits leave the image's `80-dhcp.network` alone: a
/// sled that asks for an address on every port can be reached and mended.
pub(super) fn files(out: &mut Place, config: &Config, ports: &[Port<'_>]) -> Result<(), Error> {
    let networks = &config.networks;
    out.text("networks", format!("{DIR}/10-sledos.link"), format!("{ANY_PORT}{KEEP_NAMES}"))?;
    let mut interfaces = Interfaces::default();
    for name in networks.keys() {
        interfaces.networks.insert(name.clone(), Interface::default());
    }
    let shared = Shared { networks, own_time: !config.time.servers.is_empty() };
    for port in ports {
        port_files(out, port, &shared)?;
        if names(port).next().is_none() {
            let problem = format!(
                "its NICs keep their names: {}0 is one that the kernel, Docker or systemd has another use for",
                port.name()
            );
            out.warn(&format!("networks.{}", port.name()), problem);
        }
        for (mac, name) in names(port) {
            let text =
                format!("[Match]\nPermanentMACAddress={mac}\nKind=!*\n{KEEP_NAMES}AlternativeName={name}\n");
            out.text(&format!("networks.{}", port.name()), format!("{DIR}/10-sledos-{name}.link"), text)?;
            out.names.insert(mac, name);
        }
        for (name, network) in &port.networks {
            let interface = match network.vlan {
                Some(_) => Some(vlan_interface(name)),
                None => port.bond_interface(),
            };
            let macs = port.nics.iter().map(|nic| nic.mac).collect();
            interfaces.networks.insert((*name).to_owned(), Interface { name: interface, macs });
        }
    }
    if networks.is_empty() {
        return Ok(());
    }
    let mut json = serde_json::to_string_pretty(&interfaces).unwrap_or_default();
    json.push('\n');
    out.text("networks", INTERFACES, json)?;
    if ports.is_empty() {
        out.warn("networks", "none has a NIC: every port asks for an address by DHCP, as in the image");
        return Ok(());
    }
    // In place of the image's file of that name.
    out.text("networks", format!("{DIR}/80-dhcp.network"), OTHER_PORTS.into())?;
    // In place of the image's, which is content with any port that is up.
    out.text(
        "networks",
        "/etc/systemd/system/systemd-networkd-wait-online.service.d/any.conf",
        WAIT_FOR_ALL.into(),
    )
}

/// PID 1 has the ports up already, and kernels before 6.2 rename no port that is up: udev
/// would fail, and networkd wait for it for ever. Taken down, a port may need half a
/// minute until its switch forwards again. So udev renames nothing: what a port is for is
/// its name where PID 1 could give it, else an alternative name, and udev's are alternative
/// names (`ip link show enp59s0f0`); systemd.link(5).
const KEEP_NAMES: &str = "
[Link]
NamePolicy=
AlternativeNamesPolicy=database onboard slot path
";

const ANY_PORT: &str = "\
# The kernel's names stay: the ports have been up since the initramfs.
[Match]
OriginalName=*
";

/// Of a port, not of a bond or VLAN on it.
const LLDP: &str = "LLDP=yes\nEmitLLDP=yes\n";

const OTHER_PORTS: &str = "\
# Ports that no network of the sled document is on: up, so that LLDP shows what they
# are connected to, but without addresses.
[Match]
Name=en* eth*
Kind=!*

[Network]
DHCP=no
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=yes
EmitLLDP=yes

[Link]
RequiredForOnline=no
";

const WAIT_FOR_ALL: &str = "\
# All networks the sled document requires, not just any port. Without them the sled
# goes on after this long, and the unit has failed.
[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --timeout=120
";

/// What all networks have in common.
struct Shared<'a> {
    networks: &'a BTreeMap<String, Network>,
    /// The document names time servers: those of DHCP are not taken.
    own_time: bool,
}

impl Shared<'_> {
    /// Of several default routes that of the first network by name wins, at every boot.
    fn metric(&self, name: &str) -> usize {
        1024 + self.networks.keys().take_while(|other| *other != name).count()
    }
}

fn port_files(out: &mut Place, port: &Port<'_>, shared: &Shared<'_>) -> Result<(), Error> {
    let name = port.name();
    let field = format!("networks.{name}");
    let macs: Vec<_> = port.nics.iter().map(|nic| nic.mac.to_string()).collect();
    let mut text = format!("[Match]\nPermanentMACAddress={}\nKind=!*\n", macs.join(" "));
    let mut more = LLDP.to_owned();
    if let (Some(bond), Some(interface)) = (port.bond, port.bond_interface()) {
        text += &format!("\n[Network]\nBond={interface}\n{more}");
        more.clear();
        link(&mut text, port.mtu(), "no");
        out.text(&field, format!("{DIR}/10-sledos-{name}-nics.network"), text)?;
        // The address of the first NIC: DHCP servers have seen it already.
        let mac = macs.first().map_or("", String::as_str);
        let netdev = netdev(&interface, "bond", port.mtu(), Some(mac)) + &bond_section(bond);
        out.text(&field, format!("{DIR}/10-sledos-{name}.netdev"), netdev)?;
        text = format!("[Match]\nName={interface}\n");
    }
    let vlans: Vec<_> = port.networks.iter().filter_map(|(n, net)| Some((*n, *net, net.vlan?))).collect();
    more.extend(vlans.iter().map(|(n, ..)| format!("VLAN={}\n", vlan_interface(n))));
    match port.networks.iter().find(|(_, n)| n.vlan.is_none()) {
        Some(own) => network_sections(&mut text, *own, shared, port.mtu(), &more),
        None => {
            text += "\n[Network]\nDHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n";
            text += &more;
            link(&mut text, port.mtu(), "no");
        }
    }
    out.text(&field, format!("{DIR}/10-sledos-{name}.network"), text)?;
    for (name, network, id) in vlans {
        let (interface, field) = (vlan_interface(name), format!("networks.{name}"));
        let netdev = netdev(&interface, "vlan", network.mtu, None) + &format!("\n[VLAN]\nId={id}\n");
        out.text(&field, format!("{DIR}/20-sledos-{name}-vlan.netdev"), netdev)?;
        let mut text = format!("[Match]\nName={interface}\n");
        network_sections(&mut text, (name, network), shared, network.mtu, "");
        out.text(&field, format!("{DIR}/20-sledos-{name}-vlan.network"), text)?;
    }
    Ok(())
}

fn vlan_interface(name: &str) -> String {
    format!("vlan-{name}")
}

fn netdev(interface: &str, kind: &str, mtu: Option<u32>, mac: Option<&str>) -> String {
    let mut text = format!("[NetDev]\nName={interface}\nKind={kind}\n");
    mtu.into_iter().for_each(|mtu| text += &format!("MTUBytes={mtu}\n"));
    mac.into_iter().for_each(|mac| text += &format!("MACAddress={mac}\n"));
    text
}

fn bond_section(bond: &Bond) -> String {
    let mode = match bond.mode {
        BondMode::Lacp => "802.3ad",
        BondMode::ActiveBackup => "active-backup",
        BondMode::BalanceXor => "balance-xor",
    };
    // Without MII monitoring a bond never notices that a cable is gone.
    let mut text = format!("\n[Bond]\nMode={mode}\nMIIMonitorSec=100ms\n");
    if bond.mode != BondMode::ActiveBackup {
        text += &format!("TransmitHashPolicy={}\n", bond.hash.as_deref().unwrap_or("layer3+4"));
    }
    if bond.mode == BondMode::Lacp {
        let rate = if bond.lacp_fast.unwrap_or(true) { "fast" } else { "slow" };
        text += &format!("LACPTransmitRate={rate}\n");
    }
    text
}

/// Which addresses are asked for, if any.
pub(super) fn dhcp(network: &Network) -> Option<Dhcp> {
    let default = if network.addresses.is_empty() { Dhcp::Ipv4 } else { Dhcp::No };
    Some(network.dhcp.unwrap_or(default)).filter(|dhcp| *dhcp != Dhcp::No)
}

fn network_sections(
    text: &mut String,
    (name, network): (&str, &Network),
    shared: &Shared<'_>,
    mtu: Option<u32>,
    more: &str,
) {
    let dhcp = dhcp(network);
    let advertised = network.router_advertisements == Some(true);
    let says = match dhcp {
        None | Some(Dhcp::No) => "no",
        Some(Dhcp::Ipv4) => "ipv4",
        Some(Dhcp::Ipv6) => "ipv6",
        Some(Dhcp::Yes) => "yes",
    };
    *text += &format!("\n[Network]\nDescription={name}\nDHCP={says}\n");
    *text += if advertised { "IPv6AcceptRA=yes\n" } else { "IPv6AcceptRA=no\n" };
    network.addresses.iter().for_each(|a| *text += &format!("Address={a}\n"));
    network.gateway.iter().for_each(|g| *text += &format!("Gateway={g}\n"));
    network.dns.iter().for_each(|d| *text += &format!("DNS={d}\n"));
    *text += more;
    // Without any address there is nothing more to wait for than the link.
    let addressed = dhcp.is_some() || advertised || !network.addresses.is_empty();
    link(
        text,
        mtu,
        match network.required {
            Some(false) => "no",
            _ if addressed => "routable",
            _ => "carrier",
        },
    );
    for route in &network.routes {
        *text += &format!("\n[Route]\nDestination={}\nGateway={}\n", route.to.network(), route.via);
    }
    let use_ntp = if shared.own_time { "UseNTP=no\n" } else { "" };
    if matches!(dhcp, Some(Dhcp::Ipv4 | Dhcp::Yes)) {
        // The client id that PXE firmware and PID 1 use, so that the lease is the same.
        *text += "\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\n";
        *text += &format!("RouteMetric={}\n", shared.metric(name));
        *text += use_ntp;
        if network.gateway.is_some() {
            *text += "UseGateway=no\n";
        }
    }
    if matches!(dhcp, Some(Dhcp::Ipv6 | Dhcp::Yes)) {
        *text += "\n[DHCPv6]\nUseHostname=no\n";
        *text += use_ntp;
        if !advertised {
            *text += "WithoutRA=solicit\n";
        }
    }
}

fn link(text: &mut String, mtu: Option<u32>, required: &str) {
    *text += "\n[Link]\n";
    mtu.into_iter().for_each(|mtu| *text += &format!("MTUBytes={mtu}\n"));
    *text += &format!("RequiredForOnline={required}\n");
}
