//! A tree while one fix-up changes it: counts what it does, signs what it makes.

use formats::tree::{Kind, Node, Origin, Tree, TreePath};

use super::Error;

/// Write access to a tree on behalf of one fix-up.
pub(super) struct Edit<'a> {
    pub(super) tree: &'a mut Tree,
    fixup: &'static str,
    changed: usize,
}

impl<'a> Edit<'a> {
    pub(super) fn new(tree: &'a mut Tree, fixup: &'static str) -> Self {
        Self { tree, fixup, changed: 0 }
    }

    /// Nodes changed so far.
    pub(super) fn changed(&self) -> usize {
        self.changed
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
