//! `sledos build`: the stages from recipe to artefacts, in order.

mod assemble;
mod boot;
mod budget;
mod components;
mod compressed;
mod describe;
mod downloads;
mod error;
mod extensions;
mod left_out;
mod needs;
mod pinned;
mod units;
mod write;

pub use boot::INIT;
pub use error::{Error, OverBudget, Since};
pub use write::{Slot, disk as write_disk};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::squashfs;

use crate::apt::fetch::{Client, DebCache, LockedFetcher, Patience};
use crate::apt::release::Clock;
use crate::apt::{LockRequest, mirrors, resolve_recipe};
use crate::cache::Cache;
use crate::claim::MANIFEST;
use crate::digest::hex;
use crate::image::ImagePlan;
use crate::image::manifest::Manifest;
use crate::image::plan::default_version;
use crate::lock::{self, Lock};
use crate::origins::{self, Origins};
use crate::output::{Interrupt, StagedDir, check_own};
use crate::progress::{Progress, Unit};
use crate::recipe::Recipe;
use crate::sbom;
use crate::summary::Summary;
use crate::unpack;
use downloads::Downloads;

/// Everything that decides a build, and how to do it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The recipe file.
    pub recipe: PathBuf,
    /// The lock; beside the recipe when not given.
    pub lock: Option<PathBuf>,
    /// Whether a missing lock is an error.
    pub locked: bool,
    /// Mirrors in place of those in the host's apt sources.
    pub mirrors: Vec<String>,
    /// Apt's configuration on the host: `/etc/apt`.
    pub etc_apt: PathBuf,
    /// The cache directory.
    pub cache: PathBuf,
    /// Where images go.
    pub output: PathBuf,
    /// Version; made from the lock's time when not given.
    pub version: Option<String>,
    /// Components: name and file.
    pub components: Vec<(String, PathBuf)>,
    /// Whether a missing component is an error.
    pub require_components: bool,
    /// Whether to compress quickly.
    pub fast: bool,
    /// Whether to write `disk.raw.zst`, too.
    pub compressed_disk: bool,
    /// Whether an image of this version with another root hash is replaced.
    pub replace: bool,
    /// Time of every file of the image, seconds since 1970; the lock's when not given.
    pub time: Option<i64>,
    /// Threads; one per CPU when not given.
    pub jobs: Option<usize>,
    /// Clock for expiry of signatures, used when a lock is made.
    pub clock: Clock,
    /// How long to wait for mirrors.
    pub patience: Patience,
}

/// A finished image.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub dir: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    /// For people.
    pub summary: Summary,
}

/// zstd levels of /usr and the initramfs of a fast build.
pub const FAST_LEVELS: (i32, i32) = (3, 3);

/// Builds an image.
///
/// # Errors
/// See [`Error`]. What was under the image's name before is still there then.
pub fn run(request: &Request, progress: &Progress, interrupt: &Interrupt) -> Result<Built, Error> {
    let jobs = request.jobs.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool = pool.map_err(|source| Error::Threads { jobs, source })?;
    // What stops half-way because it was told to has not failed.
    pool.install(|| stages(request, progress, interrupt)).map_err(|error| match interrupt.check() {
        Ok(()) => error,
        Err(interrupted) => interrupted.into(),
    })
}

