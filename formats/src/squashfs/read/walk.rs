//! From the root to every file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::data::Reader;
use super::inode::{self, Inode};
use super::meta::Cursor;
use super::{Extent, Image, Listing, ReadError, xattr};
use crate::squashfs::cache::UNCOMPRESSED;
use crate::tree::{Content, Kind, Node, Origin, Tree, TreePath};

/// Names in all directories.
const MAX_NODES: u64 = 1 << 20;
/// The kernel's PATH_MAX.
const MAX_PATH: usize = 4096;
/// Entries of one run in a listing.
const MAX_RUN: u32 = 256;

struct Walk<'i> {
    image: &'i Arc<Image>,
    tree: Tree,
    /// Regular files by their inode's reference: the first name.
    names: BTreeMap<u64, TreePath>,
    /// Directories that were read.
    seen: BTreeSet<u64>,
    /// Inodes by number: their references.
    inodes: BTreeMap<u32, u64>,
    extents: Vec<Extent>,
    odd_times: Vec<(TreePath, u32)>,
    blocks: u64,
    nodes: u64,
}

const ORIGIN: Origin = Origin::Fixup("image");

/// Reads everything but the content of files.
pub(super) fn walk(image: &Arc<Image>) -> Result<Listing, ReadError> {
    let mut walk = Walk {
        image,
        tree: Tree::new(Node::dir(ORIGIN)),
        names: BTreeMap::new(),
        seen: BTreeSet::new(),
        inodes: BTreeMap::new(),
        extents: Vec::new(),
        odd_times: Vec::new(),
        blocks: 0,
        nodes: 1,
    };
    let mut todo = vec![(TreePath::root(), image.superblock.root)];
    while let Some((dir, reference)) = todo.pop() {
        todo.append(&mut walk.directory(&dir, reference)?);
    }
    walk.exports()?;
    let Walk { tree, mut extents, odd_times, .. } = walk;
    extents.sort();
    Ok(Listing { tree, extents, odd_times })
}

