//! What an image is, at a glance.

use std::fmt;

use formats::tree::{Kind, Tree, TreePath};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::line::Line;
use crate::artefacts::{Error, Image, What, optional};
use crate::digest::hex;
use crate::kernel::microcode;
use crate::progress::bytes;

/// What an image is, at a glance. Parts that were not given are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// `directory`, `disk`, `uki`, `usr`, `initramfs`.
    pub what: &'static str,
    /// Image name and version.
    pub image: Option<(String, String)>,
    /// The image's identity.
    pub root_hash: Option<String>,
    /// The kernel's whole command line.
    pub cmdline: Option<String>,
    /// Both partition tables: `ok` or what is wrong.
    pub tables: Vec<(&'static str, String)>,
    /// Partitions of the disk.
    pub partitions: Vec<Partition>,
    /// Files of the ESP.
    pub esp: Vec<Line>,
    /// Sections of the UKI.
    pub uki: Vec<Section>,
    /// The initramfs.
    pub initramfs: Option<Counts>,
    /// /usr.
    pub usr: Option<Counts>,
    /// NICs that work: family and driver.
    pub nics: Vec<(String, String)>,
    /// CPU microcode in front of the initramfs: file and bytes.
    pub microcode: Vec<(String, u64)>,
    /// Disk controllers that work, and their drivers.
    pub controllers: Vec<(String, String)>,
    /// Who takes how many bytes of the compressed /usr, largest first.
    pub owners: Vec<(String, u64)>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// GPT name.
    pub label: String,
    /// GPT type.
    pub r#type: String,
    /// GPT unique id.
    pub uuid: String,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// What is in it, by its first bytes.
    pub content: &'static str,
}

/// A section of the UKI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Section {
    /// `.linux`.
    pub name: String,
    /// Address in memory.
    pub address: u32,
    /// Bytes.
    pub size: usize,
    /// Its sha256.
    pub sha256: String,
}

/// How much is in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Regular files, their further names not counted.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic and hard links.
    pub links: u64,
    /// Anything else.
    pub others: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Counts {
    /// Counts a tree.
    pub fn of(tree: &Tree) -> Self {
        let mut counts = Self::default();
        for (_, node) in tree.iter() {
            match &node.kind {
                Kind::File(content) => {
                    counts.files += 1;
                    counts.bytes += content.len();
                }
                Kind::Dir => counts.directories += 1,
                Kind::Symlink(_) | Kind::Hardlink(_) => counts.links += 1,
                _ => counts.others += 1,
            }
        }
        counts
    }
}

/// Looks at everything an image has.
///
/// # Errors
/// When a part that is there is damaged.
pub fn overview(image: &Image) -> Result<Overview, Error> {
    let mut out = Overview {
        what: match image.what {
            What::Directory => "directory",
            What::Disk => "disk",
            What::Uki => "uki",
            What::Usr => "usr",
            What::Initramfs => "initramfs",
        },
        ..Overview::default()
    };
    if let Some(manifest) = &image.manifest {
        out.image = Some((manifest.image.clone(), manifest.version.clone()));
        out.root_hash = Some(manifest.root_hash.clone());
        let text = |nic: &serde_json::Value, key: &str| {
            nic.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let families = |entries: &[serde_json::Value]| {
            entries.iter().map(|entry| (text(entry, "name"), text(entry, "driver"))).collect()
        };
        out.nics = families(&manifest.nics);
        out.controllers = families(&manifest.controllers);
    }
    if let Some(disk) = &image.disk {
        for (name, table) in [("primary", &disk.primary), ("backup", &disk.backup)] {
            out.tables.push((name, table.as_ref().map_or_else(ToString::to_string, |_| "ok".to_owned())));
        }
        for p in &disk.table.partitions {
            let piece = disk.piece.part(p.name.clone(), p.start, p.size);
            let head = piece.head(2048).map_err(Error::io("read", &image.path))?;
            out.partitions.push(Partition {
                number: p.number,
                label: p.name.clone(),
                r#type: p.type_guid.to_string(),
                uuid: p.guid.to_string(),
                start: p.start,
                size: p.size,
                content: content_of(&head),
            });
        }
        let lines = |tree: Tree| tree.iter().map(|(path, node)| Line::new("esp:", path, node)).collect();
        out.esp = optional(image.esp())?.map(lines).unwrap_or_default();
    }
    if let Some(uki) = optional(image.uki())? {
        for section in uki.sections()? {
            out.uki.push(Section {
                name: section.name.to_owned(),
                address: section.address,
                size: section.data.len(),
                sha256: hex(&Sha256::digest(section.data)),
            });
        }
        out.cmdline = formats::uki::cmdline(&uki.bytes).map(str::to_owned);
    }
    if let Some(listing) = optional(image.initramfs())? {
        out.initramfs = Some(Counts::of(&listing.tree));
        let dir = TreePath::parse(microcode::DIR.as_bytes()).unwrap_or_default();
        let files = listing.tree.children(&dir).filter(|(path, _)| !path.name().starts_with(b"."));
        out.microcode = files
            .filter_map(|(path, node)| match &node.kind {
                Kind::File(content) => {
                    Some((String::from_utf8_lossy(path.name()).into_owned(), content.len()))
                }
                _ => None,
            })
            .collect();
    }
    out.usr = optional(image.usr())?.map(|usr| Counts::of(&usr.listing.tree));
    if let Some(origins) = optional(image.origins())? {
        out.owners = origins.by_owner(&origins.usr).into_iter().collect();
        out.owners.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    }
    Ok(out)
}

fn content_of(head: &[u8]) -> &'static str {
    match head {
        _ if head.starts_with(b"hsqs") => "squashfs",
        _ if head.starts_with(b"verity\0\0") => "dm-verity",
        _ if head.get(510..512) == Some(&[0x55, 0xaa]) && head.get(82..87) == Some(b"FAT32") => "FAT32",
        // ext4(5): the superblock is at 1024, its magic number at 56 in it.
        _ if head.get(1080..1082) == Some(&[0x53, 0xef]) => "ext4 (not listed)",
        _ if head.iter().all(|byte| *byte == 0) => "empty",
        _ => "unknown",
    }
}

