//! Packages, components, overlays and fix-ups become the finished tree, and
//! what boots it is taken out of it.

use std::collections::BTreeMap;

use formats::layout;
use formats::tree::{Content, Kind, Tree, TreePath};

use super::components::Components;
use super::left_out::{self, LeftOut};
use super::{Error, needs, units};
use crate::accounts::Ids;
use crate::digest::hex;
use crate::fixups::{self, Context, Script};
use crate::image::manifest::ComponentEntry;
use crate::kernel;
use crate::kernel::catalog::Catalog;
use crate::kernel::contract::{ContractEntry, Devices};
use crate::kernel::select::Selection;
use crate::recipe::Recipe;
use crate::recipe::glob::Glob;
use crate::recipe::model::Overlay;
use crate::unpack::{self, overlay};

/// The finished tree and what was decided on the way.
#[derive(Debug)]
pub(super) struct Assembled {
    /// The image's tree; `usr/` of it is the image.
    pub(super) tree: Tree,
    /// Its users and groups.
    pub(super) ids: Ids,
    /// The kernel, the EFI stub and systemd-boot.
    pub(super) boot: BootParts,
    /// All modules and firmware of the kernel package.
    pub(super) catalog: Catalog,
    /// What of them PID 1 gets.
    pub(super) initramfs: Selection,
    /// How each promised NIC is served.
    pub(super) nics: Vec<ContractEntry>,
    /// How each promised disk controller is served.
    pub(super) controllers: Vec<ContractEntry>,
    /// Components in the image.
    pub(super) components: BTreeMap<String, ComponentEntry>,
    /// Overlays by name, and the sha256 of each.
    pub(super) overlays: BTreeMap<String, String>,
    /// Components nobody gave.
    pub(super) missing_components: Vec<String>,
    /// Modules and firmware that are not in /usr; the initramfs may have them.
    pub(super) remove: Vec<TreePath>,
    /// Files of packages that are not in /usr, and why.
    pub(super) left_out: Vec<LeftOut>,
    /// Things worth a line at the end of the build.
    pub(super) notes: Vec<String>,
}

/// Files that boot the image and are not in its /usr.
#[derive(Debug)]
pub(super) struct BootParts {
    pub(super) kernel: Vec<u8>,
    pub(super) stub: Vec<u8>,
    pub(super) loader: Vec<u8>,
}

/// Merges unpacked packages and does everything up to the finished tree.
pub(super) fn assemble(
    recipe: &Recipe,
    version: &str,
    packages: &[unpack::Package],
    components: &Components<'_>,
    require_components: bool,
) -> Result<Assembled, Error> {
    let ids = Ids::of(packages, &recipe.users, &recipe.groups)?;
    let (exclude, keep) = (globs(&recipe.exclude), globs(&recipe.keep));
    let any = |globs: &[Glob], path: &TreePath| globs.iter().any(|glob| glob.matches(path.as_bytes()));
    let wanted = |path: &TreePath| needed_for_boot(path) || any(&keep, path) || !any(&exclude, path);
    let mut tree = unpack::merge::merge(packages, &ids, &wanted)?;

    let given = components.packages();
    let (components, missing_components) = components.add(&mut tree, &ids, require_components)?;
    let overlays = lay(&mut tree, &recipe.overlays, &ids)?;
    let mut notes = units::settle(&mut tree);
    let boot = take_boot_parts(&mut tree)?;
    let scripts: Vec<Script<'_>> = packages.iter().map(Script::of).collect();
    let controls: Vec<_> = packages.iter().map(|package| &package.control).collect();
    let context = Context { recipe, ids: &ids, version, packages: &controls, scripts: &scripts };
    let applied = fixups::apply(&mut tree, &context)?;
    notes.extend(applied.into_iter().flat_map(|applied| applied.notes));

    let catalog = Catalog::scan(&tree)?;
    let usr = kernel::select::usr(&catalog, &tree, &recipe.kernel);
    let initramfs = kernel::select::initramfs(&catalog, &recipe.kernel, &recipe.devices())?;
    let check =
        |devices, families| kernel::contract::check(&catalog, devices, families, &usr.selection, &initramfs);
    let nics = check(Devices::Nics, &recipe.nics)?;
    let controllers = check(Devices::Controllers, &recipe.controllers)?;
    notes.extend(
        usr.unused_drops
            .iter()
            .map(|dir| format!("`kernel: drop:` names {dir}, but this kernel has no modules there")),
    );
    let needs = needs::missing(recipe, packages, &given, &tree);
    if require_components && !needs.is_empty() {
        return Err(Error::ComponentNeeds { needs });
    }
    notes.extend(needs);
    kernel::indexes::write(&mut tree, &catalog, &usr.selection)?;
    let left_out = left_out::account(packages, &tree, &usr.remove, recipe)?;
    Ok(Assembled {
        tree,
        ids,
        boot,
        catalog,
        initramfs,
        nics,
        controllers,
        components,
        overlays,
        missing_components,
        left_out,
        notes,
        remove: usr.remove,
    })
}

