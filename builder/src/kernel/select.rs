//! Which modules and firmware files go where.

use std::collections::{BTreeMap, BTreeSet};

use formats::modules::glob;
use formats::tree::{Tree, TreePath};

use super::catalog::Catalog;
use super::hint::did_you_mean;
use crate::recipe::model::{DeviceFamily, Kernel};

/// Modules and firmware that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Modules by name, with underscores.
    pub modules: BTreeSet<String>,
    /// Firmware by the names drivers ask for, below `/lib/firmware`.
    pub firmware: BTreeSet<String>,
}

/// What of the kernel's parts stays in /usr.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usr {
    /// What stays.
    pub selection: Selection,
    /// Files, links and directories to remove, parents before children.
    pub remove: Vec<TreePath>,
    /// Modules in a dropped directory that stay, with one of the modules outside of it that needs them.
    pub rescued: BTreeMap<String, String>,
    /// Entries of `drop` with nothing below them, probably a slip of the pen.
    pub unused_drops: Vec<String>,
}

/// Names in `kernel: initramfs:` that are no modules of this kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kernel {version} has no such modules, which `kernel: initramfs:` asks for:{}", lines(.names))]
pub struct UnknownModules {
    /// The kernel's release.
    pub version: String,
    /// Each with a hint.
    pub names: Vec<(String, String)>,
}

fn lines(names: &[(String, String)]) -> String {
    names.iter().map(|(name, hint)| format!("\n  {name}{hint}")).collect()
}

/// Plans what is left out of /usr: the modules of the directories in
/// [`Kernel::drop`], unless one that stays needs them, and firmware that no
/// module that stays asks for or that [`Kernel::drop_firmware`] names.
pub fn usr(catalog: &Catalog, tree: &Tree, kernel: &Kernel) -> Usr {
    let drops: Vec<&str> = kernel.drop.iter().map(|dir| dir.trim_matches('/')).collect();
    let below = |path: &str, dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let dropped = |path: &str| drops.iter().any(|dir| below(path, dir));
    let modules = catalog.modules();
    let wanted = modules.iter().enumerate().filter(|(_, m)| !dropped(&m.path)).map(|(n, _)| n);
    let kept = catalog.closure(wanted);

    let mut usr = Usr {
        unused_drops: drops
            .iter()
            .filter(|dir| !modules.iter().any(|m| below(&m.path, dir)))
            .map(|dir| (*dir).to_owned())
            .collect(),
        ..Usr::default()
    };
    for module in kept.iter().filter_map(|n| modules.get(*n)) {
        usr.selection.modules.insert(module.name.clone());
        usr.selection.firmware.extend(catalog.firmware_of(module).0);
        if dropped(&module.path) {
            usr.rescued.insert(module.name.clone(), user_of(catalog, &kept, &module.name));
        }
    }
    for listed in catalog.builtin.values().flat_map(|builtin| &builtin.firmware) {
        usr.selection.firmware.extend(catalog.firmware.matching(listed).map(str::to_owned));
    }
    let unwanted = |name: &String| kernel.drop_firmware.iter().any(|pattern| glob::matches(pattern, name));
    usr.selection.firmware.retain(|name| !unwanted(name));

    let mut stays: BTreeSet<&TreePath> = BTreeSet::new();
    for name in &usr.selection.firmware {
        stays.extend(catalog.firmware.get(name).unwrap_or_default());
    }
    let mut goes = Vec::new();
    if let Some(dir) = catalog.firmware.dir() {
        let files = tree.below(dir).filter(|(_, node)| !node.is_dir());
        goes.extend(files.map(|(path, _)| path).filter(|path| !stays.contains(path)).cloned());
    }
    for module in modules.iter().filter(|m| !usr.selection.modules.contains(&m.name)) {
        goes.extend(catalog.dir.join(module.path.as_bytes()));
    }
    usr.remove = with_emptied_dirs(tree, goes);
    usr
}

/// One of the kept modules that needs the named one directly.
fn user_of(catalog: &Catalog, kept: &BTreeSet<usize>, name: &str) -> String {
    let needed = catalog.position(name);
    let user = kept.iter().find(|n| catalog.graph.needs(**n).iter().any(|need| Some(*need) == needed));
    let user = user.and_then(|n| catalog.modules().get(*n));
    user.map_or_else(|| "a soft dependency".to_owned(), |module| module.name.clone())
}

/// Adds the directories that have nothing left once `goes` is gone.
fn with_emptied_dirs(tree: &Tree, goes: Vec<TreePath>) -> Vec<TreePath> {
    let mut gone: BTreeSet<TreePath> = goes.into_iter().collect();
    let mut dirs: BTreeSet<TreePath> = gone.iter().filter_map(TreePath::parent).collect();
    // Deepest first, so that a parent is looked at when its children are decided.
    while let Some(dir) = dirs.iter().max_by_key(|dir| dir.depth()).cloned() {
        dirs.remove(&dir);
        if !dir.is_root() && tree.children(&dir).all(|(path, _)| gone.contains(path)) {
            dirs.extend(dir.parent());
            gone.insert(dir);
        }
    }
    gone.into_iter().collect()
}

/// Plans what PID 1 gets: the modules of [`Kernel::initramfs`] and
/// [`Kernel::load`], the families of NICs and disk controllers that want to be in the initramfs, all
/// they depend on, and their firmware as far as it is there and no family does
/// [without](DeviceFamily::without_firmware) it.
///
/// Names of built-in drivers are fine. Drivers of families that do not
/// exist, and firmware that is missing, are for the
/// [contract](super::contract::check) to report.
///
/// # Errors
/// When the recipe names modules this kernel does not have.
pub fn initramfs(
    catalog: &Catalog,
    kernel: &Kernel,
    families: &[&DeviceFamily],
) -> Result<Selection, UnknownModules> {
    let mut selection = Selection::default();
    let mut unknown = Vec::new();
    let mut wanted = Vec::new();
    for name in kernel.initramfs.iter().chain(&kernel.load) {
        match catalog.position(name) {
            Some(n) => wanted.push(n),
            None if catalog.is_builtin(name) => {}
            None => {
                let names = catalog.modules().iter().map(|m| m.name.as_str());
                let names = names.chain(catalog.builtin.keys().map(String::as_str));
                unknown.push((name.clone(), did_you_mean(name, names)));
            }
        }
    }
    if !unknown.is_empty() {
        unknown.dedup();
        return Err(UnknownModules { version: catalog.version.clone(), names: unknown });
    }
    let excused = |family: &DeviceFamily, file: &str| {
        family.without_firmware.keys().any(|pattern| glob::matches(pattern, file))
    };
    add(catalog, &mut selection, wanted.into_iter(), |file| {
        families.iter().any(|family| excused(family, file))
    });
    for family in families.iter().filter(|family| family.initramfs) {
        let drivers = std::iter::once(&family.driver).chain(&family.with);
        let modules = drivers.filter_map(|name| catalog.position(name));
        add(catalog, &mut selection, modules, |file| excused(family, file));
    }
    Ok(selection)
}

/// Adds modules, what they need, and their firmware but for what is excused.
fn add(
    catalog: &Catalog,
    selection: &mut Selection,
    modules: impl Iterator<Item = usize>,
    excused: impl Fn(&str) -> bool,
) {
    for module in catalog.closure(modules).into_iter().filter_map(|n| catalog.modules().get(n)) {
        selection.modules.insert(module.name.clone());
        let (there, _) = catalog.firmware_of(module);
        selection.firmware.extend(there.into_iter().filter(|file| !excused(file)));
    }
}
