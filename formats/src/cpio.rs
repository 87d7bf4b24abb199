//! The initramfs archive: cpio "newc" from a [`Tree`] and back, and its zstd compression.
//!
//! Format: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.
//! Every header is 110 bytes of ASCII: the magic `070701` and 13 fields of 8
//! hexadecimal digits. Names and contents are padded to 4 bytes, the archive to
//! 512. A file with several names is stored once, with the last of them, which
//! is what both GNU cpio and the kernel expect.
//!
//! Inode numbers are those of a sorted walk and every node carries the same
//! modification time, so equal trees give equal bytes.

mod plain;
mod read;

pub use plain::{find, prefix};
pub use read::{Listing, ReadError, read};

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use crate::tree::{Content, Kind, Node, Tree, TreePath};

/// Why a tree cannot become an archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An extended attribute, which newc has no place for. Dropping it could
    /// drop a file capability without a word.
    #[error(
        "/{0} has extended attributes, which a cpio archive cannot hold; remove them from the node first"
    )]
    Xattr(TreePath),
    /// A number that does not fit its 32-bit field.
    #[error("/{path}: the {what} does not fit the 32 bits a cpio archive has for it")]
    TooLarge {
        /// The node.
        path: TreePath,
        /// Which number.
        what: &'static str,
    },
    /// A hard link to something that is not a regular file of the tree.
    #[error("/{link} is a hard link to /{target}, which is no regular file of this tree")]
    DanglingHardlink {
        /// The link.
        link: TreePath,
        /// What it names.
        target: TreePath,
    },
    /// The bytes of a file could not be read.
    #[error("cannot read the content of /{path}")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
}

/// File type bits of `st_mode`.
const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// One header, in the order of its fields, without the checksum and the name size.
struct Header {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    rdev: (u32, u32),
}

/// Appends the whole tree as a newc archive, the root as `.`. `mtime` is in
/// seconds since 1970 and goes to every node. What `out` has already, another
/// archive perhaps, is padded to 4 bytes first, as the kernel wants it.
///
/// # Errors
/// See [`Error`]; `out` then has part of an archive at its end.
pub fn write(tree: &Tree, mtime: u32, out: &mut Vec<u8>) -> Result<(), Error> {
    let links = Links::of(tree)?;
    pad(out, 4);
    let mut inodes: BTreeMap<&TreePath, u32> = BTreeMap::new();
    let mut next_ino = 1;
    for (path, node) in tree.iter() {
        if !node.xattrs.is_empty() {
            return Err(Error::Xattr(path.clone()));
        }
        let file = if let Kind::Hardlink(target) = &node.kind { target } else { path };
        let ino = *inodes.entry(file).or_insert_with(|| {
            next_ino += 1;
            next_ino - 1
        });
        let (format, rdev) = match node.kind {
            Kind::Dir => (S_IFDIR, (0, 0)),
            Kind::File(_) | Kind::Hardlink(_) => (S_IFREG, (0, 0)),
            Kind::Symlink(_) => (S_IFLNK, (0, 0)),
            Kind::CharDev { major, minor } => (S_IFCHR, (major, minor)),
            Kind::BlockDev { major, minor } => (S_IFBLK, (major, minor)),
            Kind::Fifo => (S_IFIFO, (0, 0)),
        };
        // A file with several names has one set of attributes: the file's own.
        let attributes = tree.get(file).unwrap_or(node);
        let body = body(tree, &links, path, node)?;
        let header = Header {
            ino,
            mode: format | u32::from(attributes.mode),
            uid: attributes.uid,
            gid: attributes.gid,
            nlink: links.count(tree, path, node),
            mtime,
            size: u32::try_from(body.len())
                .map_err(|_| Error::TooLarge { path: path.clone(), what: "size of the content" })?,
            rdev,
        };
        let name = if path.is_root() { b"." } else { path.as_bytes() };
        entry(out, &header, name);
        out.extend_from_slice(&body);
        pad(out, 4);
    }
    let trailer = Header { ino: 0, mode: 0, uid: 0, gid: 0, nlink: 1, mtime: 0, size: 0, rdev: (0, 0) };
    entry(out, &trailer, b"TRAILER!!!");
    pad(out, 512);
    Ok(())
}

/// Which names a regular file has, beside its own.
struct Links<'a> {
    /// File → the last of its names and how many there are. Only files with more than one.
    names: BTreeMap<&'a TreePath, (&'a TreePath, u32)>,
}