/// Lays overlays over a tree. Returns the sha256 of each by its name.
pub(super) fn lay(
    tree: &mut Tree,
    overlays: &[Overlay],
    ids: &Ids,
) -> Result<BTreeMap<String, String>, overlay::Error> {
    let mut digests = BTreeMap::new();
    for overlay in overlays {
        let patterns: BTreeMap<&str, Glob> = overlay
            .attributes
            .keys()
            .filter_map(|text| Some((text.as_str(), Glob::parse(text).ok()?)))
            .collect();
        let matches = |pattern: &str, path: &TreePath| {
            patterns.get(pattern).is_some_and(|glob| glob.matches(path.as_bytes()))
        };
        let laid = overlay::apply(tree, overlay, ids, &matches)?;
        digests.insert(overlay.name.clone(), hex(&laid.sha256));
    }
    Ok(digests)
}

/// Patterns were checked when the recipe was loaded.
fn globs(patterns: &[String]) -> Vec<Glob> {
    patterns.iter().filter_map(|text| Glob::parse(text).ok()).collect()
}

/// Paths that the build itself reads; no `exclude` takes them away.
fn needed_for_boot(path: &TreePath) -> bool {
    let path = path.as_bytes();
    path.starts_with(b"boot/vmlinuz-")
        || path.starts_with(KERNEL_CONFIG)
        || path.starts_with(EFI.as_bytes())
        || beside_modules(path).is_some()
}

/// How the kernel was configured; the rest of the name is its release.
const KERNEL_CONFIG: &[u8] = b"boot/config-";

/// The release of a kernel that lies beside its modules, `usr/lib/modules/RELEASE/vmlinuz`:
/// there and nowhere else in packages like Debian's linux-binary-*.
pub(super) fn beside_modules(path: &[u8]) -> Option<&[u8]> {
    let release = path.strip_prefix(b"usr/lib/modules/")?.strip_suffix(b"/vmlinuz")?;
    (!release.contains(&b'/')).then_some(release)
}

/// The kernels of a tree by release. Of two with one release that of /boot counts.
fn kernels(tree: &Tree) -> BTreeMap<Vec<u8>, TreePath> {
    let mut found = BTreeMap::new();
    for (path, _) in tree.iter().filter(|(path, _)| content(tree, path).is_some()) {
        if let Some(release) = path.as_bytes().strip_prefix(b"boot/vmlinuz-") {
            found.insert(release.to_vec(), path.clone());
        } else if let Some(release) = beside_modules(path.as_bytes()) {
            found.entry(release.to_vec()).or_insert_with(|| path.clone());
        }
    }
    found
}

pub(super) const EFI: &str = "usr/lib/systemd/boot/efi";
const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";

fn take_boot_parts(tree: &mut Tree) -> Result<BootParts, Error> {
    let path = |text: &str| TreePath::parse(text.as_bytes()).expect("a constant without `..`");
    let loader = path(&format!("usr/{}", layout::BOOT_LOADER));
    let kernels: Vec<TreePath> = kernels(tree).into_values().collect();
    let [kernel] = &kernels[..] else { return Err(Error::Kernels { found: kernels }) };
    let read = |path: &TreePath, package: &'static str| -> Result<Vec<u8>, Error> {
        let content = content(tree, path).ok_or_else(|| Error::NoBootPart { path: path.clone(), package })?;
        content.to_vec().map_err(|source| Error::Content { path: path.clone(), source })
    };
    let parts = BootParts {
        kernel: read(kernel, "linux-image-amd64")?,
        stub: read(&path(STUB), "systemd-boot-efi")?,
        loader: read(&loader, "systemd-boot-efi")?,
    };
    // They are on the ESP. systemd-boot stays in /usr, too: a sled that installs itself
    // has it from there, verified.
    let unused: Vec<TreePath> =
        tree.children(&path(EFI)).map(|(p, _)| p.clone()).filter(|p| *p != loader).collect();
    let copies: Vec<TreePath> =
        tree.iter().filter(|(p, _)| beside_modules(p.as_bytes()).is_some()).map(|(p, _)| p.clone()).collect();
    for path in unused.iter().chain(&copies) {
        tree.remove(path);
    }
    keep_kernel_config(tree);
    tree.remove(&path("boot"));
    Ok(parts)
}

