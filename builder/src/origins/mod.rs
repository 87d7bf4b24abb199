//! Who put what into an image, and what it costs: the artefact `files.json.zst`.
//!
//! Every path of /usr and of the initramfs has exactly one owner (a package, a
//! component, an overlay or a fix-up) and a number of bytes. The bytes of one part add
//! up to the size of its artefact exactly; how they are shared out:
//!
//! - **/usr, content**: the stored blocks of a file belong to it. A fragment is shared
//!   among the files whose tails are in it by the length of the tails. The first file in
//!   tree order pays for content that several have; hard links cost nothing.
//! - **/usr, the rest** (inodes, names, tables, padding) is shared among all paths by the
//!   length of their names and [`ENTRY`] bytes each.
//! - **initramfs**: one zstd frame, so the share of a file is that of its plain bytes
//!   ([`ENTRY`] for its header included). This is an approximation.
//!
//! Shares are rounded so that nothing is lost: the share of a path is the difference of
//! two running totals.

mod share;

use std::collections::BTreeMap;

use formats::squashfs::Stats;
use formats::tree::{Kind, Tree, TreePath};
use serde::{Deserialize, Serialize};

use crate::artefacts::Error;
use share::Shares;

/// The name of the artefact.
pub const FILE: &str = "files.json.zst";

/// What an inode and a directory entry take besides the name, roughly.
pub const ENTRY: u64 = 48;

/// zstd level of the artefact: it is small.
const LEVEL: i32 = 9;
/// Bytes of the table that are unpacked at most.
const LIMIT: usize = 256 << 20;

/// Who put what into an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Origins {
    /// Version of this format.
    pub format: u32,
    /// All owners, sorted: `package bash`, `overlay compute`, `fix-up pam`.
    pub owners: Vec<String>,
    /// The files of `usr.squashfs`; paths start below /usr, the root's is empty.
    pub usr: Part,
    /// The files of `initramfs.zst`.
    pub initramfs: Part,
    /// Files of packages that are not in the image.
    #[serde(default)]
    pub left_out: LeftOut,
}

/// Files of packages that are not in an image, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeftOut {
    /// All packages that ship one, sorted.
    pub packages: Vec<String>,
    /// All reasons, sorted.
    pub reasons: Vec<String>,
    /// Path from the root, index of the package, index of the reason; by path.
    pub files: Vec<(String, usize, usize)>,
}

impl LeftOut {
    /// Package and reason of a path that is not in the image; of a directory, of the first
    /// file below it.
    pub fn find(&self, path: &TreePath) -> Option<(&str, &str)> {
        let wanted = text(path);
        let below = format!("{wanted}/");
        let (_, package, reason) = (self.files.iter())
            .find(|(path, ..)| *path == wanted)
            .or_else(|| self.files.iter().find(|(path, ..)| path.starts_with(&below)))?;
        Some((self.packages.get(*package)?, self.reasons.get(*reason)?))
    }
}

/// The files of one artefact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Part {
    /// Size of the artefact in bytes: what the files' add up to.
    pub size: u64,
    /// Path, index of the owner, bytes; sorted as a walk would find them.
    pub files: Vec<(String, usize, u64)>,
}

/// A file's owner and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// `package bash`.
    pub owner: &'a str,
    /// Bytes of the compressed artefact.
    pub bytes: u64,
}

impl Origins {
    /// The table of an image from its trees.
    pub fn new(usr: &Tree, stats: &Stats, initramfs: &Tree, initramfs_size: u64) -> Self {
        let names: std::collections::BTreeSet<String> =
            usr.iter().chain(initramfs.iter()).map(|(_, node)| node.origin.to_string()).collect();
        let owners: Vec<String> = names.into_iter().collect();
        let content: BTreeMap<&TreePath, u64> = stats.files.iter().map(|(path, n)| (path, *n)).collect();
        let weight = |path: &TreePath| ENTRY + path.name().len() as u64;
        let total: u64 = usr.iter().map(|(path, _)| weight(path)).sum();
        let mut shares = Shares::new(stats.metadata, total);
        let files = usr.iter().map(|(path, node)| {
            let bytes = content.get(path).copied().unwrap_or(0) + shares.next(weight(path));
            (text(path), owner(&owners, &node.origin.to_string()), bytes)
        });
        let usr_part = Part { size: stats.bytes, files: files.collect() };

        let plain = |path: &TreePath, kind: &Kind| match kind {
            Kind::File(content) => weight(path) + content.len(),
            _ => weight(path),
        };
        let total: u64 = initramfs.iter().map(|(path, node)| plain(path, &node.kind)).sum();
        let mut shares = Shares::new(initramfs_size, total);
        let files = initramfs.iter().map(|(path, node)| {
            let bytes = shares.next(plain(path, &node.kind));
            (text(path), owner(&owners, &node.origin.to_string()), bytes)
        });
        let initramfs = Part { size: initramfs_size, files: files.collect() };
        Self { format: 1, owners, usr: usr_part, initramfs, left_out: LeftOut::default() }
    }

