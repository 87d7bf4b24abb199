//! `sledos diff`: what differs between two images, two locks, or one of each.

mod changelog;
pub mod files;
mod lines;
mod markdown;
pub mod packages;
mod text;

pub use files::{Change, FileChange, FirstBytes};
pub use markdown::markdown;
pub use packages::PackageChange;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use formats::tree::{Kind, Tree, TreePath};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::artefacts::{Error as ArtefactError, Image, optional};
use crate::cache::Cache;
use crate::digest::hex;
use crate::exit::{Classify, Exit};
use crate::image::manifest::Manifest;
use crate::inspect::line::content;
use crate::lock::Lock;
use packages::Side;

/// Where the image's /etc is kept in /usr.
const ETC: &str = "/usr/share/sledos/etc/";

/// All that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diff {
    /// What was given first, and what it is.
    pub old: String,
    /// What was given second.
    pub new: String,
    /// Facts that are another: what, before, now.
    pub facts: Vec<(&'static str, String, String)>,
    /// Arguments of the kernel that are gone, and new ones.
    pub cmdline: (Vec<String>, Vec<String>),
    /// Artefacts with other bytes: name, size before, size now; `None` for one that is not there.
    pub artefacts: Vec<(String, Option<u64>, Option<u64>)>,
    /// Sections of the UKI with other bytes: name, size before, size now.
    pub uki: Vec<(String, Option<u64>, Option<u64>)>,
    /// Packages.
    pub packages: Vec<PackageChange>,
    /// Bytes of the compressed /usr by owner, where they changed: owner, before, now.
    pub sizes: Vec<(String, u64, u64)>,
    /// Modules of the kernel: `+name` or `-name`, /usr's before those of `initramfs:`.
    pub modules: Vec<String>,
    /// Files of /etc and of PID 1's configuration that changed: path and lines.
    pub config: Vec<(String, Vec<String>)>,
    /// Files.
    pub files: Vec<FileChange>,
}

/// Why two things cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An image does not read.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// A lock does not read.
    #[error(transparent)]
    Lock(#[from] crate::lock::Error),
    /// The content of a file does not read.
    #[error("cannot read the files of {part} of both images")]
    Content {
        /// Which part.
        part: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Artefact(error) => error.exit(),
            Self::Lock(crate::lock::Error::Io { .. }) => Exit::Failure,
            Self::Lock(_) => Exit::Dependencies,
            Self::Content { .. } => Exit::Verification,
        }
    }
}

/// One side of a comparison.
enum Given {
    Lock(Lock),
    Image(Box<Image>),
}

fn open(path: &Path) -> Result<Given, Error> {
    if path.extension().is_some_and(|e| e == "lock") {
        return Ok(Given::Lock(Lock::read(path)?));
    }
    Ok(Given::Image(Box::new(Image::open(path)?)))
}

/// Compares two paths. `cache`: where .debs with changelogs may be.
///
/// # Errors
/// When one of them does not read.
pub fn diff(old: &Path, new: &Path, cache: Option<&Arc<Cache>>) -> Result<Diff, Error> {
    let (a, b) = (open(old)?, open(new)?);
    let mut diff = Diff { old: old.display().to_string(), new: new.display().to_string(), ..Diff::default() };
    let sides = (side(&a)?, side(&b)?);
    diff.packages = packages::compare(&sides.0, &sides.1, cache);
    if let (Some(before), Some(now)) = (&sides.0.sizes, &sides.1.sizes) {
        let owners: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        // A kernel that replaced another is compared with it.
        let was = diff
            .packages
            .iter()
            .find_map(|p| Some((format!("package {}", p.name), format!("package {}", p.was.as_ref()?))));
        let of = |sums: &BTreeMap<String, u64>, owner: &str| sums.get(owner).copied().unwrap_or(0);
        let then = |owner: &str| match &was {
            Some((name, was)) if name == owner => of(before, was),
            Some((_, was)) if was == owner => of(now, was),
            _ => of(before, owner),
        };
        diff.sizes = owners
            .into_iter()
            .map(|owner| (owner.clone(), then(owner), of(now, owner)))
            .filter(|(_, before, now)| before != now)
            .collect();
        diff.sizes
            .sort_by_key(|(owner, before, now)| (std::cmp::Reverse(before.abs_diff(*now)), owner.clone()));
    }
    if let (Given::Image(a), Given::Image(b)) = (&a, &b) {
        images(&mut diff, a, b)?;
    }
    Ok(diff)
}

