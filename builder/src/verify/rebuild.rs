//! Building an image again, under other conditions.
//!
//! The second build runs as a process of its own, with: a copy of the recipe and its
//! overlays at a longer path with other modes and times, another working directory,
//! umask 077, another number of threads, another language and time zone, another user's
//! name and home, and a cache that has downloads and nothing else. The clock is the
//! host's; builds do not look at it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::differences::{self, Difference};
use super::{Error, causes};
use crate::artefacts;
use crate::build::INIT;
use crate::cache::Cache;
use crate::digest::{hex, sha256};
use crate::image::manifest::{BUILDER, Manifest};
use crate::lock::Lock;
use crate::recipe::host::{Disk, Host};
use crate::recipe::{self, Recipe};

/// What to build again, and with what.
#[derive(Clone, Debug)]
pub struct Rebuild<'a> {
    /// The image: `output/NAME/VERSION`.
    pub dir: &'a Path,
    /// Its recipe.
    pub recipe: &'a Path,
    /// The `sledos` that builds.
    pub program: &'a Path,
    /// The cache with the packages.
    pub cache: &'a Path,
    /// Mirrors for packages that are not in it.
    pub mirrors: &'a [String],
    /// Components, as for the first build.
    pub components: &'a [(String, PathBuf)],
    /// Directory to build in: the second image and an empty cache take up to 2 GiB.
    pub scratch: &'a Path,
}

/// What was different in the second build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variation {
    /// Where the recipe was.
    pub checkout: PathBuf,
    /// File mode mask.
    pub umask: &'static str,
    /// Threads.
    pub jobs: usize,
    /// Environment.
    pub env: Vec<(&'static str, String)>,
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(
            f,
            "built again from {} with umask {}, {} threads, a cold cache, {}",
            self.checkout.display(),
            self.umask,
            self.jobs,
            env.join(" ")
        )
    }
}

const UMASK: &str = "077";

/// Builds an image again and compares every byte. `ready` is called with the copy of the
/// checkout before the build; tests disturb it there.
///
/// # Errors
/// When the inputs are not those of the manifest, or the build fails. Differences are no
/// error.
pub fn rebuild(request: &Rebuild<'_>, ready: &dyn Fn(&Path)) -> Result<(Variation, Vec<Difference>), Error> {
    let manifest = artefacts::manifest(&request.dir.join("manifest.json"))?;
    let wrong = |why: String| Error::Inputs { dir: request.dir.to_owned(), why };
    let read = RecordingHost::default();
    let recipe = recipe::load_from(request.recipe, &read)?;
    let lock_file = request.dir.join(format!("{}.lock", manifest.image));
    let lock = Lock::read(&lock_file).map_err(|error| wrong(causes(&error)))?;
    let fast = inputs(&manifest, &recipe, &lock).map_err(wrong)?;

    let scratch = request.scratch;
    let make = |name: &str| -> Result<PathBuf, Error> {
        let dir = scratch.join(name);
        fs::create_dir_all(&dir).map_err(artefacts::Error::io("create", &dir))?;
        Ok(dir)
    };
    let (home, output) = (make("home")?, make("output")?);
    let checkout = make("another place/with a longer path/checkout")?;
    let copied = copy_checkout(&recipe, &read.files.borrow(), &checkout);
    let copied = copied.map_err(|source| artefacts::Error::Io {
        what: "copy",
        path: request.recipe.to_owned(),
        source,
    })?;
    let cache = make("cache")?;
    cold_cache(request.cache, &lock, &cache)?;
    ready(&checkout);

    let jobs = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    let mut env = vec![
        ("HOME", home.display().to_string()),
        ("USER", "somebody".to_owned()),
        ("LOGNAME", "somebody".to_owned()),
        ("LANG", "tr_TR.UTF-8".to_owned()),
        ("LC_ALL", "tr_TR.UTF-8".to_owned()),
        ("TZ", "Pacific/Kiritimati".to_owned()),
    ];
    if manifest.time != lock.timestamp {
        env.push(("SOURCE_DATE_EPOCH", manifest.time.to_string()));
    }
    let mut command = Command::new(request.program);
    command.arg("build").arg(&copied).args(["--locked", "--progress=none", "--umask", UMASK]);
    command.args(["--image-version", &manifest.version, "--jobs", &jobs.to_string()]);
    for (option, path) in [("--lock", &lock_file), ("--cache", &cache), ("--output", &output)] {
        command.arg(option).arg(absolute(path));
    }
    command.args(fast.then_some("--fast"));
    command.args(manifest.artefacts.contains_key("disk.raw.zst").then_some("--compressed-disk"));
    for mirror in request.mirrors {
        command.arg("--mirror").arg(mirror);
    }
    for (name, file) in request.components {
        command.arg("--component").arg(format!("{name}={}", absolute(file).display()));
    }
    let proxies =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().to_lowercase().ends_with("_proxy"));
    command.current_dir(&home).env_clear().envs(proxies).envs(env.iter().map(|(n, v)| (n, v)));
    let out = command.stdin(Stdio::null()).output().map_err(|source| artefacts::Error::Io {
        what: "start",
        path: request.program.to_owned(),
        source,
    })?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr).trim_end().to_owned();
        return Err(Error::BuildProcess { status: out.status, said });
    }
    let second = output.join(&manifest.image).join(&manifest.version);
    let found = differences::directories(request.dir, &second)?;
    Ok((Variation { checkout, umask: UMASK, jobs, env }, found))
}

