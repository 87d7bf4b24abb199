//! Time, names, files, units.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Time {
    /// Names or addresses of NTP servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Time zone: `Europe/Berlin`. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl Time {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Name servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Dns {
    /// Addresses of name servers.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<std::net::IpAddr>,
    /// Domains that short names are looked up in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

impl Dns {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An extra file; parents are made with mode 0755.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct FileEntry {
    /// Content as text.
    pub contents: String,
    /// Permission bits in octal. Default: `0644`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Numeric owner. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Numeric group. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A systemd unit: a new one, or a change to one of the image's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Unit {
    /// The whole unit file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// Units that want it: `[multi-user.target]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wanted_by: Vec<String>,
    /// Whether it cannot be started at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mask: bool,
    /// Drop-ins by file name: `10-limits.conf`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub drop_ins: BTreeMap<String, UnitDropIn>,
}

/// Content of a drop-in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct UnitDropIn {
    /// The file.
    pub contents: String,
}
