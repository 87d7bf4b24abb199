//! What a tree has of kernel modules, built-in drivers and firmware.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use formats::modules::elf::{self, Info};
use formats::modules::graph::{Circle, Graph, Module};
use formats::modules::{canonical_name, glob, lists, name_of_file};
use formats::tree::{Tree, TreePath};
use rayon::prelude::*;

use super::bytes;
use super::firmware::{self, Firmware};

/// Why a tree has no usable kernel modules.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory below `/usr/lib/modules`.
    #[error(
        "the image has no kernel modules in /usr/lib/modules; does `kernel: package:` name a linux-image package?"
    )]
    NoKernel,
    /// More than one kernel: it is not clear which one boots.
    #[error("the image has modules of several kernels: {}; name one exact linux-image package", .0.join(", "))]
    SeveralKernels(Vec<String>),
    /// The name of the modules' directory is not text.
    #[error("/{0} is not valid UTF-8")]
    NotText(TreePath),
    /// Two files of one module, none of them below `updates/`.
    #[error("the module {name} is there twice, as {first} and {second}; remove one of them")]
    Twice {
        /// Its name.
        name: String,
        /// A file.
        first: String,
        /// The other.
        second: String,
    },
    /// A file could not be read.
    #[error("cannot read /{path}")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// A file is not a kernel module.
    #[error("/{path} is not a kernel module; is its package damaged?")]
    Module {
        /// The file.
        path: TreePath,
        /// Why.
        source: elf::Error,
    },
    /// Modules that need each other.
    #[error("the modules below /{0} cannot be ordered")]
    Circle(TreePath, #[source] Circle),
}

/// A driver that is part of the kernel image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Builtin {
    /// Patterns of the modaliases it serves.
    pub aliases: Vec<String>,
    /// Firmware it may ask for.
    pub firmware: Vec<String>,
}

/// The kernel's parts in a tree. Sorted; equal trees give equal catalogs.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The kernel's release, as `uname -r` prints it.
    pub version: String,
    /// `usr/lib/modules/<release>`.
    pub dir: TreePath,
    /// Drivers that need no module, by name.
    pub builtin: BTreeMap<String, Builtin>,
    pub(super) graph: Graph,
    pub(super) firmware: Firmware,
    pub(super) lists: Lists,
    by_name: BTreeMap<String, usize>,
}

/// The kernel's own lists, as they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) order: String,
    pub(super) builtin: String,
    pub(super) builtin_modinfo: Vec<u8>,
}

impl Catalog {
    /// Reads every module of the tree, on all threads of the current rayon pool.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn scan(tree: &Tree) -> Result<Self, Error> {
        let dir = modules_dir(tree)?;
        let text = |path: &TreePath| String::from_utf8(path.as_bytes().to_vec());
        let version = std::str::from_utf8(dir.name()).map_err(|_| Error::NotText(dir.clone()))?.to_owned();

        let mut files: BTreeMap<String, (TreePath, String)> = BTreeMap::new();
        for (path, node) in tree.below(&dir) {
            if node.is_dir() || bytes::content(tree, path).is_none() {
                continue;
            }
            let Some(below) = path.strip_prefix(&dir) else { continue };
            let below = text(&below).map_err(|_| Error::NotText(path.clone()))?;
            let Some(name) = name_of_file(&below) else { continue };
            match files.get(&name) {
                // depmod's default: what is below `updates/` wins.
                Some((_, other)) if other.starts_with("updates/") => {}
                Some((_, other)) if !below.starts_with("updates/") => {
                    return Err(Error::Twice { name, first: other.clone(), second: below });
                }
                _ => {
                    files.insert(name, (path.clone(), below));
                }
            }
        }
        let modules: Vec<Module> = files
            .into_par_iter()
            .map(|(name, (path, below))| {
                let info = Arc::new(read_module(tree, &path)?);
                Ok(Module { name, path: below, info })
            })
            .collect::<Result<_, Error>>()?;

