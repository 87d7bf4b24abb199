//! The archives of a recipe, opened: verified releases and the text of their indices.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::fetch::{self, Client, Progress};
use super::index::{self, Compression};
use super::release::{self, Clock, IndexFile, Keyring, Release};
use super::sources::{DEBIAN, MirrorList, Mirrors, Origin};
use crate::recipe::model::Recipe;
use crate::{date, digest};

/// Debian's keyring on a Debian host.
const HOST_KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];
/// An InRelease larger than this is refused; Debian's have 200 kB.
const INRELEASE_LIMIT: u64 = 16 << 20;

/// A suite of an archive.
#[derive(Debug)]
pub struct Suite {
    /// `debian`, or the name of one of the recipe's repositories.
    pub archive: String,
    /// What its InRelease says.
    pub release: Release,
    /// Texts of its Packages files, one per component.
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
    let keyring = debian_keyring(debian.keyring.as_deref()).map_err(keyring_error(DEBIAN))?;
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

/// The keyring given, or the host's.
fn debian_keyring(given: Option<&Path>) -> Result<Keyring, release::Error> {
    if let Some(file) = given {
        return Keyring::read(file);
    }
    let host = HOST_KEYRINGS.iter().map(Path::new).find(|file| file.exists());
    Keyring::read(host.unwrap_or(Path::new(HOST_KEYRINGS[0])))
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
        let what = format!("InRelease of {archive} {suite}");
        let none = MirrorList::new(Vec::new());
        let mirrors = self.mirrors.of(archive, suite).unwrap_or(&none);
        let path = format!("dists/{suite}/InRelease");
        let (bytes, mirror) = self.client.small(&what, mirrors, &path, INRELEASE_LIMIT, None)?;
        let release = release::open(&bytes, suite, keyring, self.clock).map_err(|source| {
            let archive = format!("{archive} {suite}");
            let (url, origin) = (format!("{}/{path}", mirror.url), mirror.origin.clone());
            Error::Release { url, origin, archive, source: Box::new(source) }
        })?;
        self.progress.note(&format!(
            "{archive} {suite} of {} from {}, signed by {}",
            date::display(release.date),
            mirror.url,
            release.signed_by
        ));
        let indices = components
            .par_iter()
            .map(|component| self.index(archive, &release, component, mirrors))
            .collect::<Result<_, _>>()?;
        Ok(Suite { archive: archive.to_owned(), release, indices })
    }

    fn index(
        &self,
        archive: &str,
        release: &Release,
        component: &str,
        mirrors: &MirrorList,
    ) -> Result<Index, Error> {
        let suite = &release.suite;
        let name = format!("Packages of {archive} {suite}/{component}");
        let found = Compression::ALL.into_iter().find_map(|compression| {
            let path = format!("{component}/binary-{}/Packages{}", self.arch, compression.suffix());
            Some((compression, *release.files.get(&path)?, path))
        });
        let Some((compression, file, path)) = found else {
            return Err(Error::NoIndex {
                archive: archive.to_owned(),
                suite: suite.clone(),
                component: component.to_owned(),
                arch: self.arch.to_owned(),
                has: format!("{} for {}", release.components.join(" "), release.architectures.join(" ")),
            });
        };
        let path = match path.rsplit_once('/') {
            Some((dir, _)) if release.by_hash => {
                format!("dists/{suite}/{dir}/by-hash/SHA256/{}", digest::hex(&file.sha256))
            }
            _ => format!("dists/{suite}/{path}"),
        };
        let bytes = self.cached(&name, file, &path, mirrors)?;
        let text = index::decompress(&bytes, compression)
            .map_err(|source| Error::Index { name: name.clone(), source })?;
        Ok(Index { name, text })
    }

    /// `CACHE/indices/<sha256>`, fetched when it is not there or not right.
    fn cached(
        &self,
        what: &str,
        file: IndexFile,
        path: &str,
        mirrors: &MirrorList,
    ) -> Result<Vec<u8>, Error> {
        let dir = self.cache.join("indices");
        let at = dir.join(digest::hex(&file.sha256));
        if let Ok(bytes) = fs::read(&at)
            && digest::sha256(&bytes) == file.sha256
        {
            return Ok(bytes);
        }
        let limit = file.size.min(index::LIMIT);
        self.progress.expected(1, file.size);
        let (bytes, _) = self.client.small(what, mirrors, path, limit, Some(file.sha256))?;
        self.progress.downloaded(file.size);
        let write = || {
            fs::create_dir_all(&dir)?;
            let mut temporary = tempfile::NamedTempFile::new_in(&dir)?;
            std::io::Write::write_all(&mut temporary, &bytes)?;
            temporary.persist(&at).map_err(|error| error.error)
        };
        write().map_err(|source| Error::Cache { file: at.clone(), source })?;
        self.progress.finished(what);
        Ok(bytes)
    }
}