impl<'a> Links<'a> {
    fn of(tree: &'a Tree) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        for (link, node) in tree.iter() {
            let Kind::Hardlink(target) = &node.kind else { continue };
            match tree.get(target).map(|n| &n.kind) {
                Some(Kind::File(_)) => {}
                _ => return Err(Error::DanglingHardlink { link: link.clone(), target: target.clone() }),
            }
            let (last, count) = names.entry(target).or_insert((target, 1));
            *last = (*last).max(link);
            *count += 1;
        }
        Ok(Self { names })
    }

    fn count(&self, tree: &Tree, path: &TreePath, node: &Node) -> u32 {
        match &node.kind {
            Kind::Dir => {
                let dirs = tree.children(path).filter(|(_, n)| n.is_dir()).count();
                2 + u32::try_from(dirs).unwrap_or(u32::MAX - 2)
            }
            Kind::Hardlink(target) => self.names.get(target).map_or(1, |(_, n)| *n),
            _ => self.names.get(path).map_or(1, |(_, n)| *n),
        }
    }
}

/// What follows the header of a node.
fn body(tree: &Tree, links: &Links<'_>, path: &TreePath, node: &Node) -> Result<Vec<u8>, Error> {
    let read = |content: &Content| {
        if u32::try_from(content.len()).is_err() {
            return Err(Error::TooLarge { path: path.clone(), what: "size of the content" });
        }
        content.to_vec().map_err(|source| Error::Read { path: path.clone(), source })
    };
    let file = match &node.kind {
        Kind::Symlink(target) => return Ok(target.clone()),
        Kind::File(_) => path,
        Kind::Hardlink(target) => target,
        _ => return Ok(Vec::new()),
    };
    if links.names.get(file).is_some_and(|(last, _)| *last != path) {
        return Ok(Vec::new());
    }
    match tree.get(file).map(|n| &n.kind) {
        Some(Kind::File(content)) => read(content),
        _ => Err(Error::DanglingHardlink { link: path.clone(), target: file.clone() }),
    }
}

fn entry(out: &mut Vec<u8>, h: &Header, name: &[u8]) {
    // Path components are at most 255 bytes; a path near 4 GiB cannot be in memory here.
    let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
    let (major, minor) = h.rdev;
    let fields = [
        h.ino, h.mode, h.uid, h.gid, h.nlink, h.mtime, h.size, 0, 0, major, minor, name_size,
        0, // the checksum, of the "crc" variant only
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name);
    out.push(0);
    pad(out, 4);
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

/// log2 of the match window. The kernel unpacks with at most 27 (128 MiB) and
/// allocates the window while it does; 8 MiB costs an initramfs of our size
/// about 1 % in ratio.
const WINDOW_LOG: u32 = 23;

/// Compresses an archive as one zstd frame that the kernel's decompressor
/// accepts: on this thread alone, with the content size and a checksum, which
/// turns a download that broke on the way into a clear message of the kernel.
/// `level` is 1..=22. `go_on` is asked every 256 KiB, which take a tenth of a
/// second at the highest level.
///
/// # Errors
/// When zstd refuses the parameters or runs out of memory; of the kind
/// [`io::ErrorKind::Interrupted`] when `go_on` says no.
pub fn compress(archive: &[u8], level: i32, go_on: &dyn Fn() -> bool) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(u64::try_from(archive.len()).ok())?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.include_contentsize(true)?;
    encoder.include_checksum(true)?;
    for piece in archive.chunks(256 << 10) {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        encoder.write_all(piece)?;
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    const O: Origin = Origin::Fixup("test");

    fn p(s: &str) -> TreePath {
        TreePath::parse(s.as_bytes()).unwrap()
    }

    #[test]
    fn extended_attributes_are_refused() {
        let mut t = Tree::new(Node::dir(O));
        let mut ping = Node::file(*b"x", 0o755, O);
        ping.xattrs.insert(b"security.capability".to_vec(), vec![1]);
        t.insert(p("bin/ping"), ping).unwrap();
        assert!(matches!(write(&t, 0, &mut Vec::new()), Err(Error::Xattr(at)) if at == p("bin/ping")));
    }

    #[test]
    fn a_dangling_hard_link_is_refused() {
        let mut t = Tree::new(Node::dir(O));
        t.insert(p("l"), Node::new(Kind::Hardlink(p("gone")), 0o644, O)).unwrap();
        assert!(matches!(write(&t, 0, &mut Vec::new()), Err(Error::DanglingHardlink { .. })));
    }

    #[test]
    fn the_window_is_bounded_at_every_level() {
        // Larger than the window, so that the frame has to say how large the window is.
        let bytes = vec![0; 20 << 20];
        for level in [1, 19, 22] {
            let packed = compress(&bytes, level, &|| true).unwrap();
            // RFC 8878, 3.1.1.1: descriptor, then the window: exponent in the upper five bits.
            assert_eq!(packed[4] & 0b0010_0100, 0b0000_0100, "checksum, not a single segment");
            let exponent = u32::from(packed[5] >> 3) + 10;
            assert!(exponent <= WINDOW_LOG, "level {level}: 2^{exponent}");
        }
    }
}
