//! What is known of the packages of an image.

use std::collections::BTreeMap;

use formats::tree::TreePath;

use super::{Bom, Package, copyright, crates, deb_purl, distro, id, purl_part};
use crate::digest::hex;
use crate::image::ImagePlan;
use crate::image::manifest::ComponentEntry;
use crate::lock::Lock;
use crate::unpack;
use crate::unpack::entry::EntryKind;

/// Gathers a bill. `packages` are those of the lock, in its order.
pub fn gather(
    plan: &ImagePlan,
    root_hash: &[u8; 32],
    lock: &Lock,
    packages: &[unpack::Package],
    components: &BTreeMap<String, ComponentEntry>,
    init: &[u8],
) -> Bom {
    let distro = distro(lock);
    let mut found: Vec<Package> = lock
        .packages
        .iter()
        .zip(packages)
        .map(|(locked, package)| {
            let control = &package.control;
            let archive = lock.releases.get(locked.release).map_or("debian", |release| &release.archive);
            let (name, version) = (locked.name.clone(), locked.version.clone());
            let (source, source_version) = control.source_of();
            Package {
                id: id("deb", &name, &version),
                // Packages of other archives have the archive's name in place of Debian's.
                purl: Some(deb_purl(archive, locked, distro.as_deref())),
                sha256: Some(hex(&locked.sha256)),
                supplier: control.maintainer.clone(),
                homepage: control.homepage.clone(),
                source: Some((source, source_version)),
                licence: licence(package, packages),
                name,
                version,
            }
        })
        .collect();
    for (name, entry) in components {
        let version = entry.version.clone().unwrap_or_default();
        found.push(Package {
            id: id("component", name, &version),
            name: name.clone(),
            version,
            sha256: Some(entry.sha256.clone()),
            ..Package::default()
        });
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let init = Package {
        id: id("init", "sledos-init", &version),
        name: "sledos-init".to_owned(),
        version,
        sha256: Some(hex(&crate::digest::sha256(init))),
        licence: Some(env!("CARGO_PKG_LICENSE").to_owned()),
        ..Package::default()
    };
    let crates = crates().into_iter().map(|known| Package {
        id: id("crate", &known.name, &known.version),
        // Crates of this workspace are in no registry.
        purl: known
            .sha256
            .as_ref()
            .map(|_| format!("pkg:cargo/{}@{}", known.name, purl_part(&known.version))),
        // Cargo's older form of "or".
        licence: known.licence.map(|licence| licence.replace('/', " OR ")),
        sha256: known.sha256,
        name: known.name,
        version: known.version,
        ..Package::default()
    });
    Bom {
        image: plan.name.clone(),
        version: plan.version.clone(),
        time: plan.time,
        root_hash: hex(root_hash),
        packages: found,
        init,
        crates: crates.collect(),
    }
}

/// The licence of a package from its copyright file, or from that of the package its
/// documentation is a link to.
fn licence(package: &unpack::Package, all: &[unpack::Package]) -> Option<String> {
    let doc = |name: &str| TreePath::parse(format!("usr/share/doc/{name}").as_bytes()).ok();
    let own = doc(&package.name)?;
    let link =
        package.archive.entries.iter().find(|entry| entry.path == own).and_then(|entry| match &entry.kind {
            EntryKind::Symlink(to) => {
                Some(String::from_utf8_lossy(to).rsplit('/').next().unwrap_or_default().to_owned())
            }
            _ => None,
        });
    let (holder, name) = match link {
        Some(name) => (all.iter().find(|other| *other.name == *name)?, name),
        None => (package, package.name.to_string()),
    };
    let path = doc(&name)?.join(b"copyright").ok()?;
    let text = holder.archive.file(&path)?.to_vec().ok()?;
    copyright::licence(&String::from_utf8_lossy(&text))
}