/// How the kernel was configured, beside its modules: what checks a host looks for it there
/// when /boot has none. A kernel without one is none the worse.
fn keep_kernel_config(tree: &mut Tree) {
    let boot = TreePath::parse(b"boot").expect("a constant without `..`");
    let found: Vec<_> = tree
        .children(&boot)
        .filter_map(|(path, node)| {
            let release = path.as_bytes().strip_prefix(KERNEL_CONFIG)?;
            let to = [b"usr/lib/modules/", release, b"/config"].concat();
            Some((TreePath::parse(&to).ok()?, node.clone()))
        })
        .collect();
    for (to, node) in found {
        // Only where there are modules of that kernel: nothing else can be in the way.
        if to.parent().is_some_and(|dir| tree.get(&dir).is_some()) {
            let _ = tree.insert(to, node);
        }
    }
}

/// The content of a regular file, by whichever of its names.
pub(super) fn content<'t>(tree: &'t Tree, path: &TreePath) -> Option<&'t Content> {
    let kind = |path: &TreePath| tree.get(path).map(|node| &node.kind);
    let named = match kind(path)? {
        Kind::Hardlink(first) => kind(first)?,
        other => other,
    };
    match named {
        Kind::File(content) => Some(content),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::tree::{Node, Origin};

    const O: Origin = Origin::Fixup("test");

    fn tree(kernels: &[&str]) -> Tree {
        let mut tree = Tree::new(Node::dir(O));
        let parts = [STUB, "usr/lib/systemd/boot/efi/systemd-bootx64.efi", "boot/System.map-6.1"];
        for path in kernels.iter().chain(&parts) {
            let node = match path.split_once(" -> ") {
                Some((_, target)) => Node::symlink(target, O),
                None => Node::file(path.as_bytes(), 0o644, O),
            };
            let path = path.split(" -> ").next().unwrap_or_default();
            tree.insert(TreePath::parse(path.as_bytes()).unwrap(), node).unwrap();
        }
        tree
    }

    #[test]
    fn a_kernel_is_in_boot_or_beside_its_modules() {
        let boot = "boot/vmlinuz-6.1";
        let modules = "usr/lib/modules/6.1/vmlinuz";
        for (there, taken) in [
            (&[boot][..], boot),
            (&[modules], modules),
            (&[modules, boot], boot),
            (&[modules, "boot/vmlinuz-6.1 -> ../usr/lib/modules/6.1/vmlinuz"], modules),
            (&[modules, "boot/vmlinuz -> vmlinuz-6.1"], modules),
        ] {
            let mut tree = tree(there);
            let parts = take_boot_parts(&mut tree).unwrap();
            assert_eq!(parts.kernel, taken.as_bytes(), "{there:?}");
            let left = tree.iter().find(|(p, _)| p.to_string().contains("vmlinuz"));
            assert!(left.is_none(), "{left:?}");
            assert!(tree.get(&TreePath::parse(b"boot").unwrap()).is_none());
        }
        for there in there_are_not_one() {
            let error = take_boot_parts(&mut tree(there)).unwrap_err().to_string();
            assert!(there.iter().all(|path| error.contains(path)), "{error}");
        }
        for path in [boot, modules] {
            assert!(needed_for_boot(&TreePath::parse(path.as_bytes()).unwrap()), "{path}");
        }
        assert!(!needed_for_boot(&TreePath::parse(b"usr/lib/modules/6.1/kernel/vmlinuz").unwrap()));
    }

    fn there_are_not_one() -> [&'static [&'static str]; 3] {
        [
            &[],
            &["boot/vmlinuz-6.1", "usr/lib/modules/6.2/vmlinuz"],
            &["usr/lib/modules/6.1/vmlinuz", "usr/lib/modules/6.2/vmlinuz"],
        ]
    }
}
