//! The sled document: what one sled is told, signed as a whole.
//!
//! A JSON object (RFC 8259). `sledos` is the version of the format; a reader skips
//! keys it does not know, so a key is only ever added, and a change that an old
//! reader must not skip takes a new version.

use crate::config::Config;
use crate::values::{Hash32, Mac};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format that is written and read.
pub const FORMAT: u32 = 1;

/// Longest document that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// What lies on a server for a sled.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one of them in a whole boot
pub enum Document {
    /// The sled is part of the fleet.
    Sled(Box<SledDocument>),
    /// This hardware was replaced and is not to come back as what it was.
    Retired(Retired),
}

/// Everything a sled is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SledDocument {
    /// Version of the format: [`FORMAT`].
    pub sledos: u32,
    /// Name, issue, identity.
    pub head: Head,
    /// Name of its role.
    pub role: String,
    /// What it boots.
    pub image: Image,
    /// Whether and where the image is installed; without it the sled runs from memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// Whom it talks to.
    #[serde(default)]
    pub servers: Servers,
    /// Who says that this is the newest document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// How it is configured.
    pub config: Config,
}

/// A tombstone: found under the keys of hardware that was replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Retired {
    /// Version of the format: [`FORMAT`].
    pub sledos: u32,
    /// Name, issue, identity.
    pub head: Head,
    /// Why, for the console: `replaced on 2026-11-24 by board ZM18AS036112`.
    pub retired: String,
}

/// What both kinds begin with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Head {
    /// Name of the sled: `r12-b07`.
    pub sled: String,
    /// Grows with every change of this sled's document. A sled refuses one that is
    /// smaller than the greatest it has seen.
    pub generation: u64,
    /// When it was signed, in seconds since 1970-01-01T00:00:00Z.
    pub issued: u64,
    /// From when on it is refused, in the same unit.
    pub expires: u64,
    /// Which hardware it is for.
    pub identity: Identity,
}

/// How a sled is recognised: each value that is given identifies it alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Identity {
    /// Where it sits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The ports of top-of-rack switches that lead to it, as LLDP names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub switch_ports: Vec<SwitchPort>,
    /// Serial number of the main board (SMBIOS type 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_serial: Option<String>,
    /// Serial number of the product (SMBIOS type 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_serial: Option<String>,
    /// UUID (SMBIOS type 1), lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Permanent MAC addresses of its NICs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<Mac>,
    /// MAC address of its BMC. Selects nothing; for people and inventory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc_mac: Option<Mac>,
}

/// A place in a rack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Location {
    /// Name of the rack.
    pub rack: String,
    /// Bay, from the bottom, from 1.
    pub bay: u32,
}

/// A port of a switch, in the canonical text of `formats::lldp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SwitchPort {
    /// Chassis id of the switch.
    pub chassis: String,
    /// Port id.
    pub port: String,
}

/// An image and where to get it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// Name: `compute`.
    pub name: String,
    /// Version.
    pub version: String,
    /// Root hash of its /usr: the image's identity.
    pub root_hash: Hash32,
    /// Where its artefacts lie: URLs of directories, without a `/` at the end.
    pub urls: Vec<String>,
    /// /usr.
    pub usr: Artefact,
    /// The verity tree of /usr.
    pub verity: Artefact,
    /// The unified kernel image.
    pub uki: Artefact,
    /// The partitions of a disk on which it is installed; without it, those of a recipe that
    /// says nothing. A disk that has its partitions keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The system extensions that this image may merge, by name; they lie beside it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, Extension>,
}

/// A system extension: a filesystem laid over the /usr of its image while that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Extension {
    /// Root hash of its filesystem: the extension's identity.
    pub root_hash: Hash32,
    /// The filesystem.
    pub squashfs: Artefact,
    /// Its verity tree.
    pub verity: Artefact,
}

/// Whether this is the name of an extension: it becomes part of file and device names.
pub fn is_extension_name(text: &str) -> bool {
    let sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 32 && text.chars().all(sign)
}

/// Sizes of partitions in bytes: `layout` of the image's recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Layout {
    /// The EFI system partition.
    pub esp: u64,
    /// Each of the two for a /usr.
    pub usr: u64,
    /// Each of the two for a verity tree.
    pub verity: u64,
    /// Site configuration.
    pub oem: u64,
    /// The filesystem for /var, which grows to the end of the disk.
    pub root: u64,
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Artefact {
    /// Name in the image's directory: `usr.squashfs`.
    pub file: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the whole.
    pub sha256: Hash32,
}

