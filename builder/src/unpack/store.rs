//! Archives unpacked once: an index and a data file per archive in the cache.
//!
//! The data file is not read when an archive is opened, only when somebody asks
//! for a file's content; every read is then checked against the crc32s of the
//! index. Damage is repaired on the spot by unpacking the archive again.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use formats::tree::{Content, Digest, ReadAt, TreePath};
use sha2::Digest as _;

use super::control::ControlFiles;
use super::decode::{Compression, decode};
use super::entry::{CHUNK, Entry, EntryKind, FileData};
use super::index::{self, Index};
use super::{Error, deb, tarball};
use crate::cache::Cache;
use crate::digest::hex;

/// An archive file on disk.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// The sha256 it must have.
    pub sha256: Digest,
    /// What it is.
    pub form: Form,
}

/// What an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A Debian package.
    Deb,
    /// A tar archive.
    Tar(Compression),
}

/// An unpacked archive.
#[derive(Debug)]
pub struct Archive {
    /// The control files of a Debian package; nothing for other archives.
    pub control: Option<ControlFiles>,
    /// What is in it, in its order.
    pub entries: Vec<Entry>,
    /// Whether the cache had it.
    pub was_cached: bool,
    data: Arc<Data>,
}

impl Archive {
    /// Opens an archive: from the cache, or by unpacking it into the cache.
    ///
    /// # Errors
    /// When the archive is not what it should be, or the cache cannot be written.
    pub fn open(cache: &Arc<Cache>, source: Source) -> Result<Self, Error> {
        let cached = load(cache, &source.sha256);
        let was_cached = cached.is_some();
        cache.count_unpacked(was_cached);
        let (index, file) = match cached {
            Some(found) => found,
            None => make(cache, &source)?,
        };
        let state = Mutex::new(State { file: Arc::new(file), repaired: false });
        let data = Arc::new(Data { cache: Arc::clone(cache), source, state });
        Ok(Self { control: index.control, entries: index.entries, was_cached, data })
    }

    /// The content of a file of this archive.
    pub fn content(&self, file: &FileData) -> Content {
        if file.len == 0 {
            return Content::from_bytes([]);
        }
        let reader = Checked { data: Arc::clone(&self.data), file: file.clone() };
        Content::from_reader(Arc::new(reader), file.len, Some(file.sha256))
    }

    /// The content of the regular file at a path, as the archive spells it.
    pub fn file(&self, path: &TreePath) -> Option<Content> {
        self.entries.iter().find(|e| e.path == *path).and_then(|e| match &e.kind {
            EntryKind::File(file) => Some(self.content(file)),
            _ => None,
        })
    }
}

fn load(cache: &Cache, key: &Digest) -> Option<(Index, File)> {
    let bytes = fs::read(cache.unpacked_index_path(key)).ok()?;
    let index = index::decode(&bytes, key);
    let open = |index: Index| {
        let file = File::open(cache.unpacked_data_path(key)).ok()?;
        let whole = file.metadata().is_ok_and(|m| m.len() == index.data_len);
        whole.then_some((index, file))
    };
    let found = index.and_then(open);
    if found.is_none() {
        cache.count_damaged();
    }
    found
}

/// Unpacks an archive into the cache.
fn make(cache: &Cache, source: &Source) -> Result<(Index, File), Error> {
    let no_cache = |source| Error::Cache { dir: cache.dir().to_owned(), source };
    let temp = cache.temp_file().map_err(no_cache)?;
    let index = unpack(source, temp.as_file())?;
    temp.persist(cache.unpacked_data_path(&source.sha256)).map_err(|e| no_cache(e.error))?;
    // The index comes last: where there is one, its data is complete.
    let mut temp = cache.temp_file().map_err(no_cache)?;
    temp.write_all(&index::encode(&index, &source.sha256)).map_err(no_cache)?;
    temp.persist(cache.unpacked_index_path(&source.sha256)).map_err(|e| no_cache(e.error))?;
    let file = File::open(cache.unpacked_data_path(&source.sha256)).map_err(no_cache)?;
    Ok((index, file))
}

