//! The tree as inodes: who is in which directory, which names share an inode,
//! in which order inodes are written.

use super::Error;
use crate::tree::{Kind, Node, Tree, TreePath};

/// Nodes by their place in the tree's order; 0 is the root.
pub(super) struct Graph<'t> {
    pub(super) nodes: Vec<(&'t TreePath, &'t Node)>,
    /// The node whose inode a node's name leads to: itself but for hard links.
    pub(super) owner: Vec<usize>,
    /// The directory a node is in; the root is in itself.
    pub(super) parent: Vec<usize>,
    /// Entries of a directory, sorted by name.
    pub(super) children: Vec<Vec<usize>>,
    /// Names of an owner's inode, as `st_nlink` counts them.
    pub(super) links: Vec<u32>,
    /// Inode number of an owner: 1.. in writing order.
    pub(super) number: Vec<u32>,
    /// Number of inodes.
    pub(super) inodes: u32,
}

impl<'t> Graph<'t> {
    pub(super) fn new(tree: &'t Tree) -> Result<Self, Error> {
        let nodes: Vec<_> = tree.iter().collect();
        // Inode numbers are at most the number of nodes, and links, too.
        u32::try_from(nodes.len()).map_err(|_| Error::TooMany { what: "inodes", limit: u32::MAX.into() })?;
        let mut graph = Self {
            owner: Vec::with_capacity(nodes.len()),
            parent: Vec::with_capacity(nodes.len()),
            children: vec![Vec::new(); nodes.len()],
            links: vec![0; nodes.len()],
            number: vec![0; nodes.len()],
            inodes: 0,
            nodes,
        };
        graph.connect()?;
        graph.count();
        Ok(graph)
    }

    fn connect(&mut self) -> Result<(), Error> {
        // The directories from the root to the node at hand.
        let mut above: Vec<usize> = Vec::new();
        for (i, (path, node)) in self.nodes.iter().enumerate() {
            above.truncate(path.depth());
            let parent = above.last().copied().unwrap_or(i);
            self.parent.push(parent);
            if parent != i {
                self.children[parent].push(i);
            }
            self.owner.push(match &node.kind {
                Kind::Hardlink(target) => self.file(path, target)?,
                _ => i,
            });
            if node.is_dir() {
                above.push(i);
            }
        }
        Ok(())
    }

    fn file(&self, link: &TreePath, target: &TreePath) -> Result<usize, Error> {
        let found = self.nodes.binary_search_by_key(&target, |(path, _)| path).ok();
        found
            .filter(|i| matches!(self.nodes[*i].1.kind, Kind::File(_)))
            .ok_or_else(|| Error::HardLink { link: link.clone(), target: target.clone() })
    }

    fn count(&mut self) {
        for (i, (_, node)) in self.nodes.iter().enumerate() {
            self.links[self.owner[i]] += 1;
            if node.is_dir() {
                // "." and each ".." below.
                self.links[i] += 1;
                if i != 0 {
                    self.links[self.parent[i]] += 1;
                }
            }
        }
        for dir in self.directories() {
            for child in self.children[dir].clone() {
                self.assign(self.owner[child]);
            }
        }
        self.assign(0);
    }

    fn assign(&mut self, owner: usize) {
        if self.number[owner] == 0 {
            self.inodes += 1;
            self.number[owner] = self.inodes;
        }
    }

    /// The directories in the order their listings are written: before the
    /// directory they are in, whose listing needs to know where their inodes are.
    pub(super) fn directories(&self) -> impl Iterator<Item = usize> + use<> {
        let dirs: Vec<_> = (0..self.nodes.len()).filter(|i| self.nodes[*i].1.is_dir()).collect();
        dirs.into_iter().rev()
    }
}