/// Compares two locks. `name` is shown for both.
pub fn locks(name: &str, old: &Lock, new: &Lock, cache: Option<&Arc<Cache>>) -> Diff {
    let side = |lock: &Lock| Side {
        versions: lock.all_packages().map(|p| (p.name.clone(), p.version.clone())).collect(),
        lock: Some(lock.clone()),
        sizes: None,
    };
    let packages = packages::compare(&side(old), &side(new), cache);
    Diff { old: name.to_owned(), new: format!("{name}, new"), packages, ..Diff::default() }
}

fn side(given: &Given) -> Result<Side, Error> {
    let lock = match given {
        Given::Lock(lock) => Some(lock.clone()),
        Given::Image(image) => {
            match image.manifest.as_ref().and_then(|m| image.file(&format!("{}.lock", m.image))) {
                Some(file) => Some(Lock::read(&file)?),
                None => None,
            }
        }
    };
    let versions = match given {
        Given::Image(image) => image.manifest.as_ref().map(|m| m.packages.clone()).unwrap_or_default(),
        Given::Lock(lock) => lock.packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect(),
    };
    let sizes = match given {
        Given::Image(image) => optional(image.origins())?.map(|origins| origins.by_owner(&origins.usr)),
        Given::Lock(_) => None,
    };
    Ok(Side { versions, lock, sizes })
}