/// Whether these inputs are the manifest's. Returns whether it was a fast build.
fn inputs(manifest: &Manifest, recipe: &Recipe, lock: &Lock) -> Result<bool, String> {
    if recipe.name != manifest.image {
        return Err(format!("the recipe is for {}; give the right one with --recipe", recipe.name));
    }
    lock.is_current_for(recipe).map_err(|error| causes(&error))?;
    if manifest.builder != BUILDER {
        return Err(format!("it was built by {}, this is {BUILDER}", manifest.builder));
    }
    let init = hex(&sha256(INIT));
    if manifest.inputs.init != init {
        return Err(format!("it has the PID 1 {}, this sledos has {init}", manifest.inputs.init));
    }
    let levels = (manifest.inputs.usr_level, manifest.inputs.initramfs_level);
    let compression = &recipe.compression;
    let (release, fast) = ((compression.usr_level, compression.initramfs_level), crate::build::FAST_LEVELS);
    match levels {
        _ if levels == release => Ok(false),
        _ if levels == fast => Ok(true),
        _ => Err(format!("it was compressed at the levels {levels:?}, the recipe has {release:?}")),
    }
}

/// The host's files; remembers which ones were read.
#[derive(Debug, Default)]
struct RecordingHost {
    files: RefCell<BTreeSet<PathBuf>>,
}

impl Host for RecordingHost {
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        self.files.borrow_mut().insert(file.to_owned());
        Disk.read(file)
    }

    fn identity(&self, file: &Path) -> PathBuf {
        Disk.identity(file)
    }

    fn is_dir(&self, path: &Path) -> bool {
        Disk.is_dir(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        Disk.is_file(path)
    }
}

/// A path from the root, without `.` and `..`.
fn absolute(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// Copies what a recipe is made of, each file to the same place relative to the others.
/// Returns the copy of the recipe.
fn copy_checkout(recipe: &Recipe, files: &BTreeSet<PathBuf>, to: &Path) -> io::Result<PathBuf> {
    let mut all: Vec<PathBuf> = files.iter().map(|file| absolute(file)).collect();
    all.extend(recipe.overlays.iter().map(|overlay| absolute(&overlay.dir)));
    let sources = recipe.components.values().filter_map(|component| component.source.as_ref());
    let local = sources.filter(|source| !source.location.contains("://"));
    all.extend(local.map(|source| absolute(Path::new(&source.location))));
    let mut common = absolute(&recipe.file);
    while !all.iter().all(|path| path.starts_with(&common) && *path != common) && common.pop() {}
    let place = |path: &Path| to.join(path.strip_prefix(&common).unwrap_or(path));
    for path in &all {
        if let Some(dir) = place(path).parent() {
            fs::create_dir_all(dir)?;
        }
        copy(path, &place(path))?;
    }
    Ok(place(&absolute(&recipe.file)))
}

/// Copies a file or a directory, with modes and times of its own. What of modes matters,
/// the owner's execute bit, stays.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    if meta.is_dir() {
        fs::create_dir_all(to)?;
        let names: io::Result<Vec<_>> = fs::read_dir(from)?.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names?;
        // Made in another order than they are listed in.
        names.sort_unstable_by(|a, b| b.cmp(a));
        for name in names {
            copy(&from.join(&name), &to.join(&name))?;
        }
        fs::set_permissions(to, Permissions::from_mode(0o700))
    } else if meta.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else {
        fs::copy(from, to)?;
        let mode = if meta.permissions().mode() & 0o100 == 0 { 0o600 } else { 0o700 };
        fs::set_permissions(to, Permissions::from_mode(mode))?;
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::options().read(true).open(to)?.set_modified(long_ago)
    }
}

/// Makes a cache that has the packages of a lock, as far as `from` has them, and nothing else.
fn cold_cache(from: &Path, lock: &Lock, cold: &Path) -> Result<(), Error> {
    let (from, to) = (Cache::open(from)?, Cache::open(cold)?);
    for package in lock.all_packages() {
        let (from, to) = (from.deb_path(&package.sha256), to.deb_path(&package.sha256));
        // What is missing or does not copy is downloaded.
        if from.is_file() && fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).ok();
        }
    }
    Ok(())
}
