//! The archives of a recipe, opened: verified releases and the text of their indices.

mod indices;
mod layout;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::fetch::{self, Client, Problem, Progress, Wanted};
use super::index;
use super::release::{self, Clock, Keyring, Release};
use super::sources::{DEBIAN, Mirror, MirrorList, Mirrors, Origin};
use crate::date;
use crate::recipe::model::Recipe;
use layout::Layout;

/// A Release file larger than this is refused; Debian's have 200 kB.
const RELEASE_LIMIT: u64 = 16 << 20;
/// What to do when a suite is nowhere.
const NO_SUITE: &str = "There is no such suite: check `suite` and the address, or pass --mirror with \
    another mirror of Debian";

/// A suite of an archive.
#[derive(Debug)]
pub struct Suite {
    /// `debian`, or the name of one of the recipe's repositories.
    pub archive: String,
    /// What its InRelease says.
    pub release: Release,
    /// Texts of its Packages files.
    pub indices: Vec<Index>,
}

/// One Packages file.
#[derive(Debug)]
pub struct Index {
    /// For messages: `Packages of debian bookworm/main`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// The keyring or an InRelease is refused.
    #[error("{url} (from {origin}) is refused. If it is not {archive}, pass --mirror with one that is")]
    Release {
        /// Address of the file.
        url: String,
        /// Who named the mirror.
        origin: Origin,
        /// What it should have been.
        archive: String,
        /// Why.
        source: Box<release::Error>,
    },
    /// No keyring.
    #[error("cannot check who signed {archive}")]
    Keyring {
        /// `debian`.
        archive: String,
        /// Why.
        source: Box<release::Error>,
    },
    /// The release has no such component, or not for this architecture.
    #[error("{archive} {suite} has no index of component {component} for {arch}. It has: {has}")]
    NoIndex {
        /// `debian`.
        archive: String,
        /// `bookworm`.
        suite: String,
        /// `main`.
        component: String,
        /// `amd64`.
        arch: String,
        /// What it says it has.
        has: String,
    },
    /// An index with the right hash that cannot be read.
    #[error("cannot read {name}")]
    Index {
        /// Which.
        name: String,
        /// Why.
        source: index::Error,
    },
    /// The cache cannot be written.
    #[error("cannot write {} in the cache", file.display())]
    Cache {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Fetches and verifies all suites of a recipe: Debian's in the recipe's order,
/// then the repositories'.
pub fn open(
    recipe: &Recipe,
    mirrors: &Mirrors,
    client: &Client,
    cache: &Path,
    clock: Clock,
    progress: &dyn Progress,
) -> Result<Vec<Suite>, Error> {
    let debian = &recipe.debian;
    let keyring_error = |archive: &str| {
        let archive = archive.to_owned();
        move |source| Error::Keyring { archive, source: Box::new(source) }
    };
    let keyring = Keyring::debian(debian.keyring.as_deref()).map_err(keyring_error(DEBIAN))?;
    let mut wanted = Vec::new();
    for suite in std::iter::once(&debian.suite).chain(&debian.extra_suites) {
        wanted.push((DEBIAN, suite, &debian.components, keyring.clone()));
    }
    for repository in &recipe.repositories {
        let keyring = Keyring::read(&repository.keyring).map_err(keyring_error(&repository.name))?;
        wanted.push((&repository.name, &repository.suite, &repository.components, keyring));
    }
    let opener = Opener { mirrors, client, cache, clock, progress, arch: &debian.arch };
    wanted
        .into_par_iter()
        .map(|(archive, suite, components, keyring)| opener.suite(archive, suite, components, &keyring))
        .collect()
}

struct Opener<'a> {
    mirrors: &'a Mirrors,
    client: &'a Client,
    cache: &'a Path,
    clock: Clock,
    progress: &'a dyn Progress,
    arch: &'a str,
}

impl Opener<'_> {
    fn suite(
        &self,
        archive: &str,
        suite: &str,
        components: &[String],
        keyring: &Keyring,
    ) -> Result<Suite, Error> {
        let none = MirrorList::new(Vec::new());
        let mirrors = self.mirrors.of(archive, suite).unwrap_or(&none);
        let layout = Layout::of(suite);
        let (release, mirror) =
            self.release(&format!("{archive} {suite}"), suite, &layout, mirrors, keyring)?;
        self.progress.note(&format!(
            "{archive} {suite} of {} from {}, signed by {}",
            date::display(release.date),
            mirror.url,
            release.signed_by
        ));
        let mut wanted = Vec::new();
        for component in layout.components(components) {
            let found = layout.indices(&release, component, self.arch);
            if found.is_empty() {
                return Err(Error::NoIndex {
                    archive: archive.to_owned(),
                    suite: suite.to_owned(),
                    component: component.to_owned(),
                    arch: self.arch.to_owned(),
                    has: format!("{} for {}", release.components.join(" "), release.architectures.join(" ")),
                });
            }
            let name = format!("Packages of {archive} {suite}/{component}");
            wanted.extend(found.into_iter().map(|files| (name.clone(), files)));
        }
        let indices = wanted.into_par_iter().map(|(name, files)| {
            let text = self.index(&name, &files, mirrors)?;
            Ok(Index { name, text })
        });
        let indices = indices.collect::<Result<_, Error>>()?;
        Ok(Suite { archive: archive.to_owned(), release, indices })
    }

    /// `InRelease`, or where there is none `Release` and `Release.gpg`.
    fn release<'m>(
        &self,
        archive: &str,
        suite: &str,
        layout: &Layout,
        mirrors: &'m MirrorList,
        keyring: &Keyring,
    ) -> Result<(Release, &'m Mirror), Error> {
        let fetch = |name: &str| {
            let what = format!("{name} of {archive}");
            let wanted = Wanted { what: &what, limit: RELEASE_LIMIT, hash: None, gone: NO_SUITE };
            self.client.small(wanted, mirrors, &layout.path(name))
        };
        let (name, mirror, opened) = match fetch("InRelease") {
            Ok((bytes, mirror)) => ("InRelease", mirror, release::open(&bytes, suite, keyring, self.clock)),
            Err(missing) if is_missing(&missing) => {
                let (Ok((bytes, mirror)), Ok((signature, _))) = (fetch("Release"), fetch("Release.gpg"))
                else {
                    return Err(missing.into());
                };
                let opened = release::open_detached(&bytes, &signature, suite, keyring, self.clock);
                ("Release", mirror, opened)
            }
            Err(error) => return Err(error.into()),
        };
        let release = opened.map_err(|source| Error::Release {
            url: mirror.address(&layout.path(name)),
            origin: mirror.origin.clone(),
            archive: archive.to_owned(),
            source: Box::new(source),
        })?;
        Ok((release, mirror))
    }
}

/// Whether every mirror answered that it has no such file. Stores of objects say 403 for that.
fn is_missing(error: &fetch::Error) -> bool {
    let missing = |problem: &Problem| matches!(problem, Problem::NotFound | Problem::Status(400..500));
    match error {
        fetch::Error::Mirrors { attempts, .. } => {
            !attempts.is_empty() && attempts.iter().all(|a| missing(&a.problem))
        }
        _ => false,
    }
}