impl Walk<'_> {
    /// Adds a directory and what is in it; returns the directories in it.
    fn directory(&mut self, path: &TreePath, reference: u64) -> Result<Vec<(TreePath, u64)>, ReadError> {
        let inode = inode::read(self.image, reference, &mut self.blocks)?;
        let table = self.image.directories();
        let damaged = |why| ReadError::Damaged { structure: "the inode table", offset: table.start, why };
        let inode::Kind::Dir { reference: listing, size } = inode.kind else {
            return Err(damaged("what should be a directory is none"));
        };
        if !self.seen.insert(reference) {
            return Err(damaged("a directory is in several places"));
        }
        self.node(path, &inode, reference, Kind::Dir)?;
        let mut dirs = Vec::new();
        // `.` and `..` count as three bytes.
        let Some(mut left) = size.checked_sub(3).filter(|left| *left > 0) else { return Ok(dirs) };
        let mut at = Cursor::at(self.image, table, listing)?;
        while left > 0 {
            let (count, block, number) = (at.u32()?, at.u32()?, at.u32()?);
            let mut used = 12;
            if count >= MAX_RUN {
                return Err(at.damaged("a run of entries is too long"));
            }
            for _ in 0..=count {
                let (offset, delta) = (at.u16()?, at.array::<2>()?);
                let (kind, len) = (at.u16()?, usize::from(at.u16()?) + 1);
                let name = at.vec(len.min(257))?;
                used += 8 + u32::try_from(name.len()).unwrap_or(u32::MAX);
                let child = self.child(path, &name, &at)?;
                let reference = u64::from(block) << 16 | u64::from(offset);
                let expected = number.wrapping_add_signed(i16::from_le_bytes(delta).into());
                if kind == 1 {
                    dirs.push((child, reference));
                    continue;
                }
                self.other(child, reference, (kind, expected))?;
            }
            left = left
                .checked_sub(used)
                .ok_or_else(|| at.damaged("a run of entries leads out of its directory"))?;
        }
        Ok(dirs)
    }

    fn child(&mut self, dir: &TreePath, name: &[u8], at: &Cursor<'_>) -> Result<TreePath, ReadError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(ReadError::TooMany { what: "files", limit: MAX_NODES });
        }
        let bad = name.contains(&b'/') || matches!(name, b"" | b"." | b"..");
        let path = dir.join(name).ok().filter(|path| !bad && path.as_bytes().len() <= MAX_PATH);
        let path = path.ok_or_else(|| at.damaged("a file has an impossible name"))?;
        if self.tree.get(&path).is_some() {
            return Err(at.damaged("a directory has a name twice"));
        }
        Ok(path)
    }

    /// Adds anything but a directory. `said`: type and number in its directory.
    fn other(&mut self, path: TreePath, reference: u64, said: (u16, u32)) -> Result<(), ReadError> {
        let inode = inode::read(self.image, reference, &mut self.blocks)?;
        let (kind, basic) = match &inode.kind {
            inode::Kind::Dir { .. } => (Kind::Dir, 1),
            inode::Kind::File(_) if self.names.contains_key(&reference) => {
                (Kind::Hardlink(self.names[&reference].clone()), 2)
            }
            inode::Kind::File(file) => {
                self.extents(&path, file)?;
                let reader = Reader { image: Arc::clone(self.image), file: file.clone() };
                self.names.insert(reference, path.clone());
                (Kind::File(Content::from_reader(Arc::new(reader), file.size, None)), 2)
            }
            inode::Kind::Symlink(target) => (Kind::Symlink(target.clone()), 3),
            inode::Kind::Block { major, minor } => (Kind::BlockDev { major: *major, minor: *minor }, 4),
            inode::Kind::Char { major, minor } => (Kind::CharDev { major: *major, minor: *minor }, 5),
            inode::Kind::Fifo => (Kind::Fifo, 6),
        };
        if (basic, inode.number) != said {
            let table = self.image.directories();
            let why = "an entry and its inode disagree on the type or the number";
            return Err(ReadError::Damaged { structure: table.name, offset: table.start, why });
        }
        self.node(&path, &inode, reference, kind)
    }

    fn node(&mut self, path: &TreePath, inode: &Inode, reference: u64, kind: Kind) -> Result<(), ReadError> {
        let table = self.image.inodes();
        if *self.inodes.entry(inode.number).or_insert(reference) != reference {
            let why = "two inodes have one number";
            return Err(ReadError::Damaged { structure: table.name, offset: table.start, why });
        }
        if inode.mtime != self.image.superblock.mtime {
            self.odd_times.push((path.clone(), inode.mtime));
        }
        let mut node = Node::new(kind, inode.mode, ORIGIN);
        (node.uid, node.gid) = (inode.uid, inode.gid);
        if let Some(number) = inode.xattrs {
            node.xattrs = xattr::set(self.image, number)?;
        }
        self.tree.insert(path.clone(), node)?;
        Ok(())
    }

    fn extents(&mut self, path: &TreePath, file: &inode::File) -> Result<(), ReadError> {
        let stored = |size: u32| u64::from(size & (UNCOMPRESSED - 1));
        let len: u64 = file.blocks.iter().map(|size| stored(*size)).sum();
        let end = file.start.checked_add(len).filter(|end| *end <= self.image.superblock.inode_table);
        if len > 0 && end.is_none() {
            let why = "the blocks of a file lie outside of the data";
            return Err(ReadError::Damaged {
                structure: "the inode table",
                offset: self.image.inodes().start,
                why,
            });
        }
        if len > 0 {
            self.extents.push(Extent { start: file.start, len, path: path.clone() });
        }
        if let Some((fragment, _)) = file.tail {
            let (start, size) = self.image.fragment_entry(fragment)?;
            self.extents.push(Extent { start, len: stored(size), path: path.clone() });
        }
        Ok(())
    }

    /// The table of references by number says what the directories say.
    fn exports(&self) -> Result<(), ReadError> {
        let Some(table) = self.image.exports() else { return Ok(()) };
        for (number, reference) in &self.inodes {
            let mut at = table.at(self.image, u64::from(*number) - 1)?;
            if at.u64()? != *reference {
                return Err(at.damaged("a reference in it and the directories disagree"));
            }
        }
        Ok(())
    }
}
