//! Packages into the cache. `CACHE/debs/<sha256>.deb` is complete and was right
//! when it was written; it is hashed again whenever it is used. A download goes
//! to `<sha256>.part` and is continued there by the next attempt.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Client, Error, Problem, Progress, try_mirrors};
use crate::apt::sources::{Mirror, MirrorList, Mirrors};
use crate::digest;
use crate::lock::Lock;
use crate::lock::model::{Package, Release};

/// What to do when no mirror has a locked package.
const GONE: &str =
    "The mirror does not hold it (any more): lock again, or pass --mirror with one that keeps old packages";

/// Downloads at the same time.
const CONNECTIONS: usize = 6;

/// A directory of .debs named by their sha256.
#[derive(Clone, Debug)]
pub struct DebCache {
    dir: PathBuf,
}

impl DebCache {
    /// The one below a cache directory, made when missing.
    pub fn open(cache: &Path) -> Result<DebCache, Error> {
        let dir = cache.join("debs");
        fs::create_dir_all(&dir).map_err(|source| Error::Cache {
            action: "make",
            file: dir.clone(),
            source,
        })?;
        Ok(DebCache { dir })
    }

    /// Where the .deb with this hash is, or would be.
    pub fn path(&self, sha256: &[u8; 32]) -> PathBuf {
        self.dir.join(format!("{}.deb", digest::hex(sha256)))
    }

    /// Held while files are added. Dropping it ends it.
    fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let lock = || {
            let file = File::options().create(true).write(true).truncate(false).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| Error::Cache { action: "lock", file: path.clone(), source })
    }

    /// Whether it is there and right. A damaged one is removed.
    fn holds(&self, package: &Package) -> Result<bool, Error> {
        let file = self.path(&package.sha256);
        let failed = |action| {
            let file = file.clone();
            move |source| Error::Cache { action, file, source }
        };
        let mut open = match File::open(&file) {
            Ok(open) => open,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed("read")(error)),
        };
        let (sha256, size) = digest::sha256_reader(&mut open).map_err(failed("read"))?;
        if sha256 == package.sha256 && size == package.size {
            return Ok(true);
        }
        fs::remove_file(&file).map_err(failed("remove the damaged"))?;
        Ok(false)
    }
}

/// Fetches the packages of one lock and cannot be asked for anything else.
#[derive(Debug)]
pub struct LockedFetcher<'a> {
    client: &'a Client,
    cache: &'a DebCache,
    lock: &'a Lock,
    /// By index in [`Lock::releases`].
    mirrors: Vec<Option<&'a MirrorList>>,
}

impl<'a> LockedFetcher<'a> {
    /// For `lock`, from `mirrors`.
    pub fn new(client: &'a Client, cache: &'a DebCache, mirrors: &'a Mirrors, lock: &'a Lock) -> Self {
        let mirrors = lock.releases.iter().map(|r| mirrors.of(&r.archive, &r.suite)).collect();
        LockedFetcher { client, cache, lock, mirrors }
    }

    /// All packages of the lock, those of extensions, too: their files in the cache, in the lock's order,
    /// each verified now. The first error in that order is returned after the
    /// downloads that had begun are over.
    pub fn fetch(&self, progress: &dyn Progress) -> Result<Vec<PathBuf>, Error> {
        let packages: Vec<&Package> = self.lock.all_packages().collect();
        let present = in_parallel(&packages, |package| self.cache.holds(package));
        let mut missing = Vec::new();
        for (package, present) in packages.iter().zip(present) {
            if !present? {
                missing.push(package);
            }
        }
        if missing.is_empty() {
            return Ok(self.paths());
        }
        // Two builds with one cache: the second waits and finds what the first got.
        let _guard = self.cache.lock()?;
        let mut wanted = Vec::new();
        for package in missing {
            if !self.cache.holds(package)? {
                wanted.push(package);
            }
        }
        let mut missing = wanted;
        // Two names may share one file, which then is one download.
        missing.sort_by_key(|package| (package.sha256, &package.name));
        missing.dedup_by_key(|package| package.sha256);
        missing.sort_by_key(|package| &package.name);
        progress.expected(missing.len(), missing.iter().map(|p| p.size).sum());
        let failed = AtomicUsize::new(0);
        let results = in_parallel(&missing, |package| {
            // After a failure the rest is not begun.
            if failed.load(Ordering::Relaxed) > 0 {
                return Ok(());
            }
            if progress.stopped() {
                return Err(Error::Stopped);
            }
            let result = self.download(package, progress);
            failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            result
        });
        results.into_iter().collect::<Result<(), Error>>()?;
        Ok(self.paths())
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.lock.all_packages().map(|package| self.cache.path(&package.sha256)).collect()
    }

