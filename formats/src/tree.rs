//! The in-memory file tree that images are made of.
//!
//! A tree maps paths to nodes. Nothing is ever unpacked to the host's file
//! system, so the host's users, umask and case rules cannot leak into an image.

mod content;
mod path;

pub use content::{Content, Digest, ReadAt};
pub use path::{PathError, TreePath};

use std::collections::BTreeMap;
use std::sync::Arc;

/// Who put a node into the tree: a package, an overlay, a fix-up.
///
/// Shown to people ("which package grew?"), never written into an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A Debian package, by name.
    Package(Arc<str>),
    /// A component given to the build, by name.
    Component(Arc<str>),
    /// An overlay directory, by name.
    Overlay(Arc<str>),
    /// A fix-up of the builder, by name.
    Fixup(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package(name) => write!(f, "package {name}"),
            Self::Component(name) => write!(f, "component {name}"),
            Self::Overlay(name) => write!(f, "overlay {name}"),
            Self::Fixup(name) => write!(f, "fix-up {name}"),
        }
    }
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory. Its entries are the nodes below its path.
    Dir,
    /// A regular file.
    File(Content),
    /// A symbolic link and the bytes it points to.
    Symlink(Vec<u8>),
    /// Another name of the regular file at the given path, which is itself not a hard link.
    Hardlink(TreePath),
    /// A character device.
    CharDev {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDev {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// One entry of a [`Tree`]. Modification times are not kept: every file of an
/// image carries the image's own time.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: 0..=0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by full name (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Who put it here.
    pub origin: Origin,
}

impl Node {
    /// A node owned by root without extended attributes.
    pub fn new(kind: Kind, mode: u16, origin: Origin) -> Self {
        Self { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new(), origin }
    }

    /// A directory 0755 root:root.
    pub fn dir(origin: Origin) -> Self {
        Self::new(Kind::Dir, 0o755, origin)
    }

    /// A regular file root:root with these bytes.
    pub fn file(bytes: impl Into<Arc<[u8]>>, mode: u16, origin: Origin) -> Self {
        Self::new(Kind::File(Content::from_bytes(bytes)), mode, origin)
    }

    /// A symbolic link root:root.
    pub fn symlink(target: impl Into<Vec<u8>>, origin: Origin) -> Self {
        Self::new(Kind::Symlink(target.into()), 0o777, origin)
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir)
    }
}

/// A file tree: every path but the root has a directory above it.
///
/// Iteration is in [`TreePath`] order: a directory comes right before what is
/// below it, siblings are sorted by their bytes.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: BTreeMap<TreePath, Node>,
}

impl Tree {
    /// A tree that has only a root directory.
    pub fn new(root: Node) -> Self {
        debug_assert!(root.is_dir());
        Self { nodes: BTreeMap::from([(TreePath::root(), root)]) }
    }

    /// Number of nodes, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never true: a tree has a root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node at a path. Symbolic links are not followed.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at a path, to change its owner, mode or content.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Puts a node at a path, making the directories above it (0755 root:root,
    /// with the node's origin) where they are missing. Returns what was there.
    ///
    /// # Errors
    /// When something above the path is not a directory; the tree is unchanged.
    pub fn insert(&mut self, path: TreePath, node: Node) -> Result<Option<Node>, NotADirectory> {
        let mut missing = Vec::new();
        for above in path.ancestors() {
            match self.nodes.get(&above) {
                Some(node) if node.is_dir() => break,
                Some(_) => return Err(NotADirectory(above)),
                None => missing.push(above),
            }
        }
        for above in missing {
            self.nodes.insert(above, Node::dir(node.origin.clone()));
        }
        Ok(self.nodes.insert(path, node))
    }

    /// Takes away a node and, for a directory, everything below it.
    /// Returns whether there was one. The root stays.
    pub fn remove(&mut self, path: &TreePath) -> bool {
        if path.is_root() {
            return false;
        }
        let below: Vec<_> = self.below(path).map(|(p, _)| p.clone()).collect();
        for p in &below {
            self.nodes.remove(p);
        }
        self.nodes.remove(path).is_some()
    }

