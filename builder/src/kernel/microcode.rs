//! CPU microcode for the kernel, before anything else runs.
//!
//! Source: Linux `Documentation/x86/microcode.rst`, "Early load microcode": an uncompressed
//! cpio archive in front of the initramfs has the files of all processors of a vendor, one
//! after the other, as `kernel/x86/microcode/GenuineIntel.bin` and `AuthenticAMD.bin`.
//! Intel's have to lie at a multiple of 16 bytes (Intel SDM volume 3, "Microcode Update
//! Loader"), because the processor reads them where they are; the archive starts at a page.

use std::io;

use formats::cpio;
use formats::tree::{Node, NotADirectory, Origin, PathError, Tree, TreePath};

use super::bytes;

/// Where the archive has them.
pub const DIR: &str = "kernel/x86/microcode";

const INTEL: &str = "kernel/x86/microcode/GenuineIntel.bin";
const AMD: &str = "kernel/x86/microcode/AuthenticAMD.bin";
/// Comes before Intel's in the order of names, and is as long as it takes.
const PADDING: &str = "kernel/x86/microcode/.padding";
const ALIGNMENT: usize = 16;

/// Why no archive could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read /{path} for the microcode")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// It cannot be packed.
    #[error("cannot pack the microcode")]
    Pack(#[from] cpio::Error),
    /// A name that is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Something in the way in a tree of our own.
    #[error(transparent)]
    Place(#[from] NotADirectory),
}

/// The archive's bytes and what is in it; `None` when the image has no microcode.
///
/// # Errors
/// See [`Error`].
pub fn archive(tree: &Tree, mtime: u32) -> Result<Option<(Vec<u8>, Tree)>, Error> {
    let intel = joined(tree, "usr/lib/firmware/intel-ucode", |name| name.split('-').count() == 3)?;
    let amd = joined(tree, "usr/lib/firmware/amd-ucode", |name| {
        name.starts_with("microcode_amd") && name.ends_with(".bin")
    })?;
    if intel.is_none() && amd.is_none() {
        return Ok(None);
    }
    let with = |padding: usize| -> Result<(Vec<u8>, Tree), Error> {
        let mut out = Tree::new(Node::dir(Origin::Fixup("microcode")));
        let padding = Node::file(vec![0; padding], 0o644, Origin::Fixup("microcode"));
        out.insert(TreePath::parse(PADDING.as_bytes())?, padding)?;
        for (path, node) in [(INTEL, &intel), (AMD, &amd)] {
            if let Some(node) = node {
                out.insert(TreePath::parse(path.as_bytes())?, node.clone())?;
            }
        }
        let mut bytes = Vec::new();
        cpio::write(&out, mtime, &mut bytes)?;
        Ok((bytes, out))
    };
    let (bytes, tree) = with(0)?;
    let at = cpio::find(&bytes, INTEL).map_or(0, |(at, _)| at);
    match at % ALIGNMENT {
        0 => Ok(Some((bytes, tree))),
        over => with(ALIGNMENT - over).map(Some),
    }
}

/// All files of a directory in one, in the order of their names.
fn joined(tree: &Tree, dir: &str, wanted: impl Fn(&str) -> bool) -> Result<Option<Node>, Error> {
    let dir = TreePath::parse(dir.as_bytes())?;
    let (mut all, mut origin) = (Vec::new(), None);
    for (path, node) in tree.children(&dir) {
        let name = String::from_utf8_lossy(path.name()).into_owned();
        let Some(content) = bytes::content(tree, path).filter(|_| wanted(&name)) else { continue };
        all.extend(content.to_vec().map_err(|source| Error::Read { path: path.clone(), source })?);
        origin.get_or_insert_with(|| node.origin.clone());
    }
    Ok(origin.map(|origin| Node::file(all, 0o644, origin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const O: Origin = Origin::Fixup("test");

    fn tree(files: &[(&str, usize)]) -> Tree {
        let mut tree = Tree::new(Node::dir(O));
        for (path, len) in files {
            let first = path.as_bytes()[path.len() - 1];
            let node = Node::file(vec![first; *len], 0o644, O);
            tree.insert(TreePath::parse(path.as_bytes()).unwrap(), node).unwrap();
        }
        tree
    }

    #[test]
    fn the_kernel_finds_each_vendors_file_where_the_processor_can_read_it() {
        for amd in [0, 1, 2, 3, 5, 8, 12, 13, 16] {
            let tree = tree(&[
                ("usr/lib/firmware/intel-ucode/06-3f-02", 2048),
                ("usr/lib/firmware/intel-ucode/06-4f-01", 1024),
                ("usr/lib/firmware/intel-ucode/README", 7),
                ("usr/lib/firmware/amd-ucode/microcode_amd_fam17h.bin", amd),
                ("usr/lib/firmware/amd-ucode/microcode_amd_fam17h.bin.asc", 9),
            ]);
            let (bytes, listed) = archive(&tree, 0).unwrap().unwrap();
            let (at, len) = cpio::find(&bytes, INTEL).unwrap();
            assert_eq!((at % ALIGNMENT, len), (0, 3072), "{amd}");
            assert_eq!(bytes[at..at + len], [[b'2'; 1024].as_slice(), &[b'2'; 1024], &[b'1'; 1024]].concat());
            let (at, len) = cpio::find(&bytes, AMD).unwrap();
            assert_eq!(bytes[at..at + len], vec![b'n'; amd]);
            assert!(listed.get(&TreePath::parse(INTEL.as_bytes()).unwrap()).is_some());
            // What follows starts at a multiple of 4, as the kernel wants it.
            assert_eq!((bytes.len() % 512, cpio::prefix(&bytes)), (0, bytes.len()));
            let whole = [bytes.as_slice(), b"\x28\xb5\x2f\xfd"].concat();
            assert_eq!(cpio::prefix(&whole), bytes.len());
            for cut in (0..bytes.len()).step_by(97) {
                let _ = cpio::find(&bytes[..cut], INTEL);
                assert!(cpio::prefix(&bytes[..cut]) <= cut);
            }
        }
    }

    #[test]
    fn an_image_without_microcode_has_no_archive() {
        assert!(archive(&tree(&[("usr/lib/firmware/intel-ucode/README", 7)]), 0).unwrap().is_none());
    }
}
