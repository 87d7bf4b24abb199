//! Reads an image that may be damaged or hostile, without mounting it.
//!
//! [`Image::open`] looks at the superblock and the owners, [`Image::listing`] at all
//! that is not content; content is unpacked when it is asked for. Nothing the image
//! says is trusted: each range is checked against the table it belongs to, counts are
//! bounded, and the first thing that is wrong is a [`ReadError`] which names the
//! structure and its place. Memory is bounded by the number of names and data blocks,
//! not by what blocks unpack to.
//!
//! Only what [the writer](super) makes is supported in full: version 4.0 with zstd.

mod cache;
mod data;
mod error;
mod inode;
mod meta;
mod superblock;
mod walk;
mod xattr;

pub use error::ReadError;
pub use superblock::Superblock;

use std::sync::Arc;

use crate::tree::{ReadAt, Tree, TreePath};
use meta::{Listed, Table};

/// An image that is open for reading.
#[derive(Debug)]
pub struct Image {
    source: Arc<dyn ReadAt>,
    superblock: Superblock,
    ids: Vec<u32>,
    cache: cache::Cache,
}

/// What is in an image.
#[derive(Debug)]
pub struct Listing {
    /// All files; their content is read from the image when it is asked for.
    pub tree: Tree,
    /// Where content is, sorted by place. Files that share content share a place; the
    /// names of one file count once.
    pub extents: Vec<Extent>,
    /// Files with another time than the image, and that time.
    pub odd_times: Vec<(TreePath, u32)>,
}

/// A place in the image that has content of a file: its blocks, or the fragment with its tail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// First byte in the image.
    pub start: u64,
    /// Stored bytes.
    pub len: u64,
    /// The file.
    pub path: TreePath,
}

impl Image {
    /// Opens an image of `size` bytes; more may follow in the source.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn open(source: Arc<dyn ReadAt>, size: u64) -> Result<Arc<Self>, ReadError> {
        if size < superblock::SIZE as u64 {
            return Err(ReadError::NotSquashfs("it is too short for a superblock"));
        }
        let mut raw = [0; superblock::SIZE];
        let structure = "the superblock";
        source.read_exact_at(&mut raw, 0).map_err(|source| ReadError::Io { structure, offset: 0, source })?;
        let superblock = superblock::parse(&raw, size)?;
        let mut image = Self { source, superblock, ids: Vec::new(), cache: cache::Cache::default() };
        image.ids = image.owners()?;
        Ok(Arc::new(image))
    }

    /// What the superblock says.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Reads everything but the content of files.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn listing(self: &Arc<Self>) -> Result<Listing, ReadError> {
        walk::walk(self)
    }

    /// What the image has at a byte: for messages.
    pub fn place(&self, offset: u64) -> &'static str {
        let at = |address: Option<u64>| address.is_some_and(|address| offset >= address);
        let s = &self.superblock;
        match () {
            () if offset >= s.used => "the padding behind the image",
            () if at(s.xattr_table) => "the table of xattrs",
            () if at(Some(s.id_table)) => "the table of owners or the xattrs",
            () if at(s.export_table) => "the table of inode references or of owners",
            () if at(s.fragment_table) => "the table of fragments or of inode references",
            () if at(Some(s.directory_table)) => "the directory table or the fragments' table",
            () if at(Some(s.inode_table)) => "the inode table",
            () if offset < 96 => "the superblock",
            () => "the data",
        }
    }

    fn owners(&self) -> Result<Vec<u32>, ReadError> {
        let count = u64::from(self.superblock.ids);
        let table = Listed {
            name: "the table of owners",
            list: self.superblock.id_table,
            count,
            entry: 4,
            from: self.superblock.directory_table,
        };
        (0..count).map(|index| table.at(self, index)?.u32()).collect()
    }

    fn inodes(&self) -> Table {
        let Superblock { inode_table: start, directory_table: end, .. } = self.superblock;
        Table { name: "the inode table", start, end }
    }

    fn directories(&self) -> Table {
        let s = &self.superblock;
        let end = s.fragment_table.or(s.export_table).unwrap_or(s.id_table);
        Table { name: "the directory table", start: s.directory_table, end }
    }

    fn fragments(&self) -> Result<Listed, ReadError> {
        let s = &self.superblock;
        let (name, offset) = ("the table of fragments", s.inode_table);
        let why = "a file has a fragment, but the image has no table of them";
        let list =
            s.fragment_table.ok_or(ReadError::Damaged { structure: "the inode table", offset, why })?;
        Ok(Listed { name, list, count: s.fragments.into(), entry: 16, from: s.directory_table })
    }

    fn exports(&self) -> Option<Listed> {
        let s = &self.superblock;
        let name = "the table of inode references";
        let list = s.export_table?;
        Some(Listed { name, list, count: s.inodes.into(), entry: 8, from: s.directory_table })
    }

    /// Bytes of the image proper.
    fn bytes(&self, structure: &'static str, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.superblock.used) {
            return Err(ReadError::Damaged { structure, offset, why: "it leads out of the image" });
        }
        self.source.read_exact_at(buf, offset).map_err(|source| ReadError::Io { structure, offset, source })
    }
}