    /// All nodes, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// All nodes, parents before children, to change them in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TreePath, &mut Node)> {
        self.nodes.iter_mut()
    }

    /// Everything below a directory at any depth, without the directory itself.
    pub fn below<'a>(&'a self, dir: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> {
        self.nodes
            .range::<TreePath, _>((std::ops::Bound::Excluded(dir), std::ops::Bound::Unbounded))
            .take_while(move |(p, _)| p.is_below(dir))
    }

    /// The entries of one directory.
    pub fn children<'a>(&'a self, dir: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> {
        let depth = dir.depth() + 1;
        self.below(dir).filter(move |(p, _)| p.depth() == depth)
    }

    /// The part of the tree at `dir` as a tree of its own, rooted there. `None`
    /// when `dir` is not a directory. Hard links that lead out of it become the
    /// file they stand for.
    pub fn subtree(&self, dir: &TreePath) -> Option<Self> {
        let mut out = Self::new(self.get(dir).filter(|n| n.is_dir())?.clone());
        let mut moved: BTreeMap<TreePath, TreePath> = BTreeMap::new();
        for (path, node) in self.below(dir) {
            let Some(new) = path.strip_prefix(dir) else { continue };
            let mut node = node.clone();
            if let Kind::Hardlink(target) = node.kind.clone() {
                if let Some(inside) = target.strip_prefix(dir) {
                    node.kind = Kind::Hardlink(inside);
                } else if let Some(first) = moved.get(&target) {
                    node.kind = Kind::Hardlink(first.clone());
                } else {
                    let file = self.get(&target)?;
                    node.kind = file.kind.clone();
                    moved.insert(target, new.clone());
                }
            }
            out.nodes.insert(new, node);
        }
        Some(out)
    }
}

/// Something above a path is not a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("/{0} is not a directory")]
pub struct NotADirectory(
    /// The path that is in the way.
    pub TreePath,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn p(s: &str) -> TreePath {
        TreePath::parse(s.as_bytes()).unwrap()
    }
    const O: Origin = Origin::Fixup("test");

    #[test]
    fn children_and_below_do_not_mix_up_siblings_with_a_shared_prefix() {
        let mut t = Tree::new(Node::dir(O));
        for f in ["a/x", "a-b/y", "a/c/z", "a.d"] {
            t.insert(p(f), Node::file(*b"", 0o644, O)).unwrap();
        }
        let below: Vec<_> = t.below(&p("a")).map(|(p, _)| p.to_string()).collect();
        assert_eq!(below, ["a/c", "a/c/z", "a/x"]);
        let top: Vec<_> = t.children(&TreePath::root()).map(|(p, _)| p.to_string()).collect();
        assert_eq!(top, ["a", "a-b", "a.d"]);
    }

    #[test]
    fn insert_refuses_a_path_through_a_file() {
        let mut t = Tree::new(Node::dir(O));
        t.insert(p("a"), Node::file(*b"", 0o644, O)).unwrap();
        assert_eq!(t.insert(p("a/b/c"), Node::dir(O)).unwrap_err(), NotADirectory(p("a")));
        assert!(t.get(&p("a/b")).is_none());
    }

    #[test]
    fn subtree_turns_links_that_lead_out_into_files() {
        let mut t = Tree::new(Node::dir(O));
        t.insert(p("out"), Node::file(*b"hi", 0o600, O)).unwrap();
        for l in ["usr/l1", "usr/l2"] {
            t.insert(p(l), Node::new(Kind::Hardlink(p("out")), 0o600, O)).unwrap();
        }
        let usr = t.subtree(&p("usr")).unwrap();
        assert!(matches!(&usr.get(&p("l1")).unwrap().kind, Kind::File(c) if c.len() == 2));
        assert!(matches!(&usr.get(&p("l2")).unwrap().kind, Kind::Hardlink(to) if *to == p("l1")));
    }
}
