//! Decides everything: clusters, names, the bytes of all directories.

use std::collections::BTreeMap;

use super::dir::{self, ENTRY_SIZE, Stamp, Target};
use super::geometry::Geometry;
use super::name::{Name, ShortName, is_short_character, short_names};
use super::{Error, NameReason, Options};
use crate::tree::{Content, Kind, Tree, TreePath};

/// The first cluster, where the root directory starts.
pub(super) const ROOT_CLUSTER: u32 = 2;
const MAX_ENTRIES: usize = 65_536;

/// The whole filesystem, ready to be written.
pub(super) struct Plan<'a> {
    pub(super) geometry: Geometry,
    /// The label padded with spaces; `None` when there is none.
    pub(super) label: Option<ShortName>,
    /// Consecutive clusters and what is in them, in ascending order without gaps.
    pub(super) chains: Vec<Chain<'a>>,
    /// Clusters in use.
    pub(super) used: u32,
}

/// A file or a directory: always in one piece.
pub(super) struct Chain<'a> {
    pub(super) first: u32,
    pub(super) clusters: u32,
    pub(super) data: Data<'a>,
}

/// What is in a chain of clusters.
pub(super) enum Data<'a> {
    /// Directory entries.
    Dir(Vec<u8>),
    /// The content of a file.
    File(&'a TreePath, &'a Content),
}

/// One name in a directory.
struct Entry<'a> {
    path: &'a TreePath,
    name: Name<'a>,
    /// The content of a file, `None` for a directory.
    content: Option<&'a Content>,
}

/// Clusters are handed out one after the other; past the end, too.
struct Cursor {
    next: u64,
    cluster_size: u64,
}

