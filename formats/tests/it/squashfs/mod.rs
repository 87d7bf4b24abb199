//! Images judged by `unsquashfs`.
#![cfg(feature = "write")]

mod judge;

mod cache;
mod content;
mod errors;
mod kinds;
mod random;
mod read;

use std::collections::BTreeMap;
use std::io::Cursor;

use formats::squashfs::{self, BlockCache, Error, NoCache, Options, Stats};
use formats::tree::{Kind, Node, Origin, Tree, TreePath};

const OPTIONS: Options = Options { block_size: 4096, level: 3, mtime: 1_700_000_000 };

fn path(s: &str) -> TreePath {
    TreePath::parse(s.as_bytes()).unwrap()
}

fn package(name: &str) -> Origin {
    Origin::Package(name.into())
}

/// A tree of package `a`.
fn tree(nodes: impl IntoIterator<Item = (&'static str, Node)>) -> Tree {
    let mut tree = Tree::new(Node::dir(package("a")));
    for (at, node) in nodes {
        tree.insert(path(at), node).unwrap();
    }
    tree
}

fn file(bytes: impl Into<Vec<u8>>) -> Node {
    Node::file(bytes.into(), 0o644, package("a"))
}

fn node(kind: Kind) -> Node {
    Node::new(kind, 0o600, package("a"))
}

fn xattrs(pairs: &[(&str, &[u8])]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
}

/// Bytes zstd cannot make shorter, the same for the same seed.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes());
    }
    out.truncate(len);
    out
}

/// Bytes zstd makes shorter.
fn text(len: usize, seed: u64) -> Vec<u8> {
    noise(len, seed).iter().map(|byte| b"etaoinshrdlu \n\t."[usize::from(byte >> 4)]).collect()
}

fn write(tree: &Tree, options: &Options, cache: &dyn BlockCache) -> Result<(Vec<u8>, Stats), Error> {
    let mut out = Cursor::new(Vec::new());
    let stats = squashfs::write(tree, options, cache, &mut out)?;
    assert_eq!(stats.bytes, out.position(), "the image ends where it says");
    assert_eq!(stats.bytes, out.get_ref().len() as u64);
    assert_eq!(stats.bytes % 4096, 0);
    let files: u64 = stats.files.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(files + stats.metadata, stats.bytes, "what files cost adds up");
    Ok((out.into_inner(), stats))
}

fn image(tree: &Tree, options: &Options) -> (Vec<u8>, Stats) {
    write(tree, options, &NoCache).unwrap()
}
