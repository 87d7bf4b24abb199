//! How a sled is to be configured. The fleet file has these types at four levels
//! (fleet, role, rack, sled), the sled document has the result.
//!
//! Keys are kebab-case in YAML and JSON. Every field has a default that means
//! "leave it as the image has it".

mod accounts;
mod agent;
mod disks;
mod docker;
mod mesos;
mod network;
mod system;

pub use accounts::Account;
pub use agent::Agent;
pub use disks::{DiskSet, Filesystem, parse_partition_name, partition_name};
pub use docker::Docker;
pub use mesos::{Credential, FaultDomain, Mesos, Resources};
pub use network::{Bmc, Bond, BondMode, Dhcp, Network, NicMatch, Route};
pub use system::{Dns, FileEntry, Time, Unit, UnitDropIn};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The configuration of one sled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// The host name, one label or a full name.
    pub hostname: String,
    /// Networks by name (`mgmt`, `data`), each on the NIC that it recognises.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Network>,
    /// The baseboard management controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc: Option<Bmc>,
    /// Public keys that may log in as root, as in authorized_keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// Time servers.
    #[serde(default, skip_serializing_if = "Time::is_empty")]
    pub time: Time,
    /// Name servers for all networks.
    #[serde(default, skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    /// Data disks, in sets of disks that are used alike, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disks: BTreeMap<String, DiskSet>,
    /// Docker's daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<Docker>,
    /// The Mesos agent; without it the agent does not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesos: Option<Mesos>,
    /// Another agent than Mesos: a service that gives the sled its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Extra files, directories and links, by absolute path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileEntry>,
    /// Users by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, Account>,
    /// Groups by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Account>,
    /// Extra systemd units and changes to those of the image, by unit name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, Unit>,
}