    /// With files that are not in the image: path, package and reason.
    #[must_use]
    pub fn without<'a>(
        mut self,
        files: impl Iterator<Item = (&'a TreePath, &'a str, &'a str)> + Clone,
    ) -> Self {
        let set = |values: &mut dyn Iterator<Item = &'a str>| -> Vec<String> {
            values.collect::<std::collections::BTreeSet<_>>().into_iter().map(str::to_owned).collect()
        };
        let packages = set(&mut files.clone().map(|(_, package, _)| package));
        let reasons = set(&mut files.clone().map(|(_, _, reason)| reason));
        let mut all: Vec<_> = files
            .map(|(path, package, reason)| (text(path), owner(&packages, package), owner(&reasons, reason)))
            .collect();
        all.sort();
        self.left_out = LeftOut { packages, reasons, files: all };
        self
    }

    /// The artefact: compact JSON, compressed.
    ///
    /// # Errors
    /// When zstd has no memory.
    pub fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        zstd::bulk::compress(&json, LEVEL)
    }

    /// Reads the artefact. `part` names it in messages.
    ///
    /// # Errors
    /// When it does not unpack or is no such table.
    pub fn read(part: &str, packed: &[u8]) -> Result<Self, Error> {
        let json = zstd::bulk::decompress(packed, LIMIT).map_err(|source| Error::Zstd {
            part: part.to_owned(),
            offset: 0,
            source,
        })?;
        let failed = |source| Error::Origins { part: part.to_owned(), source };
        let origins: Self = serde_json::from_slice(&json).map_err(failed)?;
        // Whoever adds them up need not look for overflow.
        for Part { files, .. } in [&origins.usr, &origins.initramfs] {
            if files.iter().map(|(_, _, bytes)| u128::from(*bytes)).sum::<u128>() > u64::MAX.into() {
                return Err(failed(serde::de::Error::custom("the sizes of its files are impossible")));
            }
        }
        Ok(origins)
    }

    /// Bytes by owner of a part.
    pub fn by_owner(&self, part: &Part) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (_, owner, bytes) in &part.files {
            *sums.entry(self.owner(*owner).to_owned()).or_default() += bytes;
        }
        sums
    }

    /// The owner with a number.
    pub fn owner(&self, index: usize) -> &str {
        self.owners.get(index).map_or("nobody", String::as_str)
    }

    /// A path of a part.
    pub fn find<'a>(&'a self, part: &'a Part, path: &TreePath) -> Option<Found<'a>> {
        let wanted = text(path);
        let (_, owner, bytes) = part.files.iter().find(|(path, ..)| *path == wanted)?;
        Some(Found { owner: self.owner(*owner), bytes: *bytes })
    }
}

fn owner(owners: &[String], name: &str) -> usize {
    owners.binary_search_by(|owner| owner.as_str().cmp(name)).unwrap_or(usize::MAX)
}

/// A path as text, whatever its bytes are: those that are not UTF-8 become `\xNN`, and a
/// backslash is doubled.
pub fn text(path: &TreePath) -> String {
    let mut out = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        out += &chunk.valid().replace('\\', "\\\\");
        for byte in chunk.invalid() {
            out += &format!("\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use formats::squashfs::{self, NoCache, Options};
    use formats::tree::{Node, Origin};

    use super::*;

    fn p(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_file_has_one_owner_and_nothing_is_lost() {
        let package = |name: &str| Origin::Package(name.into());
        let mut tree = Tree::new(Node::dir(package("base-files")));
        for (path, bytes, owner) in
            [("bin/a", vec![7; 5000], "a"), ("bin/b", vec![7; 5000], "b"), ("lib/x\\y", vec![1, 2, 3], "b")]
        {
            tree.insert(p(path), Node::file(bytes, 0o644, package(owner))).unwrap();
        }
        tree.insert(p("bin/c"), Node::new(Kind::Hardlink(p("bin/a")), 0o644, Origin::Fixup("link"))).unwrap();
        let mut out = Cursor::new(Vec::new());
        let options = Options { block_size: 4096, level: 1, mtime: 0 };
        let stats = squashfs::write(&tree, &options, &NoCache, &mut out).unwrap();
        let origins = Origins::new(&tree, &stats, &tree, 777);
        for part in [&origins.usr, &origins.initramfs] {
            assert_eq!(part.files.iter().map(|(_, _, bytes)| bytes).sum::<u64>(), part.size);
            assert_eq!(part.files.len(), tree.len());
            assert_eq!(origins.by_owner(part).values().sum::<u64>(), part.size);
        }
        assert_eq!(origins.usr.size, out.get_ref().len() as u64);
        assert_eq!(origins.owners, ["fix-up link", "package a", "package b", "package base-files"]);
        let find = |path: &str| origins.find(&origins.usr, &p(path)).unwrap();
        assert_eq!((find("bin/c").owner, find("lib/x\\y").owner), ("fix-up link", "package b"));
        // The first file with a content pays for it.
        assert!(find("bin/a").bytes > find("bin/b").bytes);
        let packed = origins.to_bytes().unwrap();
        assert_eq!(Origins::read("x", &packed).unwrap(), origins);
        for cut in [0, 3, packed.len() - 1] {
            assert!(Origins::read("x", &packed[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn names_that_are_no_text_stay_apart() {
        let path = |bytes: &[u8]| text(&TreePath::parse(bytes).unwrap());
        assert_eq!(path(b"a\xffb"), "a\\xffb");
        assert_eq!(path(b"a\\xffb"), "a\\\\xffb");
        assert_eq!(path("ő".as_bytes()), "ő");
    }
}
