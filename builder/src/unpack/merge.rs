//! Unpacked packages become one tree.
//!
//! The rules are dpkg's on a merged-/usr system, without diversions:
//! - what a package ships below `/lib` lands below `/usr/lib`, and so on;
//! - a directory may be in several packages; the first one's owner and mode
//!   stay: those of base-files, then in the order of package names;
//! - anything else may be in one package only, unless another one says that it
//!   `Replaces` it; then that one's counts;
//! - no other symbolic link is followed: a package that has a path below
//!   another one's link is refused.
//!
//! What the recipe leaves out is left out before two packages can collide on it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use formats::tree::{Kind, Node, NotADirectory, Origin, Tree, TreePath};

use super::Package;
use super::entry::{Entry, EntryKind};
use super::place::{self, Place};
use crate::accounts::{Ids, Unknown};

/// Why packages cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two packages have the same file.
    #[error(
        "the packages {first} and {second} both have /{path}; leave one of them out, or exclude the path"
    )]
    Conflict {
        /// The path.
        path: TreePath,
        /// One package.
        first: Arc<str>,
        /// The other.
        second: Arc<str>,
    },
    /// A directory in one package is something else in another.
    #[error(
        "/{path} is a directory in the package {dir_in}, but not in {other_in}; leave one of them out, or exclude the path"
    )]
    NotBothDirs {
        /// The path.
        path: TreePath,
        /// The package that has a directory.
        dir_in: Arc<str>,
        /// The package that has something else.
        other_in: Arc<str>,
    },
    /// A package has a path below something that is not a directory.
    #[error("the package {package} has /{path}, but /{above} is not a directory ({by})")]
    Through {
        /// The package.
        package: Arc<str>,
        /// The path.
        path: TreePath,
        /// What is in the way.
        above: TreePath,
        /// Who put that there.
        by: String,
    },
    /// A package ships something else where /usr is merged.
    #[error("the package {package} has /{path}, which is a link to /usr/{path} in every image")]
    Alias {
        /// The package.
        package: Arc<str>,
        /// `bin`, `lib`…
        path: TreePath,
    },
    /// A package has a file in place of /usr.
    #[error("no directories for programs and libraries can be made in /usr")]
    NoUsr(#[source] NotADirectory),
    /// A file belongs to nobody the image knows.
    #[error("cannot tell the owner of /{path} in the package {package}")]
    Owner {
        /// The package.
        package: Arc<str>,
        /// The path.
        path: TreePath,
        /// Who is not known.
        #[source]
        source: Unknown,
    },
}

/// A package's entry.
#[derive(Clone, Copy)]
struct Claim<'a> {
    package: &'a Package,
    entry: &'a Entry,
}