    fn download(&self, package: &Package, progress: &dyn Progress) -> Result<(), Error> {
        let mirrors = self.mirrors.get(package.release).copied().flatten().ok_or_else(|| {
            let release = self.lock.releases.get(package.release);
            let name = |f: fn(&Release) -> &String| release.map_or_else(String::new, |r| f(r).clone());
            Error::UnknownRelease {
                package: package.name.clone(),
                archive: name(|r| &r.archive),
                suite: name(|r| &r.suite),
            }
        })?;
        let what = format!("{} {}", package.name, package.version);
        let address = |mirror: &Mirror| mirror.address(&package.path);
        try_mirrors(&what, GONE, mirrors, &address, progress, |url| {
            match self.attempt(url, package, true, progress)? {
                // A part that cannot be continued, or is the wrong beginning.
                Err(Problem::Status(200..500) | Problem::WrongHash | Problem::TooLarge { .. })
                    if self.part(package).exists() =>
                {
                    self.attempt(url, package, false, progress)
                }
                result => Ok(result),
            }
        })?;
        progress.finished(&package.name);
        Ok(())
    }

    fn part(&self, package: &Package) -> PathBuf {
        self.cache.path(&package.sha256).with_extension("part")
    }

    /// One address. The outer error is the cache's, the inner one the mirror's.
    fn attempt(
        &self,
        url: &str,
        package: &Package,
        resume: bool,
        progress: &dyn Progress,
    ) -> Result<Result<(), Problem>, Error> {
        let path = self.part(package);
        let failed = |action| {
            let file = path.clone();
            move |source| Error::Cache { action, file, source }
        };
        let mut hash = Sha256::new();
        let mut offset = 0;
        let mut file =
            File::options().create(true).read(true).append(true).open(&path).map_err(failed("open"))?;
        if resume {
            offset = digest::update_from(&mut hash, &mut file).map_err(failed("read"))?;
        }
        // Nothing left to ask for means it is no good beginning either.
        if offset == 0 || offset >= package.size {
            file.set_len(0).map_err(failed("truncate"))?;
            (hash, offset) = (Sha256::new(), 0);
        }
        progress.downloaded(offset);
        let mut got = offset;
        let mut disk = None;
        let result = self.client.transport.get(url, offset, package.size, &mut |bytes| {
            if progress.stopped() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            hash.update(bytes);
            got += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            progress.downloaded(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            file.write_all(bytes).map_err(|error| {
                let copy = io::Error::from(error.kind());
                disk = Some(error);
                copy
            })
        });
        if result.is_err() && progress.stopped() {
            // The next build continues the part.
            return Err(Error::Stopped);
        }
        if let Some(source) = disk {
            return Err(failed("write")(source));
        }
        let right = <[u8; 32]>::from(hash.finalize()) == package.sha256;
        let result = match result {
            Ok(()) if got < package.size => Err(Problem::Truncated { got, wanted: package.size }),
            Ok(()) if !right => Err(Problem::WrongHash),
            other => other,
        };
        match &result {
            Ok(()) => {
                let done = self.cache.path(&package.sha256);
                fs::rename(&path, &done).map_err(|source| Error::Cache {
                    action: "rename",
                    file: done,
                    source,
                })?;
            }
            Err(problem) => {
                progress.lost(got);
                // Only a good beginning is worth keeping.
                let keep = matches!(problem, Problem::Truncated { .. } | Problem::Stalled);
                if !keep && offset == 0 {
                    fs::remove_file(&path).map_err(failed("remove"))?;
                }
            }
        }
        Ok(result)
    }
}

/// `work` on all items by [`CONNECTIONS`] threads; results in the items' order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(items.len()) {
            scope.spawn(|| {
                while let Some((index, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?)))
                {
                    let result = work(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
