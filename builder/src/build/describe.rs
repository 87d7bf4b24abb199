//! The manifest and the summary of a build.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use formats::squashfs;
use sha2::{Digest as _, Sha256};

use super::assemble::Assembled;
use super::boot::{INIT, Initramfs};
use super::write::Usr;
use super::{Error, budget};
use crate::digest::hex;
use crate::image::ImagePlan;
use crate::image::manifest::{self, Artefact, Inputs, Kernel, Manifest, Partition};
use crate::kernel::contract::ContractEntry;
use crate::lock::Lock;
use crate::output::{StagedDir, write_sums};
use crate::recipe::Recipe;
use crate::summary::Summary;

/// What a manifest is made from.
pub(super) struct Facts<'a> {
    pub(super) lock: &'a Lock,
    /// The lock's file.
    pub(super) plan: &'a ImagePlan,
    pub(super) assembled: &'a Assembled,
    pub(super) inputs: Inputs,
    pub(super) root_hash: &'a [u8; 32],
    pub(super) cmdline: &'a str,
    pub(super) partitions: Vec<Partition>,
    pub(super) extensions: BTreeMap<String, manifest::Extension>,
}

/// What a build was made from besides packages and components; `overlays` are their digests by name.
pub(super) fn inputs(
    recipe: &Recipe,
    lock: &[u8],
    overlays: &BTreeMap<String, String>,
    options: &squashfs::Options,
    initramfs_level: i32,
) -> Inputs {
    Inputs {
        recipe: hex(&recipe.sha256),
        overlays: overlays.clone(),
        lock: hex(&Sha256::digest(lock)),
        init: hex(&Sha256::digest(INIT)),
        usr_level: options.level,
        block_size: options.block_size,
        initramfs_level,
    }
}

/// Hashes the artefacts, writes `manifest.json` and then `SHA256SUMS`, which covers it.
pub(super) fn manifest(facts: &Facts<'_>, staged: &StagedDir) -> Result<Manifest, Error> {
    let sums = write_sums(staged.path(), &BTreeMap::new())?;
    let mut artefacts = BTreeMap::new();
    for (name, sum) in &sums {
        let path = staged.path().join(name);
        let size =
            std::fs::metadata(&path).map_err(|source| Error::Io { what: "reading", path, source })?.len();
        artefacts.insert(name.clone(), Artefact { size, sha256: hex(sum) });
    }
    let values = |entries: &[ContractEntry]| {
        let value = |entry| {
            serde_json::to_value(entry).expect("a contract entry has only strings, numbers and lists")
        };
        entries.iter().map(value).collect()
    };
    let manifest = Manifest {
        format: 1,
        image: facts.plan.name.clone(),
        version: facts.plan.version.clone(),
        time: facts.plan.time,
        builder: manifest::BUILDER.to_owned(),
        root_hash: hex(facts.root_hash),
        kernel: Kernel {
            release: facts.assembled.catalog.version.clone(),
            cmdline: facts.cmdline.to_owned(),
        },
        inputs: facts.inputs.clone(),
        partitions: facts.partitions.clone(),
        artefacts,
        packages: facts.lock.packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect(),
        components: facts.assembled.components.clone(),
        missing_components: facts.assembled.missing_components.clone(),
        extensions: facts.extensions.clone(),
        nics: values(&facts.assembled.nics),
        controllers: values(&facts.assembled.controllers),
        users: facts.assembled.ids.users.iter().map(|(name, user)| (name.clone(), user.uid)).collect(),
        groups: facts.assembled.ids.groups.clone(),
    };
    staged.write("manifest.json", manifest.to_json().as_bytes())?;
    write_sums(staged.path(), &sums)?;
    Ok(manifest)
}

/// What the build prints at its end.
pub(super) fn summary(
    manifest: &Manifest,
    dir: &Path,
    assembled: &Assembled,
    usr: &Usr,
    initramfs: &Initramfs,
    lock: &Lock,
    stages: Vec<(String, Duration)>,
) -> Summary {
    let mut notes = assembled.notes.clone();
    for name in &assembled.missing_components {
        notes.push(format!(
            "{name} is not in this image; its unit stays off. Give it with --component {name}=FILE"
        ));
    }
    if !lock.unreviewed.is_empty() {
        let names: Vec<_> = lock.unreviewed.keys().map(String::as_str).collect();
        notes.push(format!(
            "the maintainer scripts of {} do something nobody has reviewed; see the lock",
            names.join(", ")
        ));
    }
    Summary {
        title: format!("{} {}", manifest.image, manifest.version),
        directory: dir.display().to_string(),
        root_hash: manifest.root_hash.clone(),
        partitions: manifest.partitions.iter().map(|p| (p.label.clone(), p.used, p.size)).collect(),
        usr: budget::by_origin(&assembled.tree, usr).into_iter().collect(),
        initramfs: initramfs.parts.clone(),
        initramfs_size: initramfs.bytes.len() as u64,
        stages,
        notes,
    }
}

#[cfg(test)]
mod tests;
