//! The whole image: content, then inodes and directories, then the tables.

use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom, Write};

use super::data::{self, Placed};
use super::inode::{File, Inode, basic_type};
use super::meta::{Position, Writer, append_table};
use super::plan::{Plan, Progress};
use super::superblock::{self, Superblock};
use super::xattr::Sets;
use super::{BlockCache, Error, Stats, dir};
use crate::tree::Kind;

/// An image is padded to this, the block size of dm-verity and of the devices
/// it is put on.
const ALIGNMENT: u64 = 4096;

pub(super) fn write(
    plan: &Plan<'_>,
    out: &mut (impl Write + Seek),
    cache: &dyn BlockCache,
    progress: &Progress<'_>,
) -> Result<Stats, Error> {
    let base = out.stream_position().map_err(Error::Write)?;
    out.write_all(&[0; superblock::SIZE]).map_err(Error::Write)?;
    let placed = data::write(plan, superblock::SIZE as u64, out, cache, progress)?;

    let mut nodes = Nodes::new(plan, &placed)?;
    let root = nodes.write()?;
    let start = placed.end;
    let mut meta = nodes.inodes.finish()?.0;
    let directory_table = start + meta.len() as u64;
    meta.extend(nodes.dirs.finish()?.0);
    let fragment_table = append_table(&mut meta, start, &fragments(&placed))?;
    let export_table = append_table(&mut meta, start, &exports(plan, &nodes.position))?;
    let ids: Vec<u8> = nodes.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let id_table = append_table(&mut meta, start, &ids)?;
    let xattr_table = nodes.xattrs.append(&mut meta, start)?;

    let used = start + meta.len() as u64;
    let bytes = used.next_multiple_of(ALIGNMENT);
    let padding = usize::try_from(bytes - used).expect("below 4096");
    meta.resize(meta.len() + padding, 0);
    out.write_all(&meta).map_err(Error::Write)?;

    let too_many = |what, limit| move |_| Error::TooMany { what, limit };
    let superblock = Superblock {
        inodes: plan.graph.inodes,
        fragments: u32::try_from(placed.fragments.len()).map_err(too_many("fragments", u32::MAX.into()))?,
        ids: u16::try_from(nodes.ids.len()).map_err(too_many("different owners", u16::MAX.into()))?,
        root: root.reference(),
        used,
        inode_table: start,
        directory_table,
        fragment_table,
        export_table,
        id_table,
        xattr_table,
    };
    out.seek(SeekFrom::Start(base)).map_err(Error::Write)?;
    out.write_all(&superblock.encode(&plan.options)).map_err(Error::Write)?;
    out.seek(SeekFrom::Start(base + bytes)).map_err(Error::Write)?;
    Ok(Stats::new(plan, &placed, bytes))
}

/// `squashfs_fragment_entry`s.
fn fragments(placed: &Placed) -> Vec<u8> {
    let mut out = Vec::with_capacity(placed.fragments.len() * 16);
    for (start, size) in &placed.fragments {
        out.extend(start.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend([0; 4]);
    }
    out
}

/// Inode references by inode number, for NFS and for file handles.
fn exports(plan: &Plan<'_>, position: &[Position]) -> Vec<u8> {
    let mut by_number: Vec<(u32, u64)> = (plan.graph.number.iter().zip(position))
        .filter(|(number, _)| **number != 0)
        .map(|(number, position)| (*number, position.reference()))
        .collect();
    by_number.sort_unstable();
    by_number.iter().flat_map(|(_, reference)| reference.to_le_bytes()).collect()
}

/// Writes inodes and listings.
struct Nodes<'p, 't> {
    plan: &'p Plan<'t>,
    placed: &'p Placed,
    /// All owners and groups, sorted.
    ids: Vec<u32>,
    xattrs: Sets<'t>,
    inodes: Writer,
    dirs: Writer,
    /// By node: where its inode is, once written.
    position: Vec<Position>,
    written: Vec<bool>,
    /// By node: the listing of a directory, once written.
    listings: Vec<Option<dir::Listing>>,
}

impl<'p, 't> Nodes<'p, 't> {
    fn new(plan: &'p Plan<'t>, placed: &'p Placed) -> Result<Self, Error> {
        let count = plan.graph.nodes.len();
        let ids: BTreeSet<u32> = plan.graph.nodes.iter().flat_map(|(_, node)| [node.uid, node.gid]).collect();
        if ids.len() > usize::from(u16::MAX) {
            return Err(Error::TooMany { what: "different owners", limit: u16::MAX.into() });
        }
        Ok(Self {
            plan,
            placed,
            ids: ids.into_iter().collect(),
            xattrs: Sets::default(),
            inodes: Writer::new()?,
            dirs: Writer::new()?,
            position: vec![Position::default(); count],
            written: vec![false; count],
            listings: (0..count).map(|_| None).collect(),
        })
    }

    /// Returns where the root's inode is.
    fn write(&mut self) -> Result<Position, Error> {
        let graph = &self.plan.graph;
        for dir in graph.directories() {
            let mut entries = Vec::with_capacity(graph.children[dir].len());
            for child in &graph.children[dir] {
                let owner = graph.owner[*child];
                self.write_inode(owner)?;
                entries.push(dir::Entry {
                    name: graph.nodes[*child].0.name(),
                    inode: self.position[owner],
                    number: graph.number[owner],
                    kind: basic_type(&graph.nodes[owner].1.kind),
                });
            }
            self.listings[dir] = Some(dir::write(&mut self.dirs, &entries)?);
        }
        self.write_inode(0)?;
        Ok(self.position[0])
    }

    /// Writes a node's inode unless it has been met under another name.
    fn write_inode(&mut self, i: usize) -> Result<(), Error> {
        if std::mem::replace(&mut self.written[i], true) {
            return Ok(());
        }
        let graph = &self.plan.graph;
        let (path, node) = graph.nodes[i];
        let inode = Inode {
            mode: node.mode & 0o7777,
            uid: self.id(node.uid),
            gid: self.id(node.gid),
            mtime: self.plan.options.mtime,
            number: graph.number[i],
            links: graph.links[i],
            xattrs: self.xattrs.id(path, node)?,
        };
        let bytes = match &node.kind {
            Kind::Dir => {
                let listing = self.listings[i].as_ref().expect("listings are written before their inode");
                let parent = if i == 0 { graph.inodes + 1 } else { graph.number[graph.parent[i]] };
                inode.dir(listing, parent)?
            }
            Kind::File(content) => inode.file(&self.file(i, content.len())),
            other => inode.other(path, other)?,
        };
        self.position[i] = self.inodes.position()?;
        self.inodes.write(&bytes)
    }

    fn id(&self, id: u32) -> u16 {
        let at = self.ids.binary_search(&id).expect("all ids were collected");
        u16::try_from(at).expect("the number of ids was checked")
    }

    fn file(&self, i: usize, size: u64) -> File<'p> {
        let Some(number) = self.plan.item[i] else { return File::default() };
        let item = &self.plan.items[number];
        let blocks = self.placed.sizes[number].as_slice();
        let holes = blocks.iter().filter(|size| **size == 0).count() as u64;
        // Their number is checked against the superblock's field in the end.
        let fragment = u32::try_from(item.fragment).unwrap_or(u32::MAX);
        File {
            size,
            start: self.placed.start[number],
            blocks,
            tail: (item.tail > 0).then_some((fragment, item.offset)),
            sparse: holes * u64::from(self.plan.options.block_size),
        }
    }
}
