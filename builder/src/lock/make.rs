//! Making a lock: resolve, download, look at the maintainer scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;

use super::model::{Lock, Package, Release};
use super::{Error, request, scripts};
use crate::apt::archive::{self, Suite};
use crate::apt::fetch::{Client, DebCache, LockedFetcher, Progress};
use crate::apt::index::{self, Record};
use crate::apt::release::Clock;
use crate::apt::resolve::{self, Chosen, Need, Pool, PoolSuite, Request};
use crate::apt::sources::Mirrors;
use crate::recipe::model::Recipe;
use crate::unpack;

/// Where packages come from and go to.
#[derive(Clone, Copy, Debug)]
pub struct Archives<'a> {
    /// Mirrors of every suite of the recipe.
    pub mirrors: &'a Mirrors,
    /// Fetches from them.
    pub client: &'a Client,
    /// The cache directory.
    pub cache: &'a Path,
}

/// Resolves `recipe` against its archives as they are now. All .debs are in the
/// cache afterwards: their scripts had to be looked at, and the build needs them.
pub fn make(
    recipe: &Recipe,
    archives: &Archives<'_>,
    clock: Clock,
    needs: &[Need],
    progress: &dyn Progress,
) -> Result<Lock, Error> {
    let suites = archive::open(recipe, archives.mirrors, archives.client, archives.cache, clock, progress)?;
    let mut lock = resolve_suites(recipe, &suites, needs)?;
    let cache = DebCache::open(archives.cache)?;
    let debs = LockedFetcher::new(archives.client, &cache, archives.mirrors, &lock).fetch(progress)?;
    let unreviewed: BTreeMap<String, String> = lock
        .packages
        .par_iter()
        .zip(&debs)
        .filter(|(package, _)| !recipe.reviewed_scripts.contains_key(&package.name))
        .map(|(package, deb)| {
            let control = unpack::control_files(deb)
                .map_err(|source| Error::Scripts { package: package.name.clone(), source })?;
            Ok(scripts::gist(&scripts::review(&control)).map(|gist| (package.name.clone(), gist)))
        })
        .collect::<Result<Vec<_>, Error>>()?
        .into_iter()
        .flatten()
        .collect();
    lock.unreviewed = unreviewed;
    Ok(lock)
}

/// The lock but for the scripts.
pub(super) fn resolve_suites(recipe: &Recipe, suites: &[Suite], needs: &[Need]) -> Result<Lock, Error> {
    let arch = &recipe.debian.arch;
    let parsed = suites
        .iter()
        .map(|suite| Ok(PoolSuite { records: records(suite, arch)? }))
        .collect::<Result<Vec<_>, archive::Error>>()?;
    let pool = Pool::new(parsed, arch, &recipe.provided);
    let components: BTreeSet<String> = request::component_packages(recipe).collect();
    let request = Request {
        packages: &recipe.packages,
        kernel: Some(&recipe.kernel.package),
        components: &components,
        provided: &recipe.provided,
        recommends: recipe.debian.recommends,
        needs,
    };
    let chosen = resolve::resolve(&pool, &request)?;
    let releases: Vec<Release> = suites
        .iter()
        .map(|suite| Release {
            archive: suite.archive.clone(),
            suite: suite.release.suite.clone(),
            date: suite.release.date,
            sha256: suite.release.sha256,
            signed_by: suite.release.signed_by.clone(),
        })
        .collect();
    Ok(Lock {
        timestamp: releases.iter().map(|release| release.date).max().unwrap_or(0),
        request: request::digest(recipe),
        asked: request::asked(recipe),
        releases,
        packages: chosen.into_iter().map(package).collect(),
        unreviewed: BTreeMap::new(),
    })
}

fn records<'a>(suite: &'a Suite, arch: &str) -> Result<Vec<Record<'a>>, archive::Error> {
    let mut records = Vec::new();
    for one in &suite.indices {
        let parsed = index::parse(&one.text, arch)
            .map_err(|source| archive::Error::Index { name: one.name.clone(), source })?;
        records.extend(parsed);
    }
    Ok(records)
}

fn package(chosen: Chosen<'_>) -> Package {
    let record = chosen.record;
    Package {
        name: record.name.to_owned(),
        version: record.version.to_owned(),
        arch: record.arch.to_owned(),
        sha256: record.sha256,
        size: record.size,
        release: chosen.suite,
        path: record.path.to_owned(),
        because: chosen.because,
    }
}
