//! The contracts of the manifest, kept by what is really there.

use formats::tree::{Tree, TreePath};
use serde::Deserialize;

use super::{Subject, causes, gather};
use crate::inspect::line::content;
use crate::inspect::modules::mounted_at;
use crate::kernel::catalog::Catalog;
use crate::kernel::contract::{Devices, pci_alias};
use crate::recipe::model::{PciClass, PciId};
use crate::recipe::values::{pci_class, pci_id};

/// What a check needs of an entry of the manifest.
#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    driver: String,
    pci: Vec<String>,
    #[serde(default)]
    class: Vec<String>,
    initramfs: bool,
    modules: Vec<String>,
    firmware: Vec<String>,
}

/// Every module and firmware file is there, and the driver serves every id.
pub(super) fn nics(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let usr = subject.usr.as_ref().map_err(Clone::clone)?;
        let usr = mounted_at("usr", &usr.listing.tree);
        let catalog = Catalog::scan(&usr).map_err(|e| causes(&e))?;
        if catalog.version != subject.manifest.kernel.release {
            problems.push(format!("/usr has the modules of Linux {}", catalog.version));
        }
        for (devices, nic) in subject.manifest.devices() {
            let nic = Entry::deserialize(nic).map_err(|e| format!("a {devices} of the manifest: {e}"))?;
            let mut missing = |place: &str, tree: &Tree, top: &str| {
                let modules = nic.modules.iter().map(|m| format!("{top}modules/{}/{m}", catalog.version));
                for path in modules.chain(nic.firmware.iter().map(|f| format!("{top}firmware/{f}"))) {
                    if !is_file(tree, &path) {
                        problems.push(format!("{}: {place} has no /{path}", nic.name));
                    }
                }
            };
            missing("/usr", &usr, "usr/lib/");
            if nic.initramfs {
                let initramfs = subject.initramfs.as_ref().map_err(Clone::clone)?;
                missing("the initramfs", &initramfs.tree, "lib/");
            }
            let nobody = PciId { vendor: 0xffff, device: 0xffff };
            // 02.00 is Ethernet, 01.04 RAID.
            let usual = match devices {
                Devices::Nics => PciClass([2, 0, 0]),
                Devices::Controllers => PciClass([1, 4, 0]),
            };
            let ids = nic.pci.iter().map(|id| (id, pci_id(id).map(|id| pci_alias(id, usual)).ok()));
            let classes = (nic.class.iter())
                .map(|class| (class, pci_class(class).map(|class| pci_alias(nobody, class)).ok()));
            for (id, alias) in ids.chain(classes) {
                let Some(alias) = alias else {
                    problems.push(format!("{}: {id:?} is no PCI id", nic.name));
                    continue;
                };
                let driver = formats::modules::canonical_name(&nic.driver);
                if !catalog.modules_for_alias(&alias).iter().any(|m| *m == driver)
                    && !catalog.is_builtin(&driver)
                {
                    problems.push(format!("{}: {} does not serve {id}", nic.name, nic.driver));
                }
            }
        }
        Ok(())
    })
}

/// Whether a path, links followed, leads to a file. Modules may be compressed.
fn is_file(tree: &Tree, path: &str) -> bool {
    let Ok(mut at) = TreePath::parse(path.as_bytes()) else { return false };
    for _ in 0..8 {
        if content(tree, &at).is_some() {
            return true;
        }
        let Some(formats::tree::Kind::Symlink(to)) = tree.get(&at).map(|node| &node.kind) else {
            return false;
        };
        let Some(next) = follow(&at, to) else { return false };
        at = next;
    }
    false
}

/// Where a link leads to.
fn follow(link: &TreePath, to: &[u8]) -> Option<TreePath> {
    let mut parts: Vec<&[u8]> = match to.first() {
        Some(b'/') => Vec::new(),
        _ => {
            let mut parts: Vec<&[u8]> = link.components().collect();
            parts.pop();
            parts
        }
    };
    for part in to.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    TreePath::parse(&parts.join(&b'/')).ok()
}
