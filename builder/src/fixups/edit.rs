//! A tree while one fix-up changes it: counts what it does, signs what it makes.

use formats::tree::{Kind, Node, Origin, Tree, TreePath};

use super::Error;

/// Write access to a tree on behalf of one fix-up.
pub(super) struct Edit<'a> {
    pub(super) tree: &'a mut Tree,
    fixup: &'static str,
    changed: usize,
    notes: Vec<String>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(tree: &'a mut Tree, fixup: &'static str) -> Self {
        Self { tree, fixup, changed: 0, notes: Vec::new() }
    }

    /// Nodes changed so far.
    pub(super) fn changed(&self) -> usize {
        self.changed
    }

    /// Says what somebody should know.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// Counts nodes changed through [`Edit::tree`].
    pub(super) fn count(&mut self, nodes: usize) {
        self.changed += nodes;
    }

    pub(super) fn origin(&self) -> Origin {
        Origin::Fixup(self.fixup)
    }

    pub(super) fn path(&self, path: &str) -> Result<TreePath, Error> {
        TreePath::parse(path.as_bytes()).map_err(|source| Error::Path { fixup: self.fixup, source })
    }

    pub(super) fn has(&self, path: &str) -> bool {
        TreePath::parse(path.as_bytes()).is_ok_and(|p| self.tree.get(&p).is_some())
    }

    /// Where an absolute path leads when the links of the tree are followed; `None` when to
    /// nothing.
    pub(super) fn resolve(&self, path: &str) -> Option<TreePath> {
        let mut open: Vec<Vec<u8>> =
            path.as_bytes().split(|b| *b == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut at = TreePath::root();
        // As many as the kernel follows.
        let mut links = 40;
        while let Some(name) = open.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = at.parent().unwrap_or_else(TreePath::root);
                    continue;
                }
                _ => {}
            }
            let next = at.join(&name).ok()?;
            if let Kind::Symlink(target) = &self.tree.get(&next)?.kind {
                links -= 1;
                if links == 0 {
                    return None;
                }
                if target.starts_with(b"/") {
                    at = TreePath::root();
                }
                open.extend(target.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
            } else {
                at = next;
            }
        }
        Some(at)
    }

    /// Moves what is at a path, and all below it.
    pub(super) fn rename(&mut self, from: &TreePath, to: &TreePath) -> Result<(), Error> {
        let moved =
            |path: &TreePath| -> Option<TreePath> { to.join(path.strip_prefix(from)?.as_bytes()).ok() };
        let mut nodes: Vec<(TreePath, Node)> = Vec::new();
        for (path, node) in self.tree.get(from).map(|n| (from, n)).into_iter().chain(self.tree.below(from)) {
            if let Some(path) = moved(path) {
                nodes.push((path, node.clone()));
            }
        }
        self.tree.remove(from);
        for (path, node) in nodes {
            self.insert(path, node)?;
        }
        // Hard links anywhere may name a file that has moved.
        for (_, node) in self.tree.iter_mut() {
            if let Kind::Hardlink(target) = &mut node.kind
                && let Some(new) = moved(target)
            {
                *target = new;
            }
        }
        Ok(())
    }

    /// The bytes of a regular file, hard links followed; `None` when there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(path)?;
        let node = match self.tree.get(&path).map(|n| &n.kind) {
            Some(Kind::Hardlink(first)) => self.tree.get(first).map(|n| &n.kind),
            other => other,
        };
        let Some(Kind::File(content)) = node else { return Ok(None) };
        content.to_vec().map(Some).map_err(|source| Error::Read { fixup: self.fixup, path, source })
    }

    /// As [`Edit::read`], as text; bytes that are not UTF-8 are an error.
    pub(super) fn read_text(&self, path: &str) -> Result<Option<String>, Error> {
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| self.unexpected(path, "is not UTF-8 text"))
    }

    /// As [`Edit::read_text`]; missing is an error that names the package.
    pub(super) fn need_text(&self, path: &str, package: &'static str) -> Result<String, Error> {
        match self.read_text(path)? {
            Some(text) => Ok(text),
            None => Err(Error::Missing { fixup: self.fixup, path: self.path(path)?, package }),
        }
    }

    pub(super) fn insert(&mut self, path: TreePath, node: Node) -> Result<(), Error> {
        match self.tree.insert(path.clone(), node) {
            Ok(_) => {
                self.changed += 1;
                Ok(())
            }
            Err(source) => Err(Error::InTheWay { fixup: self.fixup, path, source }),
        }
    }

    /// Writes a file of root's.
    pub(super) fn write(&mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u16) -> Result<(), Error> {
        let node = Node::file(bytes.into(), mode, self.origin());
        self.insert(self.path(path)?, node)
    }

    /// Makes a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<(), Error> {
        let node = Node::symlink(target, self.origin());
        self.insert(self.path(path)?, node)
    }

    /// Names of the entries of a directory that end in `suffix`, sorted; none
    /// when there is no such directory.
    pub(super) fn names(&self, dir: &str, suffix: &str) -> Result<Vec<String>, Error> {
        let dir = self.path(dir)?;
        Ok(self
            .tree
            .children(&dir)
            .filter_map(|(path, _)| String::from_utf8(path.name().to_vec()).ok())
            .filter(|name| name.ends_with(suffix))
            .collect())
    }

    pub(super) fn unexpected(&self, path: &str, problem: impl Into<String>) -> Error {
        match self.path(path) {
            Ok(path) => Error::Unexpected { fixup: self.fixup, path, problem: problem.into() },
            Err(error) => error,
        }
    }
}
