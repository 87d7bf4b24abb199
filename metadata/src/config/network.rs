//! Networks: which NIC, which addresses.

use crate::values::{Cidr, Mac};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One network of a sled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Network {
    /// Which NICs it is on. Several make a bond if `bond` is given; without one the first that fits.
    #[serde(rename = "match")]
    pub nic: NicMatch,
    /// Whether addresses come from DHCP. Default: `ipv4` when `addresses` is empty, else `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
    /// Static addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Cidr>,
    /// Default gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub gateway: Option<IpAddr>,
    /// Further routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Name servers of this network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub dns: Vec<IpAddr>,
    /// Largest packet in bytes, 68 to 65535. 9000: jumbo frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// VLAN id, 1 to 4094: the addresses are on that tagged VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Joins all NICs that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    /// Whether the sled waits for it before it starts services. Default: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Whether router advertisements configure IPv6. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_advertisements: Option<bool>,
}

/// The baseboard management controller. What is not given is left as it is.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Bmc {
    /// Its IPv4 address, with the length of its network's prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Cidr>,
    /// Its default gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub gateway: Option<IpAddr>,
    /// Its VLAN id, 1 to 4094; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Name of a user that administers it, at most 16 bytes. Made when there is none of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password, at most 20 bytes. It is in the document in clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl std::fmt::Debug for Bmc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bmc({:?}, …)", self.address)
    }
}

/// Recognises NICs. Everything that is given must hold; at least one must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct NicMatch {
    /// Kernel drivers: `[ixgbe, i40e]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub driver: Vec<String>,
    /// Permanent MAC addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mac: Vec<Mac>,
    /// PCI paths, with `*` for any text: `0000:3b:00.*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Least link speed in Mbit/s: `10000` is any 10G port and faster. A port
    /// without a link has no speed and does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_speed: Option<u32>,
    /// Greatest link speed in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_speed: Option<u32>,
    /// Of the NICs that match, in order of their PCI path, only this one, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

/// Which addresses to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Dhcp {
    /// None.
    No,
    /// IPv4 by DHCP.
    Ipv4,
    /// IPv6 by DHCPv6.
    Ipv6,
    /// Both.
    Yes,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Route {
    /// Where to: a network.
    pub to: Cidr,
    /// By which router.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub via: IpAddr,
}

/// A bond.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Bond {
    /// How it shares the NICs.
    pub mode: BondMode,
    /// Whether LACP is spoken every second instead of every 30. Default: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacp_fast: Option<bool>,
    /// What a flow is told by: `layer2`, `layer2+3`, `layer3+4`. Default: `layer3+4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Bonding modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// 802.3ad: the switch has to speak LACP.
    Lacp,
    /// One NIC at a time; needs nothing of the switch.
    ActiveBackup,
    /// By hash, without LACP: the switch has to be configured for it.
    BalanceXor,
}
