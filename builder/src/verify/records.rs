//! What goes with an image: who put what where, the lock, the SBOMs.

use std::collections::{BTreeMap, BTreeSet};

use formats::tree::Tree;
use sha2::{Digest as _, Sha256};

use super::{Subject, causes, gather};
use crate::digest::hex;
use crate::lock::Lock;
use crate::lock::model::Package;
use crate::origins::{self, Part};

/// Every file has one owner, and the bytes add up to the artefact.
pub(super) fn origins(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let origins = subject.image.origins().map_err(|e| causes(&e))?;
        let usr = &subject.usr.as_ref().map_err(Clone::clone)?.listing.tree;
        let initramfs = &subject.initramfs.as_ref().map_err(Clone::clone)?.tree;
        for (name, part, tree) in
            [("usr.squashfs", &origins.usr, usr), ("initramfs.zst", &origins.initramfs, initramfs)]
        {
            let size = subject.manifest.artefacts.get(name).map(|artefact| artefact.size);
            let sum: u128 = part.files.iter().map(|(_, _, bytes)| u128::from(*bytes)).sum();
            if size != Some(part.size) || sum != u128::from(part.size) {
                problems.push(format!("{sum} bytes of {name} are attributed, {size:?} there are"));
            }
            if part.files.iter().any(|(_, owner, _)| *owner >= origins.owners.len()) {
                problems.push(format!("a file of {name} has an owner that is not listed"));
            }
            problems.extend(names(name, part, tree));
        }
        Ok(())
    })
}

fn names(artefact: &str, part: &Part, tree: &Tree) -> Vec<String> {
    let there: BTreeSet<String> = tree.iter().map(|(path, _)| origins::text(path)).collect();
    let mut owned = BTreeSet::new();
    let twice = part.files.iter().filter(|(path, ..)| !owned.insert(path.clone()));
    let mut problems: Vec<String> =
        twice.map(|(path, ..)| format!("{artefact}: /{path} has two owners")).take(5).collect();
    problems.extend(there.difference(&owned).take(5).map(|path| format!("{artefact}: /{path} has no owner")));
    problems.extend(
        owned
            .difference(&there)
            .take(5)
            .map(|path| format!("{artefact}: /{path} has an owner, but is not there")),
    );
    problems
}

/// The lock and the SBOMs are this image's.
pub(super) fn lock_and_sboms(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let manifest = subject.manifest;
        let file = subject.dir.join(format!("{}.lock", manifest.image));
        let text = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        if hex(&Sha256::digest(&text)) != manifest.inputs.lock {
            problems.push("the lock beside the image is not the one in the manifest's inputs".to_owned());
        }
        let lock = Lock::read(&file).map_err(|e| causes(&e))?;
        let locked = lock.packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect();
        if manifest.packages != locked {
            problems.push("the manifest's packages are not those of the lock".to_owned());
        }
        let versions = |packages: &[Package]| -> BTreeMap<String, String> {
            packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect()
        };
        let locked: BTreeMap<_, _> =
            lock.extensions.iter().map(|(name, all)| (name, versions(all))).collect();
        let said = manifest.extensions.iter().map(|(name, extension)| (name, extension.packages.clone()));
        if said.collect::<BTreeMap<_, _>>() != locked {
            problems.push("the packages of the manifest's extensions are not those of the lock".to_owned());
        }
        for name in [crate::sbom::SPDX, crate::sbom::CYCLONEDX] {
            let text = std::fs::read_to_string(subject.dir.join(name)).map_err(|e| format!("{name}: {e}"))?;
            if !text.contains(&manifest.root_hash) {
                problems.push(format!("{name} does not name the root hash: it is another image's"));
            }
        }
        Ok(())
    })
}
