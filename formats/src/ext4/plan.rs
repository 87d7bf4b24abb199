//! Decides everything: inode numbers, blocks, the bytes of all metadata.

use std::collections::BTreeMap;

use super::alloc::{Allocator, Run};
use super::dir::{self, FileType};
use super::inode::{
    EXTENTS_FL, Inode, JOURNAL, LOST_AND_FOUND, ROOT, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG,
    Seed,
};
use super::layout::{FIRST_INODE, Layout};
use super::write::Block;
use super::{BLOCK_SIZE, Error, Options, extent, journal, resize, xattr};
use crate::tree::{Content, Kind, Node, Tree, TreePath};

/// Most names that one file can have.
const MAX_LINKS: u64 = 65_000;
/// Most blocks that extents can count.
const MAX_FILE_BLOCKS: u64 = u32::MAX as u64;
/// Blocks of `lost+found`: fsck must not need new ones.
const LOST_AND_FOUND_BLOCKS: usize = 4;
const LOST_AND_FOUND_NAME: &[u8] = b"lost+found";

/// The whole filesystem, ready to be written.
pub(super) struct Plan<'a> {
    pub(super) layout: Layout,
    /// In use, in ascending order. The reserved ones without content are not in it.
    pub(super) inodes: Vec<Inode>,
    /// Number of directories and how many of them lie in each group.
    pub(super) dirs: BTreeMap<u32, u32>,
    /// Blocks of metadata that lie among the data.
    pub(super) blocks: Vec<Block>,
    /// Contents of files.
    pub(super) files: Vec<FileData<'a>>,
    /// Blocks below this one are in use.
    pub(super) cursor: u64,
    /// Highest inode in use.
    pub(super) last_inode: u32,
}

/// The content of one file and where it goes.
pub(super) struct FileData<'a> {
    pub(super) path: &'a TreePath,
    pub(super) content: &'a Content,
    pub(super) runs: Vec<Run>,
}

/// A node with its number.
struct Numbered<'a> {
    number: u32,
    path: &'a TreePath,
    node: &'a Node,
}

/// What the tree looks like in inodes.
struct Names<'a> {
    nodes: Vec<Numbered<'a>>,
    /// Names of an inode: how many.
    links: BTreeMap<u32, u64>,
    /// Entries and parent of each directory.
    dirs: BTreeMap<u32, (u32, Vec<dir::Entry<'a>>)>,
    /// Whether `lost+found` is to be made up.
    lost_and_found: bool,
    last: u32,
}

impl<'a> Plan<'a> {
    /// Plans a filesystem that holds the tree.
    pub(super) fn new(tree: &'a Tree, options: &Options) -> Result<Self, Error> {
        check(options)?;
        // Every node an inode and the reserved ones: a little more than is needed.
        let most = tree.len() as u64 + u64::from(FIRST_INODE);
        let layout = Layout::new(options, most)?;
        let names = Names::of(tree)?;
        let mut build = Build {
            alloc: Allocator::new(&layout),
            seed: Seed::of_filesystem(&options.uuid),
            inodes: Vec::new(),
            blocks: Vec::new(),
            files: Vec::new(),
        };
        if let Some((inode, blocks)) = resize::resize_inode(&layout, &mut build.alloc) {
            build.inodes.push(inode);
            build.blocks.extend(blocks);
        }
        if names.lost_and_found {
            build.directory(LOST_AND_FOUND, None, &names)?;
        }
        for node in &names.nodes {
            build.node(node, &names)?;
        }
        if let Some(len) = journal::blocks(options, layout.blocks)? {
            let runs = build.alloc.take(len);
            build.blocks.extend(runs.first().map(|run| journal::superblock(run.start, len, &options.uuid)));
            let mut inode = Inode::plain(JOURNAL, S_IFREG | 0o600, 1);
            build.extents(&mut inode, &runs, len * BLOCK_SIZE);
            build.inodes.push(inode);
        }

        let cursor = build.alloc.cursor();
        if let Some(missing) = cursor.checked_sub(layout.blocks).filter(|n| *n > 0) {
            return Err(Error::TooSmall { size: options.size, missing: missing * BLOCK_SIZE });
        }
        let Build { mut inodes, blocks, files, .. } = build;
        inodes.sort_unstable_by_key(|inode| inode.number);
        let mut dirs = BTreeMap::new();
        for number in names.dirs.keys() {
            *dirs.entry((number - 1) / layout.inodes_per_group).or_insert(0) += 1;
        }
        Ok(Self { layout, inodes, dirs, blocks, files, cursor, last_inode: names.last })
    }
}

