//! `manifest.json`: what an image is, what it was made from, what it promises.

use std::collections::BTreeMap;

use crate::kernel::contract::Devices;
use formats::gpt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The builder: what [`Manifest::builder`] says of an image made by this one.
pub const BUILDER: &str = concat!("sledos ", env!("CARGO_PKG_VERSION"));

/// The manifest. Maps are sorted, so the same image gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Image name.
    pub image: String,
    /// Image version.
    pub version: String,
    /// Seconds since 1970: the time of every file in the image.
    pub time: i64,
    /// The builder that made it.
    pub builder: String,
    /// dm-verity root hash of /usr in hexadecimal: the image's identity.
    pub root_hash: String,
    /// The kernel.
    pub kernel: Kernel,
    /// What decides the bytes, by sha256.
    pub inputs: Inputs,
    /// The partitions of `disk.raw`.
    pub partitions: Vec<Partition>,
    /// The other files beside this one.
    pub artefacts: BTreeMap<String, Artefact>,
    /// Packages by name: version.
    pub packages: BTreeMap<String, String>,
    /// Components in the image.
    pub components: BTreeMap<String, ComponentEntry>,
    /// Components the recipe wants and nobody gave.
    pub missing_components: Vec<String>,
    /// System extensions by name, in `NAME.sysext.squashfs` and `NAME.sysext.verity`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, Extension>,
    /// The NICs that work, each with its module and firmware.
    pub nics: Vec<serde_json::Value>,
    /// The disk controllers that work, each with its module and firmware.
    #[serde(default)]
    pub controllers: Vec<serde_json::Value>,
    /// Users by name: number.
    #[serde(default)]
    pub users: BTreeMap<String, u32>,
    /// Groups by name: number.
    #[serde(default)]
    pub groups: BTreeMap<String, u32>,
}

/// The kernel of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Its whole command line.
    pub cmdline: String,
}

/// What decides an image's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Inputs {
    /// sha256 of the recipe and the files it includes, one after the other in the order they were read.
    pub recipe: String,
    /// Overlays by name, each by the sha256 of its files: paths, kinds and contents.
    #[serde(default)]
    pub overlays: BTreeMap<String, String>,
    /// sha256 of the lock.
    pub lock: String,
    /// sha256 of the PID 1 built into the builder.
    pub init: String,
    /// zstd level of /usr.
    pub usr_level: i32,
    /// squashfs block size in bytes.
    pub block_size: u32,
    /// zstd level of the initramfs.
    pub initramfs_level: i32,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Partition {
    /// Number, from 1.
    pub number: u32,
    /// GPT name.
    pub label: String,
    /// GPT type.
    pub r#type: String,
    /// GPT unique id.
    pub uuid: String,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Bytes its content takes.
    pub used: u64,
}

impl Partition {
    /// A partition of a table, of which the content takes so many bytes.
    pub fn of(partition: &gpt::Partition, used: u64) -> Self {
        Self {
            number: partition.number,
            label: partition.name.clone(),
            r#type: partition.type_guid.to_string(),
            uuid: partition.guid.to_string(),
            start: partition.start,
            size: partition.size,
            used,
        }
    }
}

/// A file of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Artefact {
    /// Length in bytes.
    pub size: u64,
    /// Its sha256.
    pub sha256: String,
}

/// Where a component came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ComponentEntry {
    /// sha256 of the file given.
    pub sha256: String,
    /// Its version, when it was a .deb.
    pub version: Option<String>,
}

/// A system extension of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Extension {
    /// What it is for.
    pub description: String,
    /// dm-verity root hash of its filesystem in hexadecimal: its identity.
    pub root_hash: String,
    /// Packages in it by name: version.
    pub packages: BTreeMap<String, String>,
}

impl Extension {
    /// The names of its filesystem and its verity tree.
    pub fn files(name: &str) -> [String; 2] {
        ["squashfs", "verity"].map(|kind| format!("{name}.sysext.{kind}"))
    }
}

impl Manifest {
    /// A name that is joined to paths and must not be: of image, version or an artefact.
    /// Others may have written the file.
    pub fn odd_name(&self) -> Option<&str> {
        let sign = |c: char| c.is_ascii_alphanumeric() || "._-+~^".contains(c);
        let plain = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.len() <= 128
                && name.chars().all(sign)
        };
        let names = [&self.image, &self.version].into_iter().chain(self.artefacts.keys());
        let extensions = self.extensions.keys().map(String::as_str);
        names
            .map(String::as_str)
            .find(|name| !plain(name))
            .or_else(|| extensions.into_iter().find(|name| !metadata::document::is_extension_name(name)))
    }

    /// The entries of both contracts, NICs first.
    pub fn devices(&self) -> impl Iterator<Item = (Devices, &serde_json::Value)> {
        let nics = self.nics.iter().map(|entry| (Devices::Nics, entry));
        nics.chain(self.controllers.iter().map(|entry| (Devices::Controllers, entry)))
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest has only string keys");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_made_of_the_types() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/manifest.json");
        let now = format!("{:#}\n", schemars::schema_for!(Manifest).to_value());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let there = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(there, now, "UPDATE_DOCS=1 cargo test --release -p sledos --lib writes it");
    }
}
