//! Packages, components, overlays and fix-ups become the finished tree, and
//! what boots it is taken out of it.

use std::collections::BTreeMap;

use formats::layout;
use formats::tree::{Content, Kind, Tree, TreePath};

use super::components::Components;
use super::{Error, needs, units};
use crate::accounts::Ids;
use crate::fixups::{self, Context};
use crate::image::manifest::ComponentEntry;
use crate::kernel;
use crate::kernel::catalog::Catalog;
use crate::kernel::contract::ContractEntry;
use crate::kernel::select::Selection;
use crate::recipe::Recipe;
use crate::recipe::glob::Glob;
use crate::unpack::{self, overlay};

/// The finished tree and what was decided on the way.
#[derive(Debug)]
pub(super) struct Assembled {
    /// The image's tree; `usr/` of it is the image.
    pub(super) tree: Tree,
    /// The kernel, the EFI stub and systemd-boot.
    pub(super) boot: BootParts,
    /// All modules and firmware of the kernel package.
    pub(super) catalog: Catalog,
    /// What of them PID 1 gets.
    pub(super) initramfs: Selection,
    /// How each promised NIC is served.
    pub(super) contract: Vec<ContractEntry>,
    /// Components in the image.
    pub(super) components: BTreeMap<String, ComponentEntry>,
    /// Components nobody gave.
    pub(super) missing_components: Vec<String>,
    /// Modules and firmware that are not in /usr; the initramfs may have them.
    pub(super) remove: Vec<TreePath>,
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
    for overlay in &recipe.overlays {
        let patterns: BTreeMap<&str, Glob> = overlay
            .attributes
            .keys()
            .filter_map(|text| Some((text.as_str(), Glob::parse(text).ok()?)))
            .collect();
        let matches = |pattern: &str, path: &TreePath| {
            patterns.get(pattern).is_some_and(|glob| glob.matches(path.as_bytes()))
        };
        overlay::apply(&mut tree, overlay, &ids, &matches)?;
    }
    let mut notes = units::settle(&mut tree);
    let boot = take_boot_parts(&mut tree)?;
    let controls: Vec<_> = packages.iter().map(|package| &package.control).collect();
    fixups::apply(&mut tree, &Context { recipe, ids: &ids, version, packages: &controls })?;

    let catalog = Catalog::scan(&tree)?;
    let usr = kernel::select::usr(&catalog, &tree, &recipe.kernel);
    let initramfs = kernel::select::initramfs(&catalog, &recipe.kernel, &recipe.nics)?;
    let contract = kernel::contract::check(&catalog, &recipe.nics, &usr.selection, &initramfs)?;
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
    Ok(Assembled {
        tree,
        boot,
        catalog,
        initramfs,
        contract,
        components,
        missing_components,
        notes,
        remove: usr.remove,
    })
}

/// Patterns were checked when the recipe was loaded.
fn globs(patterns: &[String]) -> Vec<Glob> {
    patterns.iter().filter_map(|text| Glob::parse(text).ok()).collect()
}

/// Paths that the build itself reads; no `exclude` takes them away.
fn needed_for_boot(path: &TreePath) -> bool {
    let path = path.as_bytes();
    path.starts_with(b"boot/vmlinuz-") || path.starts_with(KERNEL_CONFIG) || path.starts_with(EFI.as_bytes())
}

/// How the kernel was configured; the rest of the name is its release.
const KERNEL_CONFIG: &[u8] = b"boot/config-";
const EFI: &str = "usr/lib/systemd/boot/efi";
const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";

fn take_boot_parts(tree: &mut Tree) -> Result<BootParts, Error> {
    let path = |text: &str| TreePath::parse(text.as_bytes()).expect("a constant without `..`");
    let loader = path(&format!("usr/{}", layout::BOOT_LOADER));
    let kernels: Vec<TreePath> = tree
        .children(&path("boot"))
        .filter(|(p, _)| p.name().starts_with(b"vmlinuz-"))
        .map(|(p, _)| p.clone())
        .collect();
    let [kernel] = &kernels[..] else { return Err(Error::Kernels { found: kernels.len() }) };
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
    for path in &unused {
        tree.remove(path);
    }
    keep_kernel_config(tree);
    tree.remove(&path("boot"));
    Ok(parts)
}

/// The kernel's configuration, beside its modules: what checks a host looks for it there
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

/// The content of a regular file.
pub(super) fn content<'t>(tree: &'t Tree, path: &TreePath) -> Option<&'t Content> {
    match &tree.get(path)?.kind {
        Kind::File(content) => Some(content),
        _ => None,
    }
}