fn stages(request: &Request, progress: &Progress, interrupt: &Interrupt) -> Result<Built, Error> {
    let recipe = crate::recipe::load(&request.recipe)?;
    let cache = Arc::new(Cache::open(&request.cache)?);
    let require = request.require_components;
    let components = components::open(&recipe, &request.components, require, &cache, request.patience)?;
    let (lock, lock_bytes) = the_lock(request, &recipe, progress, interrupt)?;
    lock.is_current_for(&recipe)?;
    let time = request.time.unwrap_or(lock.timestamp);
    let version = request.version.clone().unwrap_or_else(|| default_version(time));
    check_version(&version)?;
    let plan = ImagePlan::new(&recipe, &version, time)?;

    check_own(&request.output)?;
    check_own(&request.output.join(&plan.name))?;

    fetch(request, &recipe, &lock, progress, interrupt)?;
    interrupt.check()?;

    let stage = progress.stage("unpack", Unit::Items("packages"), Some(lock.all_packages().count() as u64));
    let unpack = |packages: &[_]| {
        unpack::packages(&cache, packages, &|_, _| {
            stage.add(1);
            interrupt.go_on()
        })
    };
    let packages = unpack(&lock.packages)?;
    let of_extension = |(name, packages): (&String, &Vec<_>)| Ok((name.clone(), unpack(packages)?));
    let of_extensions: BTreeMap<_, _> =
        lock.extensions.iter().map(of_extension).collect::<Result<_, unpack::Error>>()?;
    stage.finish();
    interrupt.check()?;

    let stage = progress.stage("assemble", Unit::Time, None);
    let mut assembled = assemble::assemble(&recipe, &version, &packages, &components, require)?;
    stage.finish();
    interrupt.check()?;

    let compression = &recipe.compression;
    let options = squashfs::Options {
        block_size: compression.block_size,
        level: if request.fast { FAST_LEVELS.0 } else { compression.usr_level },
        mtime: plan.mtime,
    };
    let initramfs_level = if request.fast { FAST_LEVELS.1 } else { compression.initramfs_level };
    let staged = StagedDir::create(&request.output.join(&plan.name).join(&plan.version))?;

    // The initramfs is one zstd frame, so it takes one thread for as long as /usr takes the others.
    let (usr, initramfs) = rayon::join(
        || write::usr(&assembled, &plan, &options, staged.path(), &*cache, progress, interrupt),
        || {
            let stage = progress.stage("initramfs", Unit::Time, None);
            let made = boot::initramfs(&assembled, &recipe, &plan, initramfs_level, &cache, interrupt);
            if made.is_ok() {
                stage.finish();
            }
            made
        },
    );
    let (usr, initramfs) = (usr?, initramfs?);
    if !request.replace {
        one_version(staged.target(), &usr.root_hash)?;
    }
    interrupt.check()?;

    let inputs = extensions::Inputs {
        recipe: &recipe,
        lock: &lock,
        plan: &plan,
        packages: &of_extensions,
        options: &options,
    };
    let extensions = extensions::write(&inputs, &mut assembled, staged.path(), &*cache, progress, interrupt)?;
    interrupt.check()?;

    let stage = progress.stage("write disk", Unit::Time, None);
    let cmdline = boot::cmdline(&recipe, &usr.root_hash);
    let uki = boot::uki(&assembled, &initramfs.bytes, &cmdline)?;
    let origins = Origins::new(&usr.tree, &usr.stats, &initramfs.tree, initramfs.bytes.len() as u64);
    let left_out = assembled.left_out.iter().map(|file| (&file.path, &*file.package, file.reason.as_str()));
    let origins = origins.without(left_out);
    let budgets = if request.fast { recipe.budgets.of_fast_build() } else { recipe.budgets.clone() };
    budget::check(&budgets, &assembled.tree, &usr, &initramfs, &uki, &origins, staged.target())?;
    staged.write("vmlinuz", &assembled.boot.kernel)?;
    staged.write("initramfs.zst", &initramfs.bytes)?;
    staged.write(&format!("{}.efi", plan.name), &uki)?;
    staged.write("boot.ipxe", crate::image::pxe::script(&plan, &cmdline).as_bytes())?;
    staged.write(&format!("{}.lock", plan.name), &lock_bytes)?;
    staged.write(origins::FILE, &origins.to_bytes().map_err(Error::Compress)?)?;
    let bom = sbom::gather(&plan, &usr.root_hash, &lock, &packages, &assembled.components, INIT);
    staged.write(sbom::SPDX, bom.spdx().as_bytes())?;
    staged.write(sbom::CYCLONEDX, bom.cyclonedx().as_bytes())?;
    let slot = Slot { squashfs: &usr.squashfs, verity: &usr.verity, root_hash: usr.root_hash };
    let partitions = write::disk(&plan, &slot, &assembled.boot.loader, &uki, staged.path())?;
    stage.finish();
    interrupt.check()?;

    if request.compressed_disk {
        let stage = progress.stage("compress disk", Unit::Time, None);
        let [disk, to] = ["disk.raw", "disk.raw.zst"].map(|name| staged.path().join(name));
        compressed::write(&disk, &to, interrupt)?;
        stage.finish();
    }

    let stage = progress.stage("checksums", Unit::Time, None);
    let facts = describe::Facts {
        lock: &lock,
        plan: &plan,
        assembled: &assembled,
        inputs: describe::inputs(&recipe, &lock_bytes, &assembled.overlays, &options, initramfs_level),
        root_hash: &usr.root_hash,
        cmdline: &cmdline,
        partitions,
        extensions,
    };
    // Not a thread of the pool: it waits for the disk while those hash.
    let (manifest, synced) = std::thread::scope(|scope| {
        let sync = scope.spawn(|| staged.sync());
        (describe::manifest(&facts, &staged), sync.join())
    });
    let manifest = manifest?;
    synced.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    stage.finish();
    let stage = progress.stage("sync", Unit::Time, None);
    let dir = staged.target().to_owned();
    staged.commit()?;
    stage.finish();

    let summary = describe::summary(&manifest, &dir, &assembled, &usr, &initramfs, &lock, progress.times());
    Ok(Built { dir, manifest, summary })
}

