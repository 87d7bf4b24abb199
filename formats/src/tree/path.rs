//! Paths inside a tree.

use std::cmp::Ordering;
use std::fmt;

/// A normal, relative path: components of arbitrary bytes but `/` and NUL,
/// none of them empty, `.` or `..`. The root is the path without components.
///
/// The order is that of a sorted walk: component by component, so `a/x` comes
/// before `a-b`, though `-` is a smaller byte than `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct TreePath(Vec<u8>);

/// Why bytes are not a [`TreePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A `..` component: the path could leave the tree.
    #[error("the path {0:?} has a `..` in it")]
    Parent(String),
    /// A NUL byte.
    #[error("the path {0:?} has a NUL byte in it")]
    Nul(String),
    /// A component longer than 255 bytes, which no file system here can hold.
    #[error("the path {0:?} has a component longer than 255 bytes")]
    TooLong(String),
}

impl TreePath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalises a path as found in archives and recipes: leading `/` and
    /// `./`, doubled and trailing slashes are dropped.
    ///
    /// # Errors
    /// For `..`, NUL bytes and names above 255 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let mut out = Vec::with_capacity(bytes.len());
        for part in bytes.split(|b| *b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(PathError::Parent(shown())),
                _ if part.contains(&0) => return Err(PathError::Nul(shown())),
                _ if part.len() > 255 => return Err(PathError::TooLong(shown())),
                _ => {}
            }
            if !out.is_empty() {
                out.push(b'/');
            }
            out.extend_from_slice(part);
        }
        Ok(Self(out))
    }

    /// The bytes, without a leading slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|c| !c.is_empty())
    }

    /// The number of components.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }

    /// The directory above; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The directories above, nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// This path with a relative path after it.
    ///
    /// # Errors
    /// As [`TreePath::parse`].
    pub fn join(&self, rest: &[u8]) -> Result<Self, PathError> {
        let rest = Self::parse(rest)?;
        let mut bytes = self.0.clone();
        if !bytes.is_empty() && !rest.0.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(&rest.0);
        Ok(Self(bytes))
    }

    /// Whether this path is below `dir`, at any depth.
    pub fn is_below(&self, dir: &Self) -> bool {
        match dir.0.len() {
            0 => !self.0.is_empty(),
            n => self.0.len() > n && self.0[n] == b'/' && self.0.starts_with(&dir.0),
        }
    }

    /// This path as seen from `dir`; `None` when it is neither `dir` nor below it.
    pub fn strip_prefix(&self, dir: &Self) -> Option<Self> {
        match dir.0.len() {
            0 => Some(self.clone()),
            _ if self == dir => Some(Self::root()),
            n => self.is_below(dir).then(|| Self(self.0[n + 1..].to_vec())),
        }
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        // Component by component is byte by byte with the slash before all other
        // bytes, as names have no NUL.
        let weight = |b: u8| if b == b'/' { 0 } else { b };
        let differ = self.0.iter().zip(&other.0).find(|(a, b)| a != b);
        differ.map_or_else(|| self.0.len().cmp(&other.0.len()), |(a, b)| weight(*a).cmp(&weight(*b)))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_normalises_and_refuses() {
        let ok = |s: &str| TreePath::parse(s.as_bytes()).unwrap().to_string();
        assert_eq!(ok("./usr//bin/"), "usr/bin");
        assert_eq!(ok("/"), "");
        assert_eq!(TreePath::parse(b"usr/../../etc").unwrap_err(), PathError::Parent("usr/../../etc".into()));
        assert!(matches!(TreePath::parse(b"a\0b"), Err(PathError::Nul(_))));
        assert!(matches!(TreePath::parse(&[b'x'; 256]), Err(PathError::TooLong(_))));
    }

    #[test]
    fn parents() {
        let p = TreePath::parse(b"a/b/c").unwrap();
        let up: Vec<_> = p.ancestors().map(|p| p.to_string()).collect();
        assert_eq!(up, ["a/b", "a", ""]);
        assert_eq!(p.name(), b"c");
    }
    proptest::proptest! {
        #[test]
        fn the_order_is_that_of_the_components(a in "[-ab/.é]{0,8}", b in "[-ab/.é]{0,8}") {
            let (Ok(a), Ok(b)) = (TreePath::parse(a.as_bytes()), TreePath::parse(b.as_bytes())) else { return Ok(()) };
            proptest::prop_assert_eq!(a.cmp(&b), a.components().cmp(b.components()));
        }
    }
}