/// Unpacks an archive: the bytes of its files to `data`, the rest is returned.
fn unpack(source: &Source, data: &File) -> Result<Index, Error> {
    let cannot_read = |e| Error::Read { file: source.path.clone(), source: e };
    let file = File::open(&source.path).map_err(cannot_read)?;
    let size = file.metadata().map_err(cannot_read)?.len();
    let mut file = Hashed { inner: file, sha256: sha2::Sha256::new(), failed: None };
    let mut out = Counted { inner: BufWriter::with_capacity(1 << 20, data), count: 0 };
    let read = match source.form {
        Form::Deb => deb::read(&mut file, &mut out)
            .map(|c| (Some(c.control), c.entries))
            .map_err(|e| Error::Package { file: source.path.clone(), source: e }),
        Form::Tar(compression) => {
            let input = BufReader::with_capacity(256 << 10, &mut file);
            decode(input, compression, size, |r| tarball::read(r, &mut out))
                .map(|entries| (None, entries))
                .map_err(|e| Error::Tar { file: source.path.clone(), source: e })
        }
    };
    // Whatever went wrong, the first question is whether this is the right file at all.
    let rest = io::copy(&mut file, &mut io::sink());
    if let Some(e) = file.failed.or(rest.err()) {
        return Err(cannot_read(e));
    }
    let found: Digest = file.sha256.finalize().into();
    if found != source.sha256 {
        let (wanted, found) = (hex(&source.sha256), hex(&found));
        return Err(Error::Digest { file: source.path.clone(), wanted, found });
    }
    let (control, entries) = read?;
    out.inner.flush().map_err(|e| Error::Write { file: source.path.clone(), source: e })?;
    Ok(Index { control, entries, data_len: out.count })
}

/// Hashes what is read, and keeps the error the operating system gave, which
/// decoders tend to swallow.
struct Hashed {
    inner: File,
    sha256: sha2::Sha256,
    failed: Option<io::Error>,
}

impl Read for Hashed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            Ok(n) => {
                self.sha256.update(buf.get(..n).unwrap_or_default());
                Ok(n)
            }
            Err(e) => {
                let told = io::Error::from(e.kind());
                self.failed = Some(e);
                Err(told)
            }
        }
    }
}

struct Counted<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.count += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The data file of an archive.
#[derive(Debug)]
struct Data {
    cache: Arc<Cache>,
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Arc<File>,
    repaired: bool,
}

/// Why the content of a cached file cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{} is damaged and cannot be repaired; delete the cache and build again", file.display())]
struct Beyond {
    file: PathBuf,
    source: Option<Error>,
}

impl Data {
    fn file(&self) -> Arc<File> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).file)
    }

    /// Unpacks the archive again, once; other readers wait for it. No rayon
    /// here: a stolen job that needs this lock would wait for itself.
    fn repair(&self) -> io::Result<Arc<File>> {
        let beyond = |source| {
            let file = self.cache.unpacked_data_path(&self.source.sha256);
            io::Error::new(io::ErrorKind::InvalidData, Beyond { file, source })
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.repaired {
            self.cache.count_damaged();
            let (_, file) = make(&self.cache, &self.source).map_err(|e| beyond(Some(e)))?;
            *state = State { file: Arc::new(file), repaired: true };
        }
        Ok(Arc::clone(&state.file))
    }
}

/// One file in the data, checked at every read.
#[derive(Debug)]
struct Checked {
    data: Arc<Data>,
    file: FileData,
}

impl ReadAt for Checked {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read(&self.data.file(), buf, offset).is_ok() {
            return Ok(());
        }
        let file = self.data.repair()?;
        self.read(&file, buf, offset)
    }
}

impl Checked {
    fn read(&self, from: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        let mut scratch = Vec::new();
        while !buf.is_empty() {
            let number = offset / CHUNK as u64;
            let start = number * CHUNK as u64;
            let len = usize::try_from(self.file.len - start).unwrap_or(CHUNK).min(CHUNK);
            let skip = usize::try_from(offset - start).unwrap_or(CHUNK);
            let take = buf.len().min(len - skip);
            let (now, rest) = buf.split_at_mut(take);
            if take == len {
                self.chunk(from, now, number, start)?;
            } else {
                scratch.resize(len, 0);
                self.chunk(from, &mut scratch, number, start)?;
                now.copy_from_slice(&scratch[skip..skip + take]);
            }
            offset += take as u64;
            buf = rest;
        }
        Ok(())
    }

    /// Reads and checks one whole chunk.
    fn chunk(&self, from: &File, buf: &mut [u8], number: u64, start: u64) -> io::Result<()> {
        from.read_exact_at(buf, self.file.offset + start)?;
        let wanted = usize::try_from(number).ok().and_then(|n| self.file.crcs.get(n));
        if wanted == Some(&crc32fast::hash(buf)) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}