fn check(options: &Options) -> Result<(), Error> {
    if options.label.len() > 16 || options.label.contains('\0') {
        return Err(Error::Option {
            option: "label",
            value: format!("{:?}", options.label),
            must_be: "at most 16 bytes long, without NUL",
        });
    }
    if options.reserved_percent > 50 {
        return Err(Error::Option {
            option: "reserved_percent",
            value: options.reserved_percent.to_string(),
            must_be: "0 to 50",
        });
    }
    Ok(())
}

impl<'a> Names<'a> {
    fn of(tree: &'a Tree) -> Result<Self, Error> {
        let mut names = Names {
            nodes: Vec::with_capacity(tree.len()),
            links: BTreeMap::new(),
            dirs: BTreeMap::new(),
            lost_and_found: false,
            last: LOST_AND_FOUND,
        };
        let mut numbers: BTreeMap<&TreePath, u32> = BTreeMap::new();
        for (path, node) in tree.iter() {
            if matches!(node.kind, Kind::Hardlink(_)) {
                continue;
            }
            let number = match path.as_bytes() {
                b"" => ROOT,
                LOST_AND_FOUND_NAME if node.is_dir() => LOST_AND_FOUND,
                LOST_AND_FOUND_NAME => return Err(Error::LostAndFound),
                _ => {
                    // The layout has room for all nodes, so that this cannot overflow.
                    names.last += 1;
                    names.last
                }
            };
            numbers.insert(path, number);
            names.nodes.push(Numbered { number, path, node });
        }
        names.dirs.insert(ROOT, (ROOT, Vec::new()));
        let known = tree.iter().find(|(path, _)| path.as_bytes() == LOST_AND_FOUND_NAME);
        match known {
            Some((_, node)) if !node.is_dir() => return Err(Error::LostAndFound),
            Some(_) => {}
            None => {
                names.lost_and_found = true;
                names.add(ROOT, LOST_AND_FOUND, LOST_AND_FOUND_NAME, FileType::Dir);
            }
        }
        for (path, node) in tree.iter() {
            let Some(parent) = path.parent() else { continue };
            let (number, file_type) = match &node.kind {
                Kind::Hardlink(target) => {
                    let bad = || Error::Hardlink { path: path.to_string(), target: target.to_string() };
                    let file =
                        tree.get(target).and_then(|n| file_type(&n.kind)).filter(|t| *t != FileType::Dir);
                    let number = numbers.get(target).ok_or_else(bad)?;
                    (*number, file.ok_or_else(bad)?)
                }
                kind => (numbers[path], file_type(kind).expect("only hard links have no type of their own")),
            };
            names.add(numbers[&parent], number, path.name(), file_type);
        }
        Ok(names)
    }

    fn add(&mut self, parent: u32, inode: u32, name: &'a [u8], file_type: FileType) {
        if let Some((_, entries)) = self.dirs.get_mut(&parent) {
            entries.push(dir::Entry { inode, name, file_type });
        }
        *self.links.entry(inode).or_default() += 1;
        if file_type == FileType::Dir {
            self.dirs.insert(inode, (parent, Vec::new()));
        }
    }
}

fn file_type(kind: &Kind) -> Option<FileType> {
    Some(match kind {
        Kind::Dir => FileType::Dir,
        Kind::File(_) => FileType::Regular,
        Kind::Symlink(_) => FileType::Symlink,
        Kind::CharDev { .. } => FileType::CharDev,
        Kind::BlockDev { .. } => FileType::BlockDev,
        Kind::Fifo => FileType::Fifo,
        Kind::Hardlink(_) => return None,
    })
}

/// A plan in the making.
struct Build<'a, 'l> {
    alloc: Allocator<'l>,
    seed: Seed,
    inodes: Vec<Inode>,
    blocks: Vec<Block>,
    files: Vec<FileData<'a>>,
}