        let file = |name: &str| -> Result<Vec<u8>, Error> {
            let Ok(path) = dir.join(name.as_bytes()) else { return Ok(Vec::new()) };
            let Some(content) = bytes::content(tree, &path) else { return Ok(Vec::new()) };
            content.to_vec().map_err(|source| Error::Read { path, source })
        };
        let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let lists = Lists {
            order: lossy(file("modules.order")?),
            builtin: lossy(file("modules.builtin")?),
            builtin_modinfo: file("modules.builtin.modinfo")?,
        };
        let builtin = builtins(&lists);
        let listed = modules.iter().flat_map(|m| &m.info.firmware);
        let listed = listed.chain(builtin.values().flat_map(|b| &b.firmware)).map(String::as_str);
        let firmware = Firmware::scan(tree, &version, listed);
        let graph = Graph::new(modules, lists::order(&lists.order))
            .map_err(|circle| Error::Circle(dir.clone(), circle))?;
        let by_name = graph.modules().iter().enumerate().map(|(n, m)| (m.name.clone(), n)).collect();
        Ok(Self { version, dir, builtin, graph, firmware, lists, by_name })
    }

    /// All modules, in the kernel's own order.
    pub fn modules(&self) -> &[Module] {
        self.graph.modules()
    }

    /// The module of a name; dashes and underscores are one.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules().get(self.position(name)?)
    }

    /// Whether a name is that of a driver built into the kernel.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains_key(&canonical_name(name))
    }

    /// Where a firmware file is, when it is there: the links that lead to it, then the file.
    pub fn firmware_paths(&self, name: &str) -> Option<&[TreePath]> {
        self.firmware.get(name)
    }

    /// Names of modules with an alias that matches, in the kernel's order.
    pub fn modules_for_alias(&self, modalias: &str) -> Vec<&str> {
        let serves = |m: &&Module| m.info.aliases.iter().any(|a| glob::matches(a, modalias));
        self.modules().iter().filter(serves).map(|m| m.name.as_str()).collect()
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(&canonical_name(name)).copied()
    }

    /// The modules a name in a `softdep=` stands for: one of that name, or all
    /// with such an alias. None when it is built in or not there at all.
    pub(super) fn softdep_targets(&self, name: &str) -> Vec<usize> {
        if let Some(found) = self.position(name) {
            return vec![found];
        }
        if self.is_builtin(name) {
            return Vec::new();
        }
        self.modules_for_alias(name).into_iter().filter_map(|name| self.position(name)).collect()
    }

    /// The positions of the named modules and of all they need or should have loaded before.
    pub(super) fn closure(&self, names: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        let mut open: Vec<usize> = names.collect();
        while let Some(n) = open.pop() {
            if !all.insert(n) {
                continue;
            }
            open.extend(self.graph.needs(n));
            let Some(module) = self.modules().get(n) else { continue };
            for softdep in &module.info.softdeps {
                open.extend(
                    elf::parse_softdep(softdep).pre.iter().flat_map(|name| self.softdep_targets(name)),
                );
            }
        }
        all
    }

    /// Firmware files a module may ask for: those that are there, and the names of those that are not.
    pub(crate) fn firmware_of(&self, module: &Module) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut there, mut missing) = (BTreeSet::new(), BTreeSet::new());
        for listed in &module.info.firmware {
            let before = there.len();
            there.extend(self.firmware.matching(listed).map(str::to_owned));
            if there.len() == before && !there.contains(listed) {
                missing.insert(listed.clone());
            }
        }
        for pattern in firmware::unlisted(&module.name) {
            there.extend(self.firmware.matching(pattern).map(str::to_owned));
        }
        (there, missing)
    }
}

/// The first of these that is a directory of the tree.
pub(super) fn first_dir(tree: &Tree, names: [&str; 2]) -> Option<TreePath> {
    let paths = names.iter().filter_map(|name| TreePath::parse(name.as_bytes()).ok());
    paths.into_iter().find(|path| tree.get(path).is_some_and(formats::tree::Node::is_dir))
}

fn modules_dir(tree: &Tree) -> Result<TreePath, Error> {
    let all = first_dir(tree, ["usr/lib/modules", "lib/modules"]).ok_or(Error::NoKernel)?;
    let kernels: Vec<&TreePath> =
        tree.children(&all).filter(|(_, node)| node.is_dir()).map(|(path, _)| path).collect();
    match kernels.as_slice() {
        [] => Err(Error::NoKernel),
        [one] => Ok((*one).clone()),
        several => Err(Error::SeveralKernels(
            several.iter().map(|path| String::from_utf8_lossy(path.name()).into_owned()).collect(),
        )),
    }
}

fn read_module(tree: &Tree, path: &TreePath) -> Result<Info, Error> {
    let failed = |source| Error::Read { path: path.clone(), source };
    let content = bytes::content(tree, path).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let bytes = bytes::module(content, &path.to_string()).map_err(failed)?;
    elf::parse(&bytes).map_err(|source| Error::Module { path: path.clone(), source })
}

fn builtins(lists: &Lists) -> BTreeMap<String, Builtin> {
    let mut all: BTreeMap<String, Builtin> =
        lists::builtin(&lists.builtin).map(|name| (name, Builtin::default())).collect();
    for field in lists::builtin_modinfo(&lists.builtin_modinfo) {
        let builtin = all.entry(canonical_name(field.module)).or_default();
        match field.key {
            "alias" => builtin.aliases.push(field.value.to_owned()),
            "firmware" => builtin.firmware.push(field.value.to_owned()),
            _ => {}
        }
    }
    all
}