/// That the image is installed on a disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Install {
    /// On which.
    pub disk: DiskMatch,
    /// Whether it is two disks with the same on them: each has its own boot files and
    /// slots and boots alone, and ROOT is a RAID1 over both. `pick` takes two then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
    /// What of it may be destroyed.
    #[serde(default)]
    pub wipe: Wipe,
}

/// Recognises disks. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct DiskMatch {
    /// Serial numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serial: Vec<String>,
    /// World wide names, as udev writes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wwn: Vec<String>,
    /// Models, with `*` for any text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<String>,
    /// Device paths below /sys/devices, with `*` for any text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// How it is attached: `nvme`, `sata`, `sas`, `usb`, `virtio`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transport: Vec<String>,
    /// Whether it spins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
    /// Least size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size: Option<u64>,
    /// Greatest size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Which of several that match. Default: an error when it is not just one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
}

impl DiskMatch {
    /// Whether it lists this very disk, by its serial number or its world wide name.
    pub fn lists(&self, serial: &str, wwn: &str) -> bool {
        let has = |list: &[String], value: &str| !value.is_empty() && list.iter().any(|v| v == value);
        has(&self.serial, serial) || has(&self.wwn, wwn)
    }

    /// Why a disk that this picks cannot be wiped, as it may be another one tomorrow: when the
    /// first of several is missing, late or does not read, the next one is picked. `serials`
    /// lists disks as well.
    ///
    /// # Errors
    /// What is wrong, for the key `wipe`.
    pub fn may_wipe(&self, wipe: Wipe, serials: &[String]) -> Result<(), String> {
        let listed = !(self.serial.is_empty() && self.wwn.is_empty() && serials.is_empty());
        if self.pick.is_none() || wipe == Wipe::Never || listed {
            return Ok(());
        }
        Err("is not for a disk that is picked from several: when one is missing or late it is another".into())
    }
}

/// Which of several disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// First in order of device paths, which do not change from boot to boot.
    First,
    /// The smallest; of equal ones the first.
    Smallest,
    /// The largest; of equal ones the first.
    Largest,
}

/// What may be destroyed on a disk that the sled does not recognise as its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Wipe {
    /// Nothing: only a blank disk or one that sledos partitioned is written to.
    #[default]
    Never,
    /// Foreign partition tables, file systems, members of a RAID and unknown data; for data
    /// disks only those whose serial numbers are listed.
    Foreign,
    /// Everything: a sledos installation with its ROOT, too, and data disks of other sleds when
    /// their serial numbers are listed. What is this sled's own already stays: it is not wiped
    /// at every boot.
    All,
}

/// Whom a sled talks to besides those of its image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Servers {
    /// Where documents lie: URLs, without a `/` at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<String>,
    /// Where reports go: URLs, without a `/` at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub report: Vec<String>,
    /// Shown with every report, so that nobody else can report for this sled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Who says that a document is the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Freshness {
    /// Public minisign keys of servers. They sign nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Whether the document is refused unless one of them has said so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// Why bytes are no document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than [`MAX_BYTES`].
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not JSON, or not of this shape.
    #[error("not a sled document")]
    Shape(#[source] serde_json::Error),
    /// Another version of the format.
    #[error("format {0}, and this image reads format {FORMAT}")]
    Format(u32),
    /// It expires before it is issued.
    #[error("it expires before it is issued")]
    Times,
}

impl Document {
    /// Reads a document. Its signature has been verified before.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Kind {
            sledos: u32,
            retired: Option<serde::de::IgnoredAny>,
        }
        if bytes.len() > MAX_BYTES {
            return Err(Error::TooLong);
        }
        let kind: Kind = serde_json::from_slice(bytes).map_err(Error::Shape)?;
        if kind.sledos != FORMAT {
            return Err(Error::Format(kind.sledos));
        }
        let document = if kind.retired.is_some() {
            Self::Retired(serde_json::from_slice(bytes).map_err(Error::Shape)?)
        } else {
            Self::Sled(Box::new(serde_json::from_slice(bytes).map_err(Error::Shape)?))
        };
        let Head { issued, expires, .. } = document.head();
        if expires <= issued { Err(Error::Times) } else { Ok(document) }
    }

    /// What both kinds begin with.
    pub fn head(&self) -> &Head {
        match self {
            Self::Sled(sled) => &sled.head,
            Self::Retired(retired) => &retired.head,
        }
    }
}