fn images(diff: &mut Diff, a: &Image, b: &Image) -> Result<(), Error> {
    if let (Some(m), Some(n)) = (&a.manifest, &b.manifest) {
        let facts = [
            ("image", m.image.clone(), n.image.clone()),
            ("version", m.version.clone(), n.version.clone()),
            ("time", m.time.to_string(), n.time.to_string()),
            ("root hash", m.root_hash.clone(), n.root_hash.clone()),
            ("kernel", m.kernel.release.clone(), n.kernel.release.clone()),
            ("builder", m.builder.clone(), n.builder.clone()),
            ("recipe", m.inputs.recipe.clone(), n.inputs.recipe.clone()),
            ("lock", m.inputs.lock.clone(), n.inputs.lock.clone()),
            ("PID 1", m.inputs.init.clone(), n.inputs.init.clone()),
            ("zstd level of /usr", m.inputs.usr_level.to_string(), n.inputs.usr_level.to_string()),
        ];
        diff.facts.extend(facts.into_iter().filter(|(_, before, now)| before != now));
        let sum = |artefact: &crate::image::manifest::Artefact| (artefact.sha256.clone(), artefact.size);
        let of = |m: &crate::image::manifest::Manifest| {
            m.artefacts.iter().map(|(k, v)| (k.clone(), sum(v))).collect()
        };
        diff.artefacts = by_name(&of(m), &of(n));
        devices(diff, "NIC", [m, n], |manifest| &manifest.nics);
        devices(diff, "controller", [m, n], |manifest| &manifest.controllers);
    }
    if let (Some(a), Some(b)) = (optional(a.uki())?, optional(b.uki())?) {
        let args = |uki: &crate::artefacts::Uki| -> Vec<String> {
            let text = formats::uki::cmdline(&uki.bytes).unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let (before, now) = (args(&a), args(&b));
        let without =
            |all: &[String], others: &[String]| all.iter().filter(|x| !others.contains(x)).cloned().collect();
        diff.cmdline = (without(&before, &now), without(&now, &before));
        let sections =
            |uki: &crate::artefacts::Uki| -> Result<BTreeMap<String, (String, u64)>, ArtefactError> {
                let sum = |data: &[u8]| (hex(&Sha256::digest(data)), data.len() as u64);
                Ok(uki.sections()?.into_iter().map(|s| (s.name.to_owned(), sum(s.data))).collect())
            };
        diff.uki = by_name(&sections(&a)?, &sections(&b)?);
    }
    let unreadable = |part| move |source| Error::Content { part, source };
    if let (Some(a), Some(b)) = (optional(a.usr())?, optional(b.usr())?) {
        let (a, b) = (a.listing.tree, b.listing.tree);
        let a = with_kernel_of(a, &b);
        let changes = files::compare("/usr", &a, &b).map_err(unreadable("/usr"))?;
        for change in changes.iter().filter(|change| change.path.starts_with(ETC)) {
            config(diff, change, "/usr/", &a, &b);
        }
        diff.files.extend(changes);
    }
    if let (Some(a), Some(b)) = (optional(a.initramfs())?, optional(b.initramfs())?) {
        let (a, b) = (a.tree, b.tree);
        let a = with_kernel_of(a, &b);
        let changes = files::compare("initramfs:", &a, &b).map_err(unreadable("the initramfs"))?;
        let conf = format!("initramfs:/{}", formats::initconf::PATH);
        for change in changes.iter().filter(|change| change.path == conf) {
            config(diff, change, "initramfs:/", &a, &b);
        }
        diff.files.extend(changes);
    }
    if let (Some(a), Some(b)) = (optional(a.esp())?, optional(b.esp())?) {
        diff.files.extend(files::compare("esp:", &a, &b).map_err(unreadable("the ESP"))?);
    }
    diff.modules = diff.files.iter().filter_map(module).collect();
    Ok(())
}

/// A tree with its modules where those of another one's kernel are, so that a module is
/// compared with what it became.
fn with_kernel_of(tree: Tree, other: &Tree) -> Tree {
    let dir = |tree: &Tree| {
        let modules = TreePath::parse(b"lib/modules").ok()?;
        let mut kernels =
            tree.children(&modules).filter(|(_, node)| node.is_dir()).map(|(path, _)| path.clone());
        kernels.next().filter(|_| kernels.next().is_none())
    };
    let (Some(old), Some(new)) = (dir(&tree), dir(other)) else { return tree };
    if old == new {
        return tree;
    }
    let moved = |path: &TreePath| {
        let below = path.strip_prefix(&old);
        below.and_then(|below| new.join(below.as_bytes()).ok()).unwrap_or_else(|| path.clone())
    };
    let Some(root) = tree.get(&TreePath::root()) else { return tree };
    let mut out = Tree::new(root.clone());
    for (path, node) in tree.iter() {
        let mut node = node.clone();
        if let Kind::Hardlink(to) = &node.kind {
            node.kind = Kind::Hardlink(moved(to));
        }
        // Nothing is in the way: directories stay directories.
        out.insert(moved(path), node).ok();
    }
    out
}

fn devices(
    diff: &mut Diff,
    what: &'static str,
    [a, b]: [&Manifest; 2],
    entries: fn(&Manifest) -> &[serde_json::Value],
) {
    let names = |m: &Manifest| -> BTreeMap<String, String> {
        let name = |entry: &serde_json::Value| {
            entry.get("name").and_then(|n| n.as_str()).unwrap_or_default().to_owned()
        };
        entries(m).iter().map(|entry| (name(entry), entry.to_string())).collect()
    };
    let (before, now) = (names(a), names(b));
    let all: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for name in all.into_iter().filter(|name| before.get(*name) != now.get(*name)) {
        let shown = |side: &BTreeMap<String, String>| side.get(name).map_or("", |_| name.as_str()).to_owned();
        diff.facts.push((what, shown(&before), shown(&now)));
    }
}

fn by_name(
    a: &BTreeMap<String, (String, u64)>,
    b: &BTreeMap<String, (String, u64)>,
) -> Vec<(String, Option<u64>, Option<u64>)> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differ = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
    let size = |side: &BTreeMap<String, (String, u64)>, name: &str| side.get(name).map(|(_, size)| *size);
    differ.map(|name| (name.clone(), size(a, name), size(b, name))).collect()
}

/// Adds the lines of a configuration file that changed.
fn config(diff: &mut Diff, change: &FileChange, top: &str, a: &Tree, b: &formats::tree::Tree) {
    let path = change.path.strip_prefix(top).and_then(|path| TreePath::parse(path.as_bytes()).ok());
    let Some(path) = path else { return };
    let bytes =
        |tree| content(tree, &path).map(|content| content.to_vec().unwrap_or_default()).unwrap_or_default();
    let shown = match lines::diff(&bytes(a), &bytes(b)) {
        Some(lines) if !lines.is_empty() => lines,
        _ => vec![change.what.join(", ")],
    };
    let path = change.path.replace(ETC, "/etc/");
    diff.config.push((path, shown));
}

/// `+ixgbe`, `-initramfs:ixgbe` for a module that came or went.
fn module(change: &FileChange) -> Option<String> {
    let name = formats::modules::name_of_file(&change.path)?;
    let place = if change.path.starts_with("initramfs:") { "initramfs:" } else { "" };
    match change.change {
        Change::Added => Some(format!("+{place}{name}")),
        Change::Removed => Some(format!("-{place}{name}")),
        Change::Changed => None,
    }
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let same = Self { old: self.old.clone(), new: self.new.clone(), ..Self::default() };
        *self == same
    }
}
