//! Reads an archive, or several one after another, that may be damaged.

use std::collections::BTreeMap;

use super::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG};
use crate::tree::{Content, Kind, Node, NotADirectory, Origin, Tree, TreePath};

/// Bytes of a header.
pub(super) const HEADER: usize = 110;
/// Files in all archives.
const MAX_NODES: usize = 1 << 20;
/// The kernel's PATH_MAX.
const MAX_NAME: usize = 4096;
/// Bits of `st_mode` that say what a file is.
const S_IFMT: u32 = 0o170_000;
const ORIGIN: Origin = Origin::Fixup("archive");

/// Why an archive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No "newc" header where one must be.
    #[error("cpio: there is no archive of the kind \"newc\" at byte {0}")]
    Magic(
        /// Byte of the unpacked archive.
        usize,
    ),
    /// A structure says something impossible.
    #[error("cpio: {structure} at byte {offset} is damaged: {why}")]
    Damaged {
        /// Which structure.
        structure: &'static str,
        /// Byte of the unpacked archive where it starts.
        offset: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// It ends within a member.
    #[error("cpio: the archive ends at byte {0}, before its trailer: it was cut off")]
    CutOff(
        /// Its length.
        usize,
    ),
    /// More than any archive of ours has.
    #[error("cpio: the archive has more than {0} files")]
    TooMany(
        /// How many are read.
        usize,
    ),
    /// A file is below what is not a directory.
    #[error("cpio: two files are in each other's way")]
    Place(#[from] NotADirectory),
}

/// What is in an archive.
#[derive(Debug)]
pub struct Listing {
    /// All files; directories that an archive leaves out are there, too.
    pub tree: Tree,
    /// Modification times, seconds since 1970.
    pub times: BTreeMap<TreePath, u32>,
}

struct Header {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    mtime: u32,
    size: usize,
    device: (u32, u32),
    rdev: (u32, u32),
    name: usize,
}

/// Reads unpacked archives. A later file replaces an earlier one of its name, as in the kernel.
///
/// # Errors
/// With the first thing that is wrong.
pub fn read(bytes: &[u8]) -> Result<Listing, ReadError> {
    let mut listing = Listing { tree: Tree::new(Node::dir(ORIGIN)), times: BTreeMap::new() };
    let mut names: BTreeMap<(u32, (u32, u32)), TreePath> = BTreeMap::new();
    let (mut at, mut complete) = (0, false);
    while at < bytes.len() {
        // Zeros may be between archives and behind them.
        if complete && bytes[at] == 0 {
            at += 1;
            continue;
        }
        complete = false;
        let header = header(bytes, at)?;
        let cut = || ReadError::CutOff(bytes.len());
        let from = at + HEADER;
        let name = bytes.get(from..from + header.name).ok_or_else(cut)?;
        let data = (from + header.name).next_multiple_of(4);
        let end = data.checked_add(header.size).ok_or_else(cut)?;
        let body = bytes.get(data..end).ok_or_else(cut)?;
        let offset = at;
        let damaged = |why| ReadError::Damaged { structure: "a header", offset, why };
        let Some((0, name)) = name.split_last().map(|(last, name)| (*last, name)) else {
            return Err(damaged("the name does not end"));
        };
        at = end.next_multiple_of(4);
        if name == b"TRAILER!!!" {
            complete = true;
            names.clear();
            continue;
        }
        let path = TreePath::parse(name).map_err(|_| damaged("the name is impossible"))?;
        if listing.tree.len() >= MAX_NODES {
            return Err(ReadError::TooMany(MAX_NODES));
        }
        add(&mut listing, &mut names, path, &header, body, &damaged)?;
    }
    if complete { Ok(listing) } else { Err(ReadError::CutOff(bytes.len())) }
}

fn add(
    listing: &mut Listing,
    names: &mut BTreeMap<(u32, (u32, u32)), TreePath>,
    path: TreePath,
    header: &Header,
    body: &[u8],
    damaged: &dyn Fn(&'static str) -> ReadError,
) -> Result<(), ReadError> {
    let (major, minor) = header.rdev;
    let format = header.mode & S_IFMT;
    if !body.is_empty() && !matches!(format, S_IFREG | S_IFLNK) {
        return Err(damaged("what is neither a file nor a link has content"));
    }
    let kind = match format {
        S_IFDIR => Kind::Dir,
        S_IFLNK => Kind::Symlink(body.to_vec()),
        S_IFCHR => Kind::CharDev { major, minor },
        S_IFBLK => Kind::BlockDev { major, minor },
        S_IFIFO => Kind::Fifo,
        S_IFREG => {
            let content = Kind::File(Content::from_bytes(body));
            match names.get(&(header.ino, header.device)) {
                Some(first) if header.links > 1 && *first != path => {
                    if let Some(node) = listing.tree.get_mut(first)
                        && !body.is_empty()
                    {
                        node.kind = content;
                    }
                    Kind::Hardlink(first.clone())
                }
                _ => {
                    names.insert((header.ino, header.device), path.clone());
                    content
                }
            }
        }
        _ => return Err(damaged("the type of the file is unknown")),
    };
    let mode = u16::try_from(header.mode & 0o7777).map_err(|_| damaged("the mode is impossible"))?;
    let mut node = Node::new(kind, mode, ORIGIN);
    (node.uid, node.gid) = (header.uid, header.gid);
    listing.times.insert(path.clone(), header.mtime);
    if path.is_root() {
        if !node.is_dir() {
            return Err(damaged("the root is no directory"));
        }
        if let Some(root) = listing.tree.get_mut(&path) {
            *root = node;
        }
        return Ok(());
    }
    let is_dir = node.is_dir();
    if listing.tree.get(&path).is_some_and(|old| old.is_dir() != is_dir) {
        listing.tree.remove(&path);
    }
    listing.tree.insert(path, node)?;
    Ok(())
}

fn header(bytes: &[u8], at: usize) -> Result<Header, ReadError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(raw) = rest.get(..HEADER) else {
        return Err(ReadError::CutOff(bytes.len()));
    };
    if raw[..6] != *b"070701" {
        return Err(ReadError::Magic(at));
    }
    let damaged = |why| ReadError::Damaged { structure: "a header", offset: at, why };
    let mut fields = [0_u32; 13];
    for (field, text) in fields.iter_mut().zip(raw[6..].chunks_exact(8)) {
        let text = std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        *field = number.ok_or_else(|| damaged("a number is not one"))?;
    }
    let [ino, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, name, check] = fields;
    let name = usize::try_from(name).ok().filter(|len| (1..=MAX_NAME).contains(len));
    if check != 0 {
        return Err(damaged("it has a checksum, which this kind has not"));
    }
    Ok(Header {
        ino,
        mode,
        uid,
        gid,
        links,
        mtime,
        size: usize::try_from(size).map_err(|_| damaged("the content is too large"))?,
        device: (major, minor),
        rdev: (rmajor, rminor),
        name: name.ok_or_else(|| damaged("the length of the name is impossible"))?,
    })
}
