//! Hashes of whole files.

use std::collections::{BTreeMap, BTreeSet};

use super::{Subject, causes, gather};
use crate::digest::hex;
use crate::output::{SUMS, parse_sums, sha256_of_file};
use crate::provenance::{PROVENANCE, SIGNATURE};

/// `SHA256SUMS` has every file, and each has the hash in it.
pub(super) fn sums(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let text = std::fs::read_to_string(subject.dir.join(SUMS)).map_err(|e| format!("{SUMS}: {e}"))?;
        let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
        for line in parse_sums(&text) {
            match line {
                Ok((sum, name)) => drop(listed.insert(name, sum)),
                Err(n) => problems.push(format!("{SUMS}, line {n}: not a hash, two spaces and a name")),
            }
        }
        let names = names(subject)?;
        for name in &names {
            match listed.get(name.as_str()) {
                None => problems.push(format!("{name} is not in {SUMS}")),
                Some(sum) => match sha256_of_file(&subject.dir.join(name)) {
                    Ok(found) if hex(&found) == **sum => {}
                    Ok(found) => problems.push(format!("{name} has the sha256 {}, not {sum}", hex(&found))),
                    Err(error) => problems.push(format!("{name} does not read: {error}")),
                },
            }
        }
        let gone = listed.keys().filter(|name| !names.contains(**name));
        problems.extend(gone.map(|name| format!("{name} is missing")));
        Ok(())
    })
}

/// The files of the directory, without the sums and what signs them.
fn names(subject: &Subject<'_>) -> Result<BTreeSet<String>, String> {
    let entries = std::fs::read_dir(subject.dir).map_err(|e| causes(&e))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: BTreeSet<String> = names.collect::<std::io::Result<_>>().map_err(|e| causes(&e))?;
    Ok(names.into_iter().filter(|name| ![SUMS, SIGNATURE, PROVENANCE].contains(&name.as_str())).collect())
}

/// What the manifest says of its artefacts. Their hashes were compared with `SHA256SUMS`,
/// so the two have to say the same.
pub(super) fn manifest(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let text = std::fs::read_to_string(subject.dir.join(SUMS)).unwrap_or_default();
        let listed: BTreeMap<&str, &str> =
            parse_sums(&text).flatten().map(|(sum, name)| (name, sum)).collect();
        for (name, artefact) in &subject.manifest.artefacts {
            match std::fs::metadata(subject.dir.join(name)) {
                Ok(meta) if meta.len() == artefact.size => {}
                Ok(meta) => problems.push(format!("{name} has {} bytes, not {}", meta.len(), artefact.size)),
                Err(error) => problems.push(format!("{name}: {error}")),
            }
            if listed.get(name.as_str()).is_some_and(|sum| **sum != artefact.sha256) {
                problems.push(format!("{name}: the manifest and {SUMS} have different hashes"));
            }
        }
        let extra = names(subject)?;
        let extra =
            extra.iter().filter(|n| *n != "manifest.json" && !subject.manifest.artefacts.contains_key(*n));
        problems.extend(extra.map(|name| format!("{name} is not in the manifest")));
        Ok(())
    })
}
