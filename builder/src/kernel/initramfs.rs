//! The content of the initramfs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use formats::modules::elf;
use formats::modules::index::{self, Entry};
use formats::tree::{Kind, Node, NotADirectory, Origin, PathError, Tree, TreePath};

use super::bytes;
use super::catalog::Catalog;
use super::select::Selection;

/// Why an initramfs could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the image could not be read.
    #[error("cannot read /{path} for the initramfs")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// A module's name or path does not fit the module index.
    #[error("cannot write the module index of the initramfs")]
    Index(#[from] index::Error),
    /// Two things want to be at the same place.
    #[error("cannot put a file into the initramfs")]
    Place(#[from] NotADirectory),
    /// A name that is no path.
    #[error("cannot name a file in the initramfs")]
    Path(#[from] PathError),
}

const ORIGIN: Origin = Origin::Fixup("initramfs");

/// Directories PID 1 mounts things on.
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "run", "sys", "sysroot"];

/// Puts the initramfs together: `/init`, the selected modules as plain `.ko`
/// files with their [index], firmware, mount points, and `extra` files, which win.
///
/// `tree` is the one the catalog was made of, with everything the selection names.
///
/// # Errors
/// See [`Error`].
pub fn tree(
    init: &[u8],
    tree: &Tree,
    catalog: &Catalog,
    selection: &Selection,
    extra: impl IntoIterator<Item = (TreePath, Node)>,
) -> Result<Tree, Error> {
    let mut out = Tree::new(Node::dir(ORIGIN));
    let mut put = |path: &str, node: Node| -> Result<(), Error> {
        out.insert(TreePath::parse(path.as_bytes())?, node)?;
        Ok(())
    };
    put("init", Node::file(init, 0o755, ORIGIN))?;
    for dir in MOUNT_POINTS {
        put(dir, Node::dir(ORIGIN))?;
    }
    // The kernel opens it for PID 1 before anything is mounted.
    put("dev/console", Node::new(Kind::CharDev { major: 5, minor: 1 }, 0o600, ORIGIN))?;

    let entries = entries(catalog, selection);
    let names: Vec<String> = catalog.builtin.keys().cloned().collect();
    put(index::PATH, Node::file(index::write(&catalog.version, &names, &entries)?.into_bytes(), 0o644, ORIGIN))?;
    for module in catalog.modules().iter().filter(|m| selection.modules.contains(&m.name)) {
        let from = catalog.dir.join(module.path.as_bytes())?;
        let to = format!("lib/modules/{}/{}", catalog.version, plain_path(&module.path));
        put(&to, file(tree, &from, true)?)?;
    }
    add_firmware(&mut out, tree, catalog, selection)?;
    for (path, node) in extra {
        out.insert(path, node)?;
    }
    Ok(out)
}

/// A module's path once it is unpacked.
fn plain_path(path: &str) -> &str {
    path.find(".ko").and_then(|at| path.get(..at + 3)).unwrap_or(path)
}

/// A regular file of the image as a node of its own.
fn file(tree: &Tree, path: &TreePath, is_module: bool) -> Result<Node, Error> {
    let failed = |source| Error::Read { path: path.clone(), source };
    let gone = || failed(io::ErrorKind::NotFound.into());
    let content = bytes::content(tree, path).ok_or_else(gone)?;
    let origin = tree.get(path).ok_or_else(gone)?.origin.clone();
    let name = path.to_string();
    if is_module && plain_path(&name) != name {
        return Ok(Node::file(bytes::module(content, &name).map_err(failed)?, 0o644, origin));
    }
    Ok(Node::new(Kind::File(content.clone()), 0o644, origin))
}

/// Copies firmware with the links that lead to it. A file whose links leave the
/// firmware directory is copied to where the driver looks for it.
fn add_firmware(
    out: &mut Tree,
    tree: &Tree,
    catalog: &Catalog,
    selection: &Selection,
) -> Result<(), Error> {
    let Some(dir) = catalog.firmware.dir() else { return Ok(()) };
    let home = TreePath::parse(b"lib/firmware")?;
    for name in &selection.firmware {
        let chain = catalog.firmware.get(name).unwrap_or_default();
        let within = chain.iter().all(|path| path.is_below(dir) && !is_absolute_link(tree, path));
        if !within {
            if let Some(real) = chain.last() {
                out.insert(home.join(name.as_bytes())?, file(tree, real, false)?)?;
            }
            continue;
        }
        for path in chain {
            let Some(below) = path.strip_prefix(dir) else { continue };
            let node = match tree.get(path).map(|node| &node.kind) {
                Some(Kind::Symlink(to)) => Node::symlink(to.clone(), ORIGIN),
                _ => file(tree, path, false)?,
            };
            out.insert(home.join(below.as_bytes())?, node)?;
        }
    }
    Ok(())
}

fn is_absolute_link(tree: &Tree, path: &TreePath) -> bool {
    matches!(tree.get(path).map(|node| &node.kind), Some(Kind::Symlink(to)) if to.starts_with(b"/"))
}

/// The selected modules for the index, every one after what it needs or wants.
/// A soft dependency that would close a circle is left out.
fn entries(catalog: &Catalog, selection: &Selection) -> Vec<Entry> {
    let chosen: Vec<usize> = selection.modules.iter().filter_map(|name| catalog.position(name)).collect();
    let soft = |n: usize| -> (Vec<usize>, Vec<usize>) {
        let (mut pre, mut post) = (BTreeSet::new(), BTreeSet::new());
        for value in catalog.modules().get(n).into_iter().flat_map(|m| &m.info.softdeps) {
            let parsed = elf::parse_softdep(value);
            pre.extend(parsed.pre.iter().flat_map(|name| catalog.softdep_targets(name)));
            post.extend(parsed.post.iter().flat_map(|name| catalog.softdep_targets(name)));
        }
        let there = |set: BTreeSet<usize>| set.into_iter().filter(|m| *m != n && chosen.contains(m)).collect();
        (there(pre), there(post))
    };

    let mut order = Order { catalog, soft: &soft, state: BTreeMap::new(), sorted: Vec::new() };
    for n in &chosen {
        order.visit(*n);
    }
    let numbers: BTreeMap<usize, usize> = order.sorted.iter().enumerate().map(|(at, n)| (*n, at)).collect();
    let number = |list: &[usize], limit: usize| -> Vec<usize> {
        let mut list: Vec<usize> =
            list.iter().filter_map(|n| numbers.get(n).copied()).filter(|n| *n < limit).collect();
        list.sort_unstable();
        list
    };
    let mut entries = Vec::new();
    for (at, n) in order.sorted.iter().enumerate() {
        let Some(module) = catalog.modules().get(*n) else { continue };
        let (pre, post) = soft(*n);
        entries.push(Entry {
            name: module.name.clone(),
            path: plain_path(&module.path).to_owned(),
            needs: number(catalog.graph.needs(*n), at),
            wants: number(&pre, at),
            also: number(&post, usize::MAX),
            aliases: module.info.aliases.clone(),
        });
    }
    entries
}

/// A depth-first walk that lists what comes before a module, then the module.
struct Order<'c, F> {
    catalog: &'c Catalog,
    soft: &'c F,
    /// Whether a module is listed already (`true`) or being looked at.
    state: BTreeMap<usize, bool>,
    sorted: Vec<usize>,
}

impl<F: Fn(usize) -> (Vec<usize>, Vec<usize>)> Order<'_, F> {
    /// As deep as the longest chain of dependencies.
    fn visit(&mut self, n: usize) {
        if self.state.contains_key(&n) {
            return;
        }
        self.state.insert(n, false);
        for need in self.catalog.graph.needs(n) {
            self.visit(*need);
        }
        for want in (self.soft)(n).0 {
            if !self.reaches(want, n) {
                self.visit(want);
            }
        }
        self.state.insert(n, true);
        self.sorted.push(n);
    }

    /// Whether loading `from` first needs something that is being looked at, as `to` is.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let open = |n: usize| n == to || self.state.get(&n) == Some(&false);
        open(from) || self.catalog.graph.all_needs(from).into_iter().any(open)
    }
}
