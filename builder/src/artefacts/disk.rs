//! `disk.raw`: both partition tables, and the files of the ESP.

use formats::fat::Volume;
use formats::gpt::{self, HeaderError, Source, Table};
use formats::tree::{Node, Origin, ReadAt as _, Tree, TreePath};

use super::{Error, Piece};

/// Sectors of our disks.
const SECTOR: u32 = 512;
/// Largest file on an ESP that is read into memory.
const MAX_FILE: u32 = 1 << 30;
/// Directories below each other, and files in all, on an ESP.
const MAX_DEPTH: usize = 8;
const MAX_FILES: usize = 10_000;

/// A disk image.
#[derive(Debug)]
pub struct Disk {
    /// The whole disk.
    pub piece: Piece,
    /// The table that is used: the primary one when that is sound.
    pub table: Table,
    /// What is wrong with the primary table.
    pub primary: Result<Table, HeaderError>,
    /// What is wrong with the backup.
    pub backup: Result<Table, HeaderError>,
}

impl Disk {
    /// Reads both partition tables.
    ///
    /// # Errors
    /// When neither can be used.
    pub fn open(piece: Piece) -> Result<Self, Error> {
        let read = |at: u64, buf: &mut [u8]| piece.read_exact_at(buf, at);
        let table = gpt::read(piece.len, SECTOR, read).map_err(|source| Error::Gpt {
            part: piece.name.clone(),
            backup: piece.len.saturating_sub(u64::from(SECTOR)),
            source,
        })?;
        let copy = |source| gpt::read_copy(source, piece.len, SECTOR, read);
        let (primary, backup) = (copy(Source::Primary), copy(Source::Backup));
        Ok(Self { piece, table, primary, backup })
    }

    /// A partition by its GPT name.
    pub fn partition(&self, label: &str) -> Option<Piece> {
        let found = self.table.partitions.iter().find(|p| p.name == label)?;
        let name = format!("the partition {label} of {}", self.piece.name);
        Some(self.piece.part(name, found.start, found.size))
    }
}

/// The path in a FAT filesystem, where case does not matter, as it is spelt there.
pub fn fat_path(tree: &Tree, path: &str) -> Option<TreePath> {
    let wanted = path.trim_matches('/');
    tree.iter()
        .map(|(path, _)| path)
        .find(|path| path.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()))
        .cloned()
}

/// All files of a FAT32 filesystem, in memory. Short names are in small letters.
///
/// # Errors
/// When it is none, or a damaged one.
pub fn fat_tree(piece: &Piece) -> Result<Tree, Error> {
    let failed = |source| Error::Fat { part: piece.name.clone(), offset: piece.start, source };
    let mut read = |at: u64, buf: &mut [u8]| piece.read_exact_at(buf, at);
    let mut volume = Volume::open(piece.len, &mut read).map_err(failed)?;
    let origin = Origin::Fixup("esp");
    let mut tree = Tree::new(Node::dir(origin.clone()));
    let mut todo = vec![(TreePath::root(), 0)];
    // Files of a damaged one may share clusters: together they are no more than there is.
    let mut left = piece.len;
    while let Some((dir, depth)) = todo.pop() {
        let entries = volume.dir(&dir.to_string()).map_err(failed)?.unwrap_or_default();
        for entry in entries {
            let bad = || failed(formats::fat::ReadError::NotFat("a name that no file can have"));
            let path = dir.join(entry.name.as_bytes()).map_err(|_| bad())?;
            let node = if entry.is_dir {
                todo.push((path.clone(), depth + 1));
                Node::dir(origin.clone())
            } else if entry.len > MAX_FILE || u64::from(entry.len) > left {
                return Err(Error::TooLarge {
                    part: format!("/{path} on {}", piece.name),
                    limit: left.min(MAX_FILE.into()),
                });
            } else {
                left -= u64::from(entry.len);
                Node::file(volume.read(&entry).map_err(failed)?, 0o644, origin.clone())
            };
            if tree.insert(path, node).is_err() || depth > MAX_DEPTH || tree.len() > MAX_FILES {
                return Err(failed(formats::fat::ReadError::NotFat("directories without end")));
            }
        }
    }
    Ok(tree)
}
