//! Making a lock: resolve, download, look at the maintainer scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;

use super::model::{Lock, Package, Release};
use super::{Error, request, scripts};
use crate::apt::archive::{self, Suite};
use crate::apt::fetch::{Client, DebCache, LockedFetcher, Progress};
use crate::apt::index;
use crate::apt::release::Clock;
use crate::apt::resolve::{self, Asked, Chosen, Need, Pool, PoolSuite, Publisher, Request};
use crate::apt::sources::{DEBIAN, Mirrors};
use crate::cache;
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

/// Resolves `recipe` against its archives as they are now. `previous`: the lock that the new one
/// replaces; unless the archives are old on purpose, none may be older than it was then. All .debs are in the
/// cache afterwards: their scripts had to be looked at, and the build needs them.
pub fn make(
    recipe: &Recipe,
    archives: &Archives<'_>,
    previous: Option<&Lock>,
    clock: Clock,
    needs: &[Need],
    progress: &dyn Progress,
) -> Result<Lock, Error> {
    cache::make(archives.cache)?;
    let suites = archive::open(recipe, archives.mirrors, archives.client, archives.cache, clock, progress)?;
    if let Some(previous) = previous.filter(|_| !clock.archived) {
        check_dates(previous, &suites)?;
    }
    let mut lock = resolve_suites(recipe, &suites, needs)?;
    let kept = DebCache::open(archives.cache)?;
    let debs = LockedFetcher::new(archives.client, &kept, archives.mirrors, &lock).fetch(progress)?;
    let all: Vec<&Package> = lock.all_packages().collect();
    let unreviewed: BTreeMap<String, String> = all
        .into_par_iter()
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

/// A signature says who wrote a release, not that it is the newest: an old one may be played back.
fn check_dates(previous: &Lock, suites: &[Suite]) -> Result<(), Error> {
    for suite in suites {
        let same = |old: &&Release| old.archive == suite.archive && old.suite == suite.release.suite;
        let Some(old) = previous.releases.iter().find(same) else { continue };
        if suite.release.date < old.date {
            return Err(Error::Backwards {
                archive: suite.archive.clone(),
                suite: old.suite.clone(),
                found: suite.release.date,
                locked: old.date,
            });
        }
    }
    Ok(())
}

/// The lock but for the scripts.
pub(super) fn resolve_suites(recipe: &Recipe, suites: &[Suite], needs: &[Need]) -> Result<Lock, Error> {
    let arch = &recipe.debian.arch;
    let parsed = || suites.iter().map(|suite| parsed(recipe, suite)).collect::<Vec<_>>();
    let components: BTreeSet<String> = request::component_packages(recipe).collect();
    let request = Request {
        packages: &recipe.packages,
        kernel: Some(&recipe.kernel.package),
        components: &components,
        provided: &recipe.provided,
        recommends: recipe.debian.recommends,
        needs,
    };
    let pool = Pool::new(parsed(), arch, &request);
    let packages: Vec<Package> = resolve::resolve(&pool, &request)?.into_iter().map(package).collect();
    drop(pool);
    let mut extensions = BTreeMap::new();
    for (name, extension) in &recipe.extensions {
        let asked = beside(&packages, &extension.packages, suites);
        let request = Request { packages: &asked, kernel: None, needs: &[], ..request.clone() };
        let pool = Pool::new(parsed(), arch, &request);
        let chosen = resolve::resolve(&pool, &request)
            .map_err(|source| Error::Extension { name: name.clone(), source: Box::new(source) })?;
        let of_image = |chosen: &Chosen<'_>| packages.iter().any(|p| p.name == chosen.record.name);
        let more = chosen.into_iter().filter(|chosen| !of_image(chosen)).map(package).collect();
        extensions.insert(name.clone(), more);
    }
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
        packages,
        extensions,
        unreviewed: BTreeMap::new(),
    })
}

/// What to ask for so that an extension fits the image: its packages, and the image's in the very
/// versions that are locked.
fn beside(image: &[Package], asked: &BTreeSet<String>, suites: &[Suite]) -> BTreeSet<String> {
    let locked = image.iter().filter_map(|Package { name, version, release, .. }| {
        let suite = suites.get(*release)?;
        let from = if suite.archive == DEBIAN { &suite.release.suite } else { &suite.archive };
        Some(format!("{name}={version}/{from}"))
    });
    // What the image has anyhow is not asked for in another version or from another suite.
    let in_image = |text: &&String| image.iter().any(|package| package.name == Asked::parse(text).name);
    locked.chain(asked.iter().filter(|text| !in_image(text)).cloned()).collect()
}

fn parsed<'a>(recipe: &Recipe, suite: &'a Suite) -> PoolSuite<'a> {
    let repository = recipe.repositories.iter().find(|repository| repository.name == suite.archive);
    let publisher = match repository {
        Some(repository) if suite.archive != DEBIAN => Publisher::Repository(repository.packages.clone()),
        _ => Publisher::Distribution,
    };
    let mut parsed = PoolSuite::new(&suite.archive, &suite.release.suite, publisher, suite.release.automatic);
    for one in &suite.indices {
        parsed.add(index::parse(&one.text, &recipe.debian.arch));
    }
    parsed
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
