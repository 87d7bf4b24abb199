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

/// An extra file, directory or link; parents are made with mode 0755. A file or link
/// replaces what the image has there; a directory that is there gets the mode and owner
/// that are given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct FileEntry {
    /// Content as text.
    pub contents: String,
    /// Whether `contents` is base64 (RFC 4648, section 4), for content that is no text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub base64: bool,
    /// Whether `contents` goes behind what the image has at this path, whose mode and
    /// owner stay unless they are given. Only below /etc: elsewhere it would grow at each boot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// Whether it may replace what the image has below /etc. Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<bool>,
    /// Whether it is a directory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub directory: bool,
    /// Where it points: then it is a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Whether the link is a hard one, to another of `files`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hard: bool,
    /// Permission bits in octal. Default: `0644`; of a directory `0755`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Numeric owner. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Numeric group. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Name of the owner, of `users` or of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Name of the group, of `groups`, of `users` or of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
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
