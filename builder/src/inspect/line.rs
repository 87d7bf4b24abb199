//! One file of a listing.

use std::fmt;

use formats::tree::{Content, Kind, Node, Tree, TreePath};
use serde::Serialize;

use crate::origins;

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// Its path.
    pub path: String,
    /// `file`, `directory`, `link`, `hard-link`, `char-device`, `block-device`, `pipe`.
    pub kind: &'static str,
    /// Permission bits, octal: `4755`.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length of a file in bytes; 0 for anything else.
    pub size: u64,
    /// What a link leads to, or the number of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Names of extended attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<String>,
    #[serde(skip)]
    bits: u16,
}

impl Line {
    /// A node below `top`.
    pub fn new(top: &str, path: &TreePath, node: &Node) -> Self {
        let (kind, size, target) = match &node.kind {
            Kind::Dir => ("directory", 0, None),
            Kind::File(content) => ("file", content.len(), None),
            Kind::Symlink(to) => ("link", 0, Some(String::from_utf8_lossy(to).into_owned())),
            Kind::Hardlink(to) => ("hard-link", 0, Some(format!("{top}/{}", origins::text(to)))),
            Kind::CharDev { major, minor } => ("char-device", 0, Some(format!("{major}:{minor}"))),
            Kind::BlockDev { major, minor } => ("block-device", 0, Some(format!("{major}:{minor}"))),
            Kind::Fifo => ("pipe", 0, None),
        };
        Self {
            path: format!("{top}/{}", origins::text(path)).trim_end_matches('/').to_owned(),
            kind,
            mode: format!("{:04o}", node.mode),
            uid: node.uid,
            gid: node.gid,
            size,
            target,
            xattrs: node.xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
            bits: node.mode,
        }
    }
}

/// As `ls -l` shows it.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            "directory" => 'd',
            "link" => 'l',
            "char-device" => 'c',
            "block-device" => 'b',
            "pipe" => 'p',
            _ => '-',
        };
        let mut mode = String::from(kind);
        for (shift, special, with, without) in
            [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
        {
            let bits = self.bits >> shift;
            mode.push(if bits & 4 != 0 { 'r' } else { '-' });
            mode.push(if bits & 2 != 0 { 'w' } else { '-' });
            mode.push(match (bits & 1 != 0, self.bits & special != 0) {
                (true, true) => with,
                (false, true) => without,
                (true, false) => 'x',
                (false, false) => '-',
            });
        }
        let owner = format!("{}:{}", self.uid, self.gid);
        write!(f, "{mode} {owner:>11} {:>11} {}", self.size, self.path)?;
        if let Some(target) = &self.target {
            write!(f, " -> {target}")?;
        }
        if !self.xattrs.is_empty() {
            write!(f, "  [{}]", self.xattrs.join(" "))?;
        }
        Ok(())
    }
}

/// Several files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Lines(
    /// In the order of a walk.
    pub Vec<Line>,
);

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The content behind a regular file or one of its hard links.
pub fn content<'t>(tree: &'t Tree, path: &TreePath) -> Option<&'t Content> {
    match &tree.get(path)?.kind {
        Kind::File(content) => Some(content),
        Kind::Hardlink(to) => match &tree.get(to)?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        },
        _ => None,
    }
}
