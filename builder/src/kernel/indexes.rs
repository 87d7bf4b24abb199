//! The index files kmod needs, put into the tree.

use formats::modules::depmod;
use formats::modules::graph::{Circle, Graph};
use formats::modules::lists;
use formats::tree::{Node, NotADirectory, Origin, Tree};

use super::catalog::Catalog;
use super::select::Selection;

/// Why the indexes could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The modules need each other.
    #[error("cannot order the kernel modules for modules.dep")]
    Circle(#[from] Circle),
    /// A module says something about itself that the indexes cannot hold.
    #[error("cannot index the kernel modules")]
    Index(#[from] depmod::Error),
    /// The modules' directory is in the way of itself.
    #[error("cannot put the module indexes into the tree")]
    Place(#[from] NotADirectory),
}

/// Writes `modules.dep.bin` and the other files `depmod` makes, for the modules of the selection.
///
/// # Errors
/// See [`Error`].
pub fn write(tree: &mut Tree, catalog: &Catalog, selection: &Selection) -> Result<(), Error> {
    let modules = catalog.modules().iter().filter(|m| selection.modules.contains(&m.name)).cloned();
    let graph = Graph::new(modules.collect(), lists::order(&catalog.lists.order))?;
    let files = depmod::files(&graph, &catalog.lists.builtin, &catalog.lists.builtin_modinfo)?;
    for (name, bytes) in files {
        if let Ok(path) = catalog.dir.join(name.as_bytes()) {
            tree.insert(path, Node::file(bytes, 0o644, Origin::Fixup("depmod")))?;
        }
    }
    Ok(())
}
