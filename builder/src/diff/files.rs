//! What differs between two trees.

use std::collections::BTreeSet;
use std::io;

use formats::tree::{Content, Kind, Node, Tree, TreePath};
use rayon::prelude::*;
use serde::Serialize;

use crate::inspect::line::content;
use crate::origins;

/// A file that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileChange {
    /// Its path, with the part it is in: `/usr/bin/ls`, `initramfs:/init`.
    pub path: String,
    /// What happened to it.
    pub change: Change,
    /// Bytes before; 0 when it was not there or is no file.
    pub old_size: u64,
    /// Bytes now.
    pub new_size: u64,
    /// What is different of one that stayed: `content`, `mode 0644 → 0755`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
    /// Where content begins to differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstBytes>,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is not the same.
    Changed,
}

/// The place where two contents begin to differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirstBytes {
    /// Byte from the start.
    pub offset: u64,
    /// Up to 16 bytes from there, before, in hexadecimal; empty at the end.
    pub old: String,
    /// The same now.
    pub new: String,
}

/// Compares two trees; `top` stands before the paths.
///
/// # Errors
/// When content does not read.
pub fn compare(top: &str, old: &Tree, new: &Tree) -> io::Result<Vec<FileChange>> {
    let paths: BTreeSet<&TreePath> = old.iter().chain(new.iter()).map(|(path, _)| path).collect();
    let paths: Vec<_> = paths.into_iter().collect();
    let changes =
        paths.into_par_iter().map(|path| change(top, path, old, new)).collect::<io::Result<Vec<_>>>()?;
    Ok(changes.into_iter().flatten().collect())
}

fn change(top: &str, path: &TreePath, old: &Tree, new: &Tree) -> io::Result<Option<FileChange>> {
    let size = |tree: &Tree| content(tree, path).map_or(0, Content::len);
    let mut out = FileChange {
        path: format!("{top}/{}", origins::text(path)),
        change: Change::Changed,
        old_size: size(old),
        new_size: size(new),
        what: Vec::new(),
        first: None,
    };
    let (before, now) = match (old.get(path), new.get(path)) {
        (Some(before), Some(now)) => (before, now),
        (before, _) => {
            out.change = if before.is_none() { Change::Added } else { Change::Removed };
            return Ok(Some(out));
        }
    };
    out.what = attributes(before, now);
    if let (Some(a), Some(b)) = (content(old, path), content(new, path)) {
        let same = a.len() == b.len() && a.digest()? == b.digest()?;
        if !same {
            out.what.push("content".to_owned());
            out.first = first_difference(a, b)?;
        }
    }
    Ok((!out.what.is_empty()).then_some(out))
}

fn attributes(old: &Node, new: &Node) -> Vec<String> {
    let mut what = Vec::new();
    let (a, b) = (kind(old), kind(new));
    if a != b {
        what.push(format!("{a} → {b}"));
    }
    if old.mode != new.mode {
        what.push(format!("mode {:04o} → {:04o}", old.mode, new.mode));
    }
    if (old.uid, old.gid) != (new.uid, new.gid) {
        what.push(format!("owner {}:{} → {}:{}", old.uid, old.gid, new.uid, new.gid));
    }
    if old.xattrs != new.xattrs {
        what.push("extended attributes".to_owned());
    }
    what
}

/// What a node is; names of one file are files.
fn kind(node: &Node) -> String {
    match &node.kind {
        Kind::Dir => "directory".to_owned(),
        Kind::File(_) | Kind::Hardlink(_) => "file".to_owned(),
        Kind::Symlink(to) => format!("link to {}", String::from_utf8_lossy(to)),
        Kind::CharDev { major, minor } => format!("character device {major}:{minor}"),
        Kind::BlockDev { major, minor } => format!("block device {major}:{minor}"),
        Kind::Fifo => "pipe".to_owned(),
    }
}

/// Bytes compared at one time.
const STEP: usize = 1 << 20;
/// Bytes shown of each side.
const SHOWN: u64 = 16;

/// Where two contents begin to differ; `None` when they are the same.
///
/// # Errors
/// When one does not read.
pub fn first_difference(a: &Content, b: &Content) -> io::Result<Option<FirstBytes>> {
    let both = a.len().min(b.len());
    let (mut left, mut right) = (vec![0; STEP], vec![0; STEP]);
    let mut at = 0;
    while at < both {
        let n = usize::try_from(both - at).unwrap_or(STEP).min(STEP);
        a.read_exact_at(&mut left[..n], at)?;
        b.read_exact_at(&mut right[..n], at)?;
        if let Some(same) = left[..n].iter().zip(&right[..n]).position(|(x, y)| x != y) {
            return Ok(Some(shown(a, b, at + same as u64)?));
        }
        at += n as u64;
    }
    if a.len() == b.len() { Ok(None) } else { Ok(Some(shown(a, b, both)?)) }
}

fn shown(a: &Content, b: &Content, offset: u64) -> io::Result<FirstBytes> {
    let some = |content: &Content| -> io::Result<String> {
        let n = content.len().saturating_sub(offset).min(SHOWN);
        let mut bytes = vec![0; usize::try_from(n).unwrap_or(0)];
        content.read_exact_at(&mut bytes, offset)?;
        Ok(crate::digest::hex(&bytes))
    };
    Ok(FirstBytes { offset, old: some(a)?, new: some(b)? })
}

#[cfg(test)]
mod tests {
    use formats::tree::Origin;

    use super::*;

    fn tree(files: &[(&str, &[u8], u16)]) -> Tree {
        let mut tree = Tree::new(Node::dir(Origin::Fixup("test")));
        for (path, bytes, mode) in files {
            let path = TreePath::parse(path.as_bytes()).unwrap();
            tree.insert(path, Node::file(*bytes, *mode, Origin::Fixup("test"))).unwrap();
        }
        tree
    }

    #[test]
    fn each_kind_of_change_is_said() {
        let old = tree(&[
            ("same", b"x", 0o644),
            ("gone", b"12345", 0o644),
            ("mode", b"x", 0o644),
            ("text", b"hello", 0o644),
        ]);
        let mut new = tree(&[
            ("same", b"x", 0o644),
            ("new", b"1", 0o644),
            ("mode", b"x", 0o4755),
            ("text", b"help", 0o644),
        ]);
        // Another name of a file is a file with its content.
        let (same, hard) = (TreePath::parse(b"a").unwrap(), TreePath::parse(b"same").unwrap());
        new.insert(same, Node::new(Kind::Hardlink(hard), 0o644, Origin::Fixup("test"))).unwrap();
        let found = compare("/usr", &old, &new).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|c| (c.path.as_str(), c.change, c.old_size, c.new_size, c.what.join(", ")))
            .collect();
        let none = String::new();
        assert_eq!(
            shown,
            [
                ("/usr/a", Change::Added, 0, 1, none.clone()),
                ("/usr/gone", Change::Removed, 5, 0, none.clone()),
                ("/usr/mode", Change::Changed, 1, 1, "mode 0644 → 4755".to_owned()),
                ("/usr/new", Change::Added, 0, 1, none),
                ("/usr/text", Change::Changed, 5, 4, "content".to_owned()),
            ]
        );
        let first = FirstBytes { offset: 3, old: "6c6f".to_owned(), new: "70".to_owned() };
        assert_eq!(found[4].first, Some(first));
        assert!(compare("/usr", &old, &old).unwrap().is_empty());
    }
}