impl Cursor {
    /// First cluster and number of clusters for so many bytes.
    fn take(&mut self, bytes: u64) -> (u64, u64) {
        let clusters = bytes.div_ceil(self.cluster_size);
        let first = self.next;
        self.next += clusters;
        (first, clusters)
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(tree: &'a Tree, options: &Options) -> Result<Self, Error> {
        let geometry = Geometry::new(options.size, options.sector_size)?;
        let label = label(&options.label)?;
        let stamp = Stamp::new(options.mtime);
        let dirs = directories(tree)?;

        // Where everything starts: a directory, then its files, in tree order.
        let mut cursor = Cursor { next: ROOT_CLUSTER.into(), cluster_size: geometry.cluster_size() };
        let mut places: BTreeMap<&TreePath, (u64, u64)> = BTreeMap::new();
        let mut shorts = BTreeMap::new();
        for (path, entries) in &dirs {
            let names = short_names(entries).map_err(|i| no_short_name(entries[i].path))?;
            let count = entry_count(path, entries, &names, label.is_some());
            if count > MAX_ENTRIES {
                return Err(Error::DirectoryTooLong { path: path.to_string(), entries: count });
            }
            places.insert(path, cursor.take((count.max(1) * ENTRY_SIZE) as u64));
            shorts.insert(*path, names);
            for entry in entries {
                if let Some(content) = entry.content {
                    places.insert(entry.path, cursor.take(content.len()));
                }
            }
        }
        let used = cursor.next - u64::from(ROOT_CLUSTER);
        if used > u64::from(geometry.clusters) {
            let missing = (used - u64::from(geometry.clusters)) * geometry.cluster_size();
            return Err(Error::TooSmall { size: options.size, missing });
        }
        let narrow = |n: u64| u32::try_from(n).expect("within the clusters of the filesystem");
        let place = |path: &TreePath| places.get(path).map_or((0, 0), |(a, n)| (narrow(*a), narrow(*n)));

        let mut chains = Vec::new();
        for (path, entries) in &dirs {
            let (first, clusters) = place(path);
            let parent = path.parent().filter(|p| !p.is_root()).map_or(0, |p| place(&p).0);
            let mut bytes = Vec::new();
            if !path.is_root() {
                bytes.extend(dir::entry(b".          ", Target::Dir(first), stamp));
                bytes.extend(dir::entry(b"..         ", Target::Dir(parent), stamp));
            } else if let Some(label) = &label {
                bytes.extend(dir::entry(label, Target::Label, stamp));
            }
            for (entry, short) in entries.iter().zip(&shorts[path]) {
                if !entry.name.is_short(short) {
                    bytes.extend(dir::long_name(&entry.name.units(), short));
                }
                let (start, clusters) = place(entry.path);
                let target = match entry.content {
                    None => Target::Dir(start),
                    Some(content) => {
                        let len = u32::try_from(content.len()).expect("checked when the name was read");
                        Target::File(if clusters == 0 { 0 } else { start }, len)
                    }
                };
                bytes.extend(dir::entry(short, target, stamp));
            }
            chains.push(Chain { first, clusters, data: Data::Dir(bytes) });
            for entry in entries {
                let Some(content) = entry.content.filter(|c| !c.is_empty()) else { continue };
                let (first, clusters) = place(entry.path);
                chains.push(Chain { first, clusters, data: Data::File(entry.path, content) });
            }
        }
        Ok(Self { geometry, label, chains, used: narrow(used) })
    }
}

/// The directories in tree order, each with its checked entries.
fn directories(tree: &Tree) -> Result<BTreeMap<&TreePath, Vec<Entry<'_>>>, Error> {
    let mut dirs: BTreeMap<&TreePath, Vec<Entry<'_>>> = BTreeMap::new();
    let mut seen: BTreeMap<(TreePath, String), &TreePath> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let content = match &node.kind {
            Kind::Dir => {
                dirs.insert(path, Vec::new());
                None
            }
            Kind::File(content) => Some(content),
            Kind::Hardlink(target) => match tree.get(target).map(|n| &n.kind) {
                Some(Kind::File(content)) => Some(content),
                _ => return Err(Error::Hardlink { path: path.to_string(), target: target.to_string() }),
            },
            other => return Err(Error::Kind { path: path.to_string(), kind: kind_name(other) }),
        };
        let Some(parent) = path.parent() else { continue };
        let bad = |reason| Error::Name { path: path.to_string(), reason };
        let name = Name::new(path.name()).map_err(bad)?;
        if let Some(content) = content.filter(|c| u32::try_from(c.len()).is_err()) {
            return Err(Error::FileTooLong { path: path.to_string(), len: content.len() });
        }
        if let Some(first) = seen.insert((parent.clone(), name.folded()), path) {
            return Err(Error::CaseCollision { first: first.to_string(), second: path.to_string() });
        }
        if let Some(entries) = dirs.get_mut(&parent) {
            entries.push(Entry { path, name, content });
        }
    }
    Ok(dirs)
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Dir => "directory",
        Kind::File(_) => "file",
        Kind::Hardlink(_) => "hard link",
        Kind::Symlink(_) => "symbolic link",
        Kind::CharDev { .. } => "character device",
        Kind::BlockDev { .. } => "block device",
        Kind::Fifo => "named pipe",
    }
}

fn no_short_name(path: &TreePath) -> Error {
    Error::Name { path: path.to_string(), reason: NameReason::NoShortName }
}

/// Entries in a directory: dots or label, then every name.
fn entry_count(path: &TreePath, entries: &[Entry<'_>], shorts: &[ShortName], label: bool) -> usize {
    let own = if path.is_root() { usize::from(label) } else { 2 };
    let names = entries.iter().zip(shorts).map(|(entry, short)| {
        1 + if entry.name.is_short(short) { 0 } else { dir::long_entries(&entry.name.units()) }
    });
    own + names.sum::<usize>()
}

fn label(label: &str) -> Result<Option<ShortName>, Error> {
    let upper = label.to_ascii_uppercase();
    let fine = |b: u8| is_short_character(b) || b == b' ';
    if upper.len() > 11 || !upper.bytes().all(fine) || upper.starts_with(' ') {
        return Err(Error::Label { label: label.to_owned() });
    }
    let mut padded = [b' '; 11];
    padded[..upper.len()].copy_from_slice(upper.as_bytes());
    Ok((!upper.is_empty()).then_some(padded))
}

impl<'a> AsRef<Name<'a>> for Entry<'a> {
    fn as_ref(&self) -> &Name<'a> {
        &self.name
    }
}