/// A version is one image for ever; what does not read as one may be replaced.
fn one_version(target: &Path, root_hash: &[u8; 32]) -> Result<(), Error> {
    let bytes = std::fs::read(target.join(MANIFEST)).unwrap_or_default();
    let there = serde_json::from_slice(&bytes).map(|there: Manifest| there.root_hash);
    let new = hex(root_hash);
    match there {
        Ok(there) if there != new => Err(Error::Replaces { path: target.to_owned(), there, new }),
        _ => Ok(()),
    }
}

/// The lock beside the recipe and its bytes, made when it is missing and may be.
fn the_lock(
    request: &Request,
    recipe: &Recipe,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(Lock, Vec<u8>), Error> {
    let file = request.lock.clone().unwrap_or_else(|| lock::path_of(recipe));
    match Lock::read_bytes(&file) {
        Err(lock::Error::Missing { .. }) if !request.locked => {
            progress.info(format!("no lock at {}: choosing packages", file.display()));
            lock(request, recipe, progress, interrupt)?;
            Ok(Lock::read_bytes(&file)?)
        }
        read => Ok(read?),
    }
}

/// Chooses packages and writes the lock.
///
/// # Errors
/// When a release, an index or the resolution is not right; an existing lock stays.
pub fn lock(
    request: &Request,
    recipe: &Recipe,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Lock, Error> {
    let lock = resolve(request, recipe, progress, interrupt)?;
    write_lock(request, recipe, &lock, progress)?;
    Ok(lock)
}

/// Writes a lock to its place.
///
/// # Errors
/// When it cannot be written; an existing lock stays.
pub fn write_lock(request: &Request, recipe: &Recipe, lock: &Lock, progress: &Progress) -> Result<(), Error> {
    let file = request.lock.clone().unwrap_or_else(|| lock::path_of(recipe));
    lock.write(&file, &recipe.file)?;
    progress.info(format!("{} packages locked in {}", lock.all_packages().count(), file.display()));
    Ok(())
}

/// Chooses packages, and writes nothing.
///
/// # Errors
/// As [`lock`].
pub fn resolve(
    request: &Request,
    recipe: &Recipe,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Lock, Error> {
    let needs = if request.components.is_empty() {
        Vec::new()
    } else {
        let cache = Arc::new(Cache::open(&request.cache)?);
        components::open(recipe, &request.components, false, &cache, request.patience)?.needs()
    };
    let downloads = Downloads::new(progress.stage("lock", Unit::Bytes, None), progress, interrupt);
    let lock = resolve_recipe(
        &LockRequest {
            recipe,
            mirrors: &request.mirrors,
            etc_apt: &request.etc_apt,
            cache: &request.cache,
            clock: request.clock,
            patience: request.patience,
            output: request.lock.as_deref(),
            needs: &needs,
        },
        &downloads,
    )?;
    downloads.finish();
    Ok(lock)
}

fn fetch(
    request: &Request,
    recipe: &Recipe,
    lock: &Lock,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let mirrors = mirrors(recipe, &request.mirrors, &request.etc_apt)?;
    let client = Client::new(request.patience);
    let debs = DebCache::open(&request.cache)?;
    let downloads = Downloads::new(progress.stage("download", Unit::Bytes, None), progress, interrupt);
    LockedFetcher::new(&client, &debs, &mirrors, lock).fetch(&downloads)?;
    downloads.finish();
    Ok(())
}

/// A version is a directory name, part of a file name on the ESP and a field of
/// os-release(5), which gives its characters.
fn check_version(version: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-~^".contains(c);
    let begins = version.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || version.len() > 64 || !version.chars().all(fits) {
        return Err(Error::Version(version.to_owned()));
    }
    Ok(())
}
