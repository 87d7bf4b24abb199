//! What lies in an output directory.
//!
//! A file is known by inode, length and time of change when all its names are where documents are, so that
//! nobody changes it under another, and when its last change was so long ago that another has another time.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Error;
use metadata::document;
use metadata::fleet::before::{Before, FileId};
use metadata::fleet::compile::{INDEX, MAX_INDEX};

/// The directory of documents.
pub(super) const ROOT: &str = "v1";

/// A change so many nanoseconds ago has another time than one that comes after: the kernel's clock for
/// files ticks every 10 ms or more often.
const SETTLED: u64 = 50_000_000;

/// The same on file systems that keep no parts of a second; FAT counts in steps of two.
const SETTLED_COARSE: u64 = 3_000_000_000;

/// What lies in an output directory.
#[derive(Debug)]
pub struct Output {
    dir: PathBuf,
    /// The list of sleds.
    index: Option<Arc<[u8]>>,
    /// Every name below [`ROOT`], and which of the files it is.
    names: HashMap<Box<str>, usize>,
    files: Vec<Links>,
}

impl Output {
    /// Looks at it.
    ///
    /// # Errors
    /// When the list of sleds does not read: one that is there is not as none.
    pub fn look(dir: &Path) -> Result<Self, Error> {
        let index = read(dir, INDEX)?.map(Arc::from);
        let mut output = Self { dir: dir.to_owned(), index, names: HashMap::new(), files: Vec::new() };
        let now = nanoseconds(SystemTime::now());
        let mut inodes: HashMap<u64, usize> = HashMap::new();
        let mut names: Vec<(Box<str>, usize)> = Vec::new();
        let mut dirs = vec![ROOT.to_owned()];
        while let Some(name) = dirs.pop() {
            for entry in fs::read_dir(dir.join(&name)).into_iter().flatten().map_while(Result::ok) {
                let Ok(file) = entry.file_name().into_string() else { continue };
                let path = [&name, "/", &file].concat();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    dirs.push(path);
                    continue;
                }
                let file = *inodes.entry(entry.ino()).or_insert_with(|| {
                    output.files.push(Links::of(&entry, now));
                    output.files.len() - 1
                });
                output.files.get_mut(file).into_iter().for_each(|links| links.unseen -= 1);
                names.push((path.into(), file));
            }
        }
        output.names = names.into_iter().collect();
        Ok(output)
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Every name, like `v1/fleet.json`.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(AsRef::as_ref)
    }

    /// A name that has another file now, or none.
    pub(super) fn forget(&mut self, path: &str) {
        self.names.remove(path);
    }

    /// Whether there is such a name.
    pub(super) fn has(&self, path: &str) -> bool {
        self.names.contains_key(path)
    }
}

/// A file.
#[derive(Debug)]
struct Links {
    /// When it is settled.
    id: Option<FileId>,
    /// How many of its names were not seen.
    unseen: i64,
}

impl Links {
    fn of(entry: &fs::DirEntry, now: u64) -> Self {
        let Ok(meta) = entry.metadata() else { return Self { id: None, unseen: 0 } };
        let changed = u64::try_from(meta.ctime()).unwrap_or_default().saturating_mul(1_000_000_000);
        let changed = changed.saturating_add(u64::try_from(meta.ctime_nsec()).unwrap_or_default());
        // Listed under another inode, as on some stacked file systems: its names cannot be counted.
        let sure = meta.is_file() && meta.ino() == entry.ino();
        let tick = if meta.ctime_nsec() == 0 { SETTLED_COARSE } else { SETTLED };
        let settled = changed.checked_add(tick).is_some_and(|then| then < now);
        let id = (sure && settled).then_some(FileId([meta.ino(), meta.len(), changed]));
        Self { id, unseen: i64::try_from(meta.nlink()).unwrap_or(i64::MAX) }
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Before for Output {
    fn read(&self, path: &str) -> Option<Arc<[u8]>> {
        if path == INDEX {
            return self.index.clone();
        }
        // What was not listed is not asked for.
        self.has(path).then(|| read(&self.dir, path).ok().flatten()).flatten().map(Arc::from)
    }

    fn id(&self, path: &str) -> Option<FileId> {
        self.files.get(*self.names.get(path)?).filter(|links| links.unseen == 0)?.id
    }
}

/// What is in an output directory at a path of a plan.
///
/// # Errors
/// When it does not read, or is longer than anything may be there.
pub fn read(output: &Path, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let most = if path == INDEX { MAX_INDEX } else { document::MAX_BYTES as u64 };
    let path = output.join(path);
    match File::open(&path).and_then(|mut file| bounded(&mut file, most)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

/// All of a file, unless it is longer.
///
/// # Errors
/// When it is, or does not read.
pub(super) fn bounded(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(most)).unwrap_or_default());
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