/// Merges packages. `wanted` says of a path in the tree (`usr/lib/x`, never
/// `lib/x`) whether it is to be in the image. A directory that is not wanted is
/// there all the same when something below it is.
///
/// # Errors
/// When packages collide, or a file's owner is not in `ids`.
pub fn merge(packages: &[Package], ids: &Ids, wanted: &dyn Fn(&TreePath) -> bool) -> Result<Tree, Error> {
    let mut order: Vec<_> = packages.iter().collect();
    order.sort_by_key(|p| (&*p.name != "base-files", Arc::clone(&p.name)));
    let mut dirs: BTreeMap<TreePath, Claim<'_>> = BTreeMap::new();
    let mut others: BTreeMap<TreePath, Claim<'_>> = BTreeMap::new();
    for package in order {
        for entry in &package.archive.entries {
            let claim = Claim { package, entry };
            match place::place(&entry.path) {
                Place::Alias(path) if place::agrees_with_alias(&path, &entry.kind) => {}
                Place::Alias(path) => return Err(Error::Alias { package: Arc::clone(&package.name), path }),
                Place::At(path) if entry.kind == EntryKind::Dir => {
                    dirs.entry(path).or_insert(claim);
                }
                Place::At(path) if wanted(&path) => claim_path(&mut others, path, claim)?,
                Place::At(_) => {}
            }
        }
    }
    let mut needed = HashSet::new();
    for path in others.keys() {
        // Where one is known, those above it are, too.
        path.ancestors().take_while(|above| needed.insert(above.clone())).for_each(drop);
    }
    let mut tree = Tree::new(match dirs.get(&TreePath::root()) {
        Some(claim) => claim.node(ids)?,
        None => Node::dir(Origin::Fixup("merged /usr")),
    });
    for (path, claim) in dirs.iter().filter(|(p, _)| !p.is_root() && (needed.contains(*p) || wanted(p))) {
        if let Some(other) = others.get(path) {
            let (dir_in, other_in) = (Arc::clone(&claim.package.name), Arc::clone(&other.package.name));
            return Err(Error::NotBothDirs { path: path.clone(), dir_in, other_in });
        }
        claim.insert(&mut tree, path, claim.node(ids)?)?;
    }
    // Adopted by the first name left when the file itself is replaced or left out.
    let mut heirs: BTreeMap<(&str, TreePath), TreePath> = BTreeMap::new();
    for (path, claim) in &others {
        let node = match &claim.entry.kind {
            EntryKind::Hardlink(target) => {
                let mut node = claim.target(target).node(ids)?;
                let at = place::canonical(target);
                let there =
                    others.get(&at).is_some_and(|t| Arc::ptr_eq(&t.package.name, &claim.package.name));
                let heir = heirs.entry((&claim.package.name, at.clone())).or_insert_with(|| path.clone());
                if there {
                    node.kind = Kind::Hardlink(at);
                } else if heir != path {
                    node.kind = Kind::Hardlink(heir.clone());
                }
                node
            }
            _ => claim.node(ids)?,
        };
        claim.insert(&mut tree, path, node)?;
    }
    place::add_aliases(&mut tree).map_err(Error::NoUsr)?;
    Ok(tree)
}

/// Gives a path to a package, or leaves it with the one that replaces this one.
fn claim_path<'a>(
    others: &mut BTreeMap<TreePath, Claim<'a>>,
    path: TreePath,
    new: Claim<'a>,
) -> Result<(), Error> {
    if let Some(old) = others.get(&path) {
        let replaces = |a: &Package, b: &Package| a.control.replaces(&b.name, &b.control.version);
        if !replaces(new.package, old.package) {
            let (first, second) = (Arc::clone(&old.package.name), Arc::clone(&new.package.name));
            let stays = replaces(old.package, new.package);
            return if stays { Ok(()) } else { Err(Error::Conflict { path, first, second }) };
        }
    }
    others.insert(path, new);
    Ok(())
}

impl<'a> Claim<'a> {
    fn node(&self, ids: &Ids) -> Result<Node, Error> {
        let origin = Origin::Package(Arc::clone(&self.package.name));
        place::node(self.entry, &self.package.archive, ids, origin).map_err(|source: Unknown| Error::Owner {
            package: Arc::clone(&self.package.name),
            path: self.entry.path.clone(),
            source,
        })
    }

    /// The file a hard link of this package stands for. The tar reader has seen
    /// to it that there is one.
    fn target(&self, path: &TreePath) -> Claim<'a> {
        let entry = self.package.archive.entries.iter().find(|e| e.path == *path);
        Claim { package: self.package, entry: entry.unwrap_or(self.entry) }
    }

    fn insert(&self, tree: &mut Tree, path: &TreePath, node: Node) -> Result<(), Error> {
        tree.insert(path.clone(), node).map(|_| ()).map_err(|e| Error::Through {
            package: Arc::clone(&self.package.name),
            path: path.clone(),
            by: tree.get(&e.0).map(|n| n.origin.to_string()).unwrap_or_default(),
            above: e.0,
        })
    }
}
