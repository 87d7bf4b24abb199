//! Kernel modules and firmware of an image, with who needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use formats::tree::{Kind, Node, Origin, Tree, TreePath};
use serde::Serialize;

use crate::artefacts::{Image, optional};
use crate::kernel::catalog::{self, Catalog};

/// The modules of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Modules {
    /// `uname -r`.
    pub kernel: String,
    /// By name.
    pub modules: Vec<Module>,
    /// Firmware files and the modules that ask for them.
    pub firmware: BTreeMap<String, BTreeSet<String>>,
}

/// One module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its file below `/usr/lib/modules/<release>/`.
    pub path: String,
    /// Whether PID 1 has it, too.
    pub initramfs: bool,
    /// Families of the NIC contract and modules that need it.
    pub needed_by: BTreeSet<String>,
    /// Firmware it may ask for that is there.
    pub firmware: BTreeSet<String>,
    /// Firmware it may ask for that is not there.
    pub without_firmware: BTreeSet<String>,
}

/// A tree as it is when it is mounted at a directory of an otherwise empty one.
pub fn mounted_at(dir: &str, tree: &Tree) -> Tree {
    let mut out = Tree::new(Node::dir(Origin::Fixup("mount")));
    let Ok(top) = TreePath::parse(dir.as_bytes()) else { return out };
    let at = |path: &TreePath| top.join(path.as_bytes()).unwrap_or_default();
    for (path, node) in tree.iter() {
        let mut node = node.clone();
        if let Kind::Hardlink(to) = &node.kind {
            node.kind = Kind::Hardlink(at(to));
        }
        // What is above is a directory here if it is one there.
        out.insert(at(path), node).ok();
    }
    out
}

/// Why modules cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An artefact cannot be read.
    #[error(transparent)]
    Artefact(#[from] crate::artefacts::Error),
    /// Its modules cannot be read.
    #[error(transparent)]
    Modules(#[from] catalog::Error),
}

impl crate::exit::Classify for Error {
    fn exit(&self) -> crate::exit::Exit {
        match self {
            Self::Artefact(error) => error.exit(),
            Self::Modules(_) => crate::exit::Exit::Verification,
        }
    }
}

/// Lists the modules of an image.
///
/// # Errors
/// When it has no /usr, or a damaged one.
pub fn modules(image: &Image) -> Result<Modules, Error> {
    let tree = mounted_at("usr", &image.usr()?.listing.tree);
    let catalog = Catalog::scan(&tree)?;
    let listing = optional(image.initramfs())?;
    let paths = listing.iter().flat_map(|listing| listing.tree.iter()).map(|(path, _)| path.to_string());
    let initramfs: BTreeSet<String> =
        paths.filter_map(|path| formats::modules::name_of_file(&path)).collect();
    let mut needed_by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in catalog.modules() {
        for name in &module.info.depends {
            let name = formats::modules::canonical_name(name);
            needed_by.entry(name).or_default().insert(module.name.clone());
        }
    }
    for (devices, entry) in image.manifest.iter().flat_map(|m| m.devices()) {
        let family = entry.get("name").and_then(|name| name.as_str()).unwrap_or_default();
        let files = entry.get("modules").and_then(|files| files.as_array());
        for file in files.into_iter().flatten().filter_map(|file| file.as_str()) {
            if let Some(name) = formats::modules::name_of_file(file) {
                needed_by.entry(name).or_default().insert(format!("{devices} {family}"));
            }
        }
    }
    let mut firmware: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let modules = catalog.modules().iter().map(|module| {
        let (there, missing) = catalog.firmware_of(module);
        for file in &there {
            firmware.entry(file.clone()).or_default().insert(module.name.clone());
        }
        Module {
            name: module.name.clone(),
            path: module.path.clone(),
            initramfs: initramfs.contains(&module.name),
            needed_by: needed_by.remove(&module.name).unwrap_or_default(),
            firmware: there,
            without_firmware: missing,
        }
    });
    let mut modules: Vec<Module> = modules.collect();
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Modules { kernel: catalog.version.clone(), modules, firmware })
}

impl fmt::Display for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} modules of Linux {}; * is in the initramfs, too", self.modules.len(), self.kernel)?;
        let listed =
            |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        for module in &self.modules {
            let mark = if module.initramfs { '*' } else { ' ' };
            write!(f, "{mark} {}", module.path)?;
            for (what, names) in [
                ("needed by", &module.needed_by),
                ("firmware", &module.firmware),
                ("without firmware", &module.without_firmware),
            ] {
                if !names.is_empty() {
                    write!(f, "\n    {what} {}", listed(names))?;
                }
            }
            writeln!(f)?;
        }
        writeln!(f, "\n{} firmware files", self.firmware.len())?;
        for (file, modules) in &self.firmware {
            writeln!(f, "  {file}: {}", listed(modules))?;
        }
        Ok(())
    }
}