impl<'a> Build<'a, '_> {
    fn node(&mut self, n: &Numbered<'a>, names: &Names<'a>) -> Result<(), Error> {
        let (path, node) = (n.path, n.node);
        if node.mode > 0o7777 {
            return Err(Error::Mode { path: path.to_string(), mode: node.mode });
        }
        let links = names.links.get(&n.number).copied().unwrap_or(1);
        let links = u16::try_from(links).ok().filter(|n| u64::from(*n) <= MAX_LINKS);
        let links = links.ok_or_else(|| Error::TooManyLinks { path: path.to_string() })?;
        let mut inode = Inode::plain(n.number, node.mode, links);
        match &node.kind {
            Kind::Dir => return self.directory(n.number, Some(n), names),
            Kind::Hardlink(_) => return Ok(()),
            Kind::File(content) => {
                inode.mode |= S_IFREG;
                let len = content.len();
                let blocks = len.div_ceil(BLOCK_SIZE);
                if blocks > MAX_FILE_BLOCKS {
                    return Err(Error::TooLong { path: path.to_string(), len });
                }
                let runs = self.alloc.take(blocks);
                self.extents(&mut inode, &runs, len);
                self.files.push(FileData { path, content, runs });
            }
            Kind::Symlink(target) => {
                inode.mode |= S_IFLNK;
                self.symlink(&mut inode, target, path)?;
            }
            Kind::CharDev { major, minor } => {
                inode.mode |= S_IFCHR;
                inode.i_block = device(*major, *minor, path)?;
            }
            Kind::BlockDev { major, minor } => {
                inode.mode |= S_IFBLK;
                inode.i_block = device(*major, *minor, path)?;
            }
            Kind::Fifo => inode.mode |= S_IFIFO,
        }
        self.finish(inode, Some(n))
    }

    /// A directory; one without a node is the made-up `lost+found`.
    fn directory(&mut self, number: u32, n: Option<&Numbered<'a>>, names: &Names<'a>) -> Result<(), Error> {
        let Some((parent, entries)) = names.dirs.get(&number) else { return Ok(()) };
        let subdirs = entries.iter().filter(|e| e.file_type == FileType::Dir).count() as u64;
        // dir_nlink: 1 stands for more than can be counted.
        let links = u16::try_from(subdirs + 2).ok().filter(|n| u64::from(*n) <= MAX_LINKS).unwrap_or(1);
        let mut inode = Inode::plain(number, S_IFDIR | n.map_or(0o700, |n| n.node.mode), links);
        let min_blocks = if number == LOST_AND_FOUND { LOST_AND_FOUND_BLOCKS } else { 1 };
        let blocks = dir::blocks(number, *parent, entries, min_blocks, self.seed.of_inode(number));
        let size = blocks.len() as u64 * BLOCK_SIZE;
        self.data_blocks(&mut inode, blocks, size);
        self.finish(inode, n)
    }

    fn symlink(&mut self, inode: &mut Inode, target: &[u8], path: &TreePath) -> Result<(), Error> {
        let len = target.len();
        if len == 0 || len as u64 >= BLOCK_SIZE || target.contains(&0) {
            return Err(Error::Symlink { path: path.to_string(), len });
        }
        if len < inode.i_block.len() {
            inode.i_block[..len].copy_from_slice(target);
            inode.size = len as u64;
            return Ok(());
        }
        let mut bytes = target.to_vec();
        bytes.resize(super::BLOCK, 0);
        self.data_blocks(inode, vec![bytes], len as u64);
        Ok(())
    }

    /// Gives an inode these blocks as its data.
    fn data_blocks(&mut self, inode: &mut Inode, data: Vec<Vec<u8>>, size: u64) {
        let runs = self.alloc.take(data.len() as u64);
        self.extents(inode, &runs, size);
        let places = runs.iter().flat_map(|run| run.start..run.start + u64::from(run.len));
        self.blocks.extend(places.zip(data).map(|(block, bytes)| Block { block, bytes }));
    }

    /// Writes down where the data of an inode is.
    fn extents(&mut self, inode: &mut Inode, runs: &[Run], size: u64) {
        let tree = extent::tree(runs, &mut self.alloc, self.seed.of_inode(inode.number));
        inode.flags |= EXTENTS_FL;
        inode.i_block = tree.root;
        inode.size = size;
        inode.blocks = runs.iter().map(|run| u64::from(run.len)).sum::<u64>() + tree.nodes.len() as u64;
        self.blocks.extend(tree.nodes);
    }

    /// Adds what all kinds of nodes have.
    fn finish(&mut self, mut inode: Inode, n: Option<&Numbered<'a>>) -> Result<(), Error> {
        if let Some(n) = n {
            (inode.uid, inode.gid) = (n.node.uid, n.node.gid);
            let attrs = xattr::encode(n.node).map_err(|(name, reason)| Error::Xattr {
                path: n.path.to_string(),
                name: String::from_utf8_lossy(&name).into_owned(),
                reason,
            })?;
            inode.xattrs = attrs.in_inode;
            if let Some(mut bytes) = attrs.block {
                let block = self.alloc.take_one();
                xattr::seal(&mut bytes, block, self.seed);
                self.blocks.push(Block { block, bytes });
                inode.file_acl = block;
                inode.blocks += 1;
            }
        }
        self.inodes.push(inode);
        Ok(())
    }
}

/// Numbers below 256 in the old form, others in the new one.
fn device(major: u32, minor: u32, path: &TreePath) -> Result<[u8; 60], Error> {
    let mut i_block = [0; 60];
    if major < 256 && minor < 256 {
        i_block[..4].copy_from_slice(&((major << 8) | minor).to_le_bytes());
    } else if major < 1 << 12 && minor < 1 << 20 {
        let new = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
        i_block[4..8].copy_from_slice(&new.to_le_bytes());
    } else {
        return Err(Error::Device { path: path.to_string(), major, minor });
    }
    Ok(i_block)
}
