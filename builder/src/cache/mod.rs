//! The content-addressed cache outside the repository
//! (`$XDG_CACHE_HOME/sledos`): downloads, unpacked packages, compressed blocks.
//!
//! ```text
//! debs/<sha256>.deb         downloads
//! indices/<sha256>          InRelease and Packages files
//! unpacked/<sha256>.{index,data}
//! blocks/<2 digits>/<62 digits>
//! verified/<sha256>         the SHA256SUMS of images that `sledos verify` built again
//! tmp/                      files being written
//! ```
//! Whoever can write here decides what gets into images, so a cache that belongs to another user
//! or that others may write to is refused. Packages are hashed again whenever they are used;
//! `sledos verify` uses nothing else of a cache.
//!
//! Everything in it can be made again, so it is never synced to disk. Instead
//! every entry is checked when it is read; what fails the check counts as
//! damaged and is made again. Entries appear by rename, so several builds may
//! share a cache.

mod blocks;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use formats::tree::Digest;
use tempfile::NamedTempFile;

use crate::digest::hex;
use crate::output::own::{self, Foreign};

/// Everything is below one of these.
const PARTS: [&str; 7] = ["debs", "indices", "unpacked", "blocks", "components", "verified", "tmp"];

/// An open cache.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    counts: Counts,
    /// Locked as long as this process may have files in `tmp/`.
    _lock: File,
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no place for the cache: neither XDG_CACHE_HOME nor HOME is set; choose one with --cache DIR")]
    NoHome,
    /// Others decide what is in it.
    #[error("cannot use {} as cache: {foreign}, or choose another with --cache DIR", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Why it is not ours.
        foreign: Foreign,
    },
    /// The directory cannot be made or written to.
    #[error("cannot use {} as cache; choose another with --cache DIR", dir.display())]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What the cache was good for since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blocks found.
    pub block_hits: u64,
    /// Blocks not found.
    pub block_misses: u64,
    /// Bytes of the blocks found.
    pub block_bytes_read: u64,
    /// Bytes of the blocks put in.
    pub block_bytes_written: u64,
    /// Blocks that could not be written, the disk being full for instance.
    /// The build goes on without.
    pub block_write_failures: u64,
    /// Archives found unpacked.
    pub unpacked_hits: u64,
    /// Archives that had to be unpacked.
    pub unpacked_misses: u64,
    /// Entries of any kind that were damaged on disk and made again.
    pub damaged: u64,
}

#[derive(Debug, Default)]
struct Counts {
    block_hits: AtomicU64,
    block_misses: AtomicU64,
    block_bytes_read: AtomicU64,
    block_bytes_written: AtomicU64,
    block_write_failures: AtomicU64,
    unpacked_hits: AtomicU64,
    unpacked_misses: AtomicU64,
    damaged: AtomicU64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Cache {
    /// `$XDG_CACHE_HOME/sledos`, or `~/.cache/sledos`.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn default_dir() -> Result<PathBuf, Error> {
        // The XDG specification has relative paths ignored.
        let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        var("XDG_CACHE_HOME")
            .or_else(|| var("HOME").map(|home| home.join(".cache")))
            .map(|base| base.join("sledos"))
            .ok_or(Error::NoHome)
    }

