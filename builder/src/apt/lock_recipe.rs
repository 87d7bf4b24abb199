//! `sledos lock`.

use std::path::{Path, PathBuf};

use super::fetch::{Client, Patience, Progress};
use super::release::Clock;
use super::resolve::Need;
use super::sources::{self, Mirrors};
use crate::lock::{self, Lock};
use crate::recipe::model::Recipe;

/// What `sledos lock` was asked to do.
#[derive(Clone, Copy, Debug)]
pub struct LockRequest<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// `--mirror`, in order; the host's apt sources when empty.
    pub mirrors: &'a [String],
    /// Apt's configuration on the host: `/etc/apt`.
    pub etc_apt: &'a Path,
    /// The cache directory.
    pub cache: &'a Path,
    /// The time that counts for expiry.
    pub clock: Clock,
    /// How long to wait for mirrors.
    pub patience: Patience,
    /// The lock file, written to and compared with; [`lock::path_of`] the recipe when not given.
    pub output: Option<&'a Path>,
    /// What components depend on that are given as files.
    pub needs: &'a [Need],
}

/// Resolves a recipe against its archives and writes the lock beside it.
/// Gives the lock and the file it was written to, which is replaced only when
/// everything went well.
pub fn lock_recipe(
    request: &LockRequest<'_>,
    progress: &dyn Progress,
) -> Result<(Lock, PathBuf), lock::Error> {
    let lock = resolve_recipe(request, progress)?;
    let file = place(request);
    lock.write(&file, &request.recipe.file)?;
    Ok((lock, file))
}

/// Resolves a recipe against its archives, and writes nothing.
pub fn resolve_recipe(request: &LockRequest<'_>, progress: &dyn Progress) -> Result<Lock, lock::Error> {
    let mirrors = mirrors(request.recipe, request.mirrors, request.etc_apt)?;
    let client = Client::new(request.patience);
    let archives = lock::Archives { mirrors: &mirrors, client: &client, cache: request.cache };
    // A lock that does not read is replaced like one that is not there.
    let previous = Lock::read(&place(request)).ok();
    lock::make(request.recipe, &archives, previous.as_ref(), request.clock, request.needs, progress)
}

fn place(request: &LockRequest<'_>) -> PathBuf {
    request.output.map_or_else(|| lock::path_of(request.recipe), Path::to_owned)
}

/// The mirrors a build or a lock of `recipe` uses. The host's apt sources are
/// not even read when `--mirror` is given.
pub fn mirrors(recipe: &Recipe, flags: &[String], etc_apt: &Path) -> Result<Mirrors, sources::Error> {
    let entries = if flags.is_empty() { sources::read(etc_apt)? } else { Vec::new() };
    Mirrors::choose(recipe, &entries, flags)
}