/// How many owners are shown.
const TOP: usize = 20;

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, version)) = &self.image {
            writeln!(f, "image {name} {version}")?;
        }
        for (what, value) in [("root hash", &self.root_hash), ("command line", &self.cmdline)] {
            if let Some(value) = value {
                writeln!(f, "{what} {value}")?;
            }
        }
        if !self.partitions.is_empty() {
            writeln!(f, "\npartitions")?;
        }
        for p in &self.partitions {
            writeln!(
                f,
                "  {:>2} {:<13} {} at {:>11} size {:>11}  {}",
                p.number, p.label, p.uuid, p.start, p.size, p.content
            )?;
        }
        for (name, verdict) in &self.tables {
            writeln!(f, "  {name} table: {verdict}")?;
        }
        if !self.esp.is_empty() {
            writeln!(f, "\nEFI system partition")?;
        }
        for line in self.esp.iter().filter(|line| line.kind == "file") {
            writeln!(f, "  {:>11} {}", line.size, line.path)?;
        }
        if !self.uki.is_empty() {
            writeln!(f, "\nunified kernel image")?;
        }
        for section in &self.uki {
            let sum = section.sha256.get(..16).unwrap_or_default();
            writeln!(
                f,
                "  {:<9} at {:>#10x} size {:>11}  sha256 {sum}…",
                section.name, section.address, section.size
            )?;
        }
        for (name, counts) in [("initramfs", self.initramfs), ("/usr", self.usr)] {
            if let Some(Counts { files, directories, links, others, bytes: size }) = counts {
                write!(f, "\n{name}: {files} files, {directories} directories, {links} links")?;
                if others > 0 {
                    write!(f, ", {others} others")?;
                }
                writeln!(f, "; {}", bytes(size))?;
            }
        }
        for (file, size) in &self.microcode {
            writeln!(f, "\nCPU microcode: {file}, {}", bytes(*size))?;
        }
        for (title, families) in
            [("NICs that work", &self.nics), ("disk controllers that work", &self.controllers)]
        {
            if !families.is_empty() {
                writeln!(f, "\n{title}")?;
            }
            for (family, driver) in families {
                writeln!(f, "  {driver:<10} {family}")?;
            }
        }
        if !self.owners.is_empty() {
            writeln!(f, "\nin /usr, compressed")?;
        }
        for (owner, size) in self.owners.iter().take(TOP) {
            writeln!(f, "  {:>11}  {owner}", bytes(*size))?;
        }
        if self.owners.len() > TOP {
            let rest: u64 = self.owners.iter().skip(TOP).map(|(_, size)| size).sum();
            writeln!(f, "  {:>11}  {} others", bytes(rest), self.owners.len() - TOP)?;
        }
        Ok(())
    }
}