    /// Opens the cache in a directory, which is made if it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        make(dir)?;
        let lock = prepare(dir).map_err(|source| Error::Unusable { dir: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), counts: Counts::default(), _lock: lock })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the .deb with this sha256 is, or belongs.
    pub fn deb_path(&self, sha256: &Digest) -> PathBuf {
        self.dir.join("debs").join(hex(sha256) + ".deb")
    }

    /// Where the repository index file with this sha256 is, or belongs.
    pub fn index_path(&self, sha256: &Digest) -> PathBuf {
        self.dir.join("indices").join(hex(sha256))
    }

    /// The list of what is in the archive with this sha256.
    pub(crate) fn unpacked_index_path(&self, sha256: &Digest) -> PathBuf {
        self.dir.join("unpacked").join(hex(sha256) + ".index")
    }

    /// The contents of the regular files in the archive with this sha256.
    pub(crate) fn unpacked_data_path(&self, sha256: &Digest) -> PathBuf {
        self.dir.join("unpacked").join(hex(sha256) + ".data")
    }

    /// Records that the image with this `SHA256SUMS` was built again and came out the same.
    ///
    /// # Errors
    /// As the file system says.
    pub fn record_verified(&self, sums: &Digest) -> io::Result<()> {
        File::create(self.verified_path(sums)).map(drop)
    }

    /// Whether [`Cache::record_verified`] was called for it.
    pub fn is_verified(&self, sums: &Digest) -> bool {
        self.verified_path(sums).is_file()
    }

    fn verified_path(&self, sums: &Digest) -> PathBuf {
        self.dir.join("verified").join(hex(sums))
    }

    /// A file to write to. `persist` moves it to its place in the cache; it is
    /// gone when dropped before.
    ///
    /// # Errors
    /// As the file system says.
    pub fn temp_file(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(self.dir.join("tmp"))
    }

    /// What the cache was good for so far.
    pub fn stats(&self) -> Stats {
        let c = &self.counts;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            block_hits: get(&c.block_hits),
            block_misses: get(&c.block_misses),
            block_bytes_read: get(&c.block_bytes_read),
            block_bytes_written: get(&c.block_bytes_written),
            block_write_failures: get(&c.block_write_failures),
            unpacked_hits: get(&c.unpacked_hits),
            unpacked_misses: get(&c.unpacked_misses),
            damaged: get(&c.damaged),
        }
    }

    pub(crate) fn count_unpacked(&self, hit: bool) {
        add(if hit { &self.counts.unpacked_hits } else { &self.counts.unpacked_misses }, 1);
    }

    pub(crate) fn count_damaged(&self) {
        add(&self.counts.damaged, 1);
    }
}

/// Makes the directory and its parts; refuses one that is not ours alone.
///
/// # Errors
/// When it cannot be made, is another's, or others may write to it.
pub fn make(dir: &Path) -> Result<(), Error> {
    for place in std::iter::once(dir.to_owned()).chain(PARTS.map(|part| dir.join(part))) {
        let unusable = |source| Error::Unusable { dir: dir.to_owned(), source };
        own::make(&place).map_err(unusable)?;
        if let Some(foreign) = own::check(&place).map_err(unusable)? {
            return Err(Error::Foreign { dir: place, foreign });
        }
    }
    Ok(())
}

/// Clears away what builds that were killed left in
/// `tmp/`. Every open cache holds a shared lock, so an exclusive one shows that
/// nobody is writing there now.
fn prepare(dir: &Path) -> io::Result<File> {
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    if lock.try_lock().is_ok() {
        for left in fs::read_dir(dir.join("tmp"))? {
            fs::remove_file(left?.path())?;
        }
    }
    // Turns an exclusive lock into a shared one.
    lock.lock_shared()?;
    NamedTempFile::new_in(dir.join("tmp"))?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_left_is_cleared_unless_another_build_runs() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("tmp/left");
        let first = Cache::open(dir.path()).unwrap();
        fs::write(&left, "x").unwrap();
        let second = Cache::open(dir.path()).unwrap();
        assert!(left.exists());
        drop((first, second));
        Cache::open(dir.path()).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_cache_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Cache::open(dir.path()).unwrap();
        for part in ["", "debs", "unpacked", "blocks"] {
            let part = dir.path().join(part);
            fs::set_permissions(&part, fs::Permissions::from_mode(0o775)).unwrap();
            let error = Cache::open(dir.path()).unwrap_err();
            assert!(matches!(&error, Error::Foreign { foreign: Foreign::Mode(0o775), .. }), "{error}");
            fs::set_permissions(&part, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Cache::open(dir.path()).unwrap();
    }

    #[test]
    fn an_image_is_verified_once_it_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        assert!(!cache.is_verified(&[7; 32]));
        cache.record_verified(&[7; 32]).unwrap();
        assert!(cache.is_verified(&[7; 32]) && !cache.is_verified(&[8; 32]));
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = Cache::open(&file).unwrap_err();
        assert!(matches!(&error, Error::Unusable { dir, .. } if *dir == file), "{error}");
    }
}
