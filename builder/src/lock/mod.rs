//! The lock: exactly which packages an image is made of.
//!
//! `recipes/<name>.lock` is made by [`make`], written by [`Lock::write`] and read
//! by [`Lock::read`]. A build uses nothing else: see
//! [`LockedFetcher`](crate::apt::fetch::LockedFetcher).

mod make;
pub mod model;
mod read;
mod request;
pub mod scripts;
mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use make::{Archives, make};
pub use model::Lock;

use crate::apt::{archive, fetch, resolve, sources};
use crate::date;
use crate::recipe::model::Recipe;
use yaml::diagnostic::Diagnostics;

/// Why there is no lock, or not one that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no lock file.
    #[error("{} does not exist. Make it with `sledos lock RECIPE`", file.display())]
    Missing {
        /// Where it was looked for.
        file: PathBuf,
    },
    /// It cannot be read or written.
    #[error("cannot {action} the lock {}", file.display())]
    Io {
        /// `read`, `write`.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no lock.
    #[error("{} is no valid lock; make it again with `sledos lock RECIPE`", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong, with line and column.
        source: Diagnostics,
    },
    /// The recipe asks for something else than when the lock was made.
    #[error(
        "the lock is older than the recipe: {}. Make it again with `sledos lock RECIPE`",
        changes(added, removed)
    )]
    Stale {
        /// Packages the recipe asks for since.
        added: Vec<String>,
        /// Packages it does not ask for any more.
        removed: Vec<String>,
    },
    /// An archive that was newer once.
    #[error(
        "{archive} {suite} is of {}, and the lock was made from one of {}: a mirror that lags behind, or \
         somebody who hides updates. Use another mirror; for an archive that is old on purpose run \
         `sledos lock --archived`", date::display(*found), date::display(*locked)
    )]
    Backwards {
        /// `debian`.
        archive: String,
        /// `bookworm-security`.
        suite: String,
        /// Seconds since 1970.
        found: i64,
        /// Seconds since 1970.
        locked: i64,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] crate::cache::Error),
    /// The host's apt sources give no mirror.
    #[error(transparent)]
    Sources(#[from] sources::Error),
    /// An archive cannot be opened.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The packages do not go together.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// The packages of an extension do not go together, or not with the image.
    #[error("the extension {name} does not fit the image")]
    Extension {
        /// Which.
        name: String,
        /// Why.
        source: Box<resolve::Error>,
    },
    /// A package cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// The scripts of a package cannot be read.
    #[error("cannot look at the maintainer scripts of {package}")]
    Scripts {
        /// Which.
        package: String,
        /// Why.
        source: crate::unpack::Error,
    },
}

fn changes(added: &[String], removed: &[String]) -> String {
    let signed = |sign: char, names: &[String]| -> Vec<String> {
        names.iter().map(|name| format!("{sign}{name}")).collect()
    };
    let all = [signed('+', added), signed('-', removed)].concat();
    if all.is_empty() {
        "suites, components, repositories, `provided:` or `recommends:` changed".to_owned()
    } else {
        all.join(" ")
    }
}

/// Where the lock of a recipe is: beside it, `<name>.lock`.
pub fn path_of(recipe: &Recipe) -> PathBuf {
    recipe.file.with_file_name(format!("{}.lock", recipe.name))
}

impl Lock {
    /// Reads and checks a lock file.
    ///
    /// # Errors
    /// When it is missing, does not read or is no lock.
    pub fn read(file: &Path) -> Result<Lock, Error> {
        Self::read_bytes(file).map(|(lock, _)| lock)
    }

    /// As [`Lock::read`], with the bytes of the file.
    ///
    /// # Errors
    /// As [`Lock::read`].
    pub fn read_bytes(file: &Path) -> Result<(Lock, Vec<u8>), Error> {
        let bytes = fs::read(file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { file: file.to_owned() },
            _ => Error::Io { action: "read", file: file.to_owned(), source },
        })?;
        let lock = read::parse(file, bytes.clone())
            .map_err(|source| Error::Corrupt { file: file.to_owned(), source })?;
        Ok((lock, bytes))
    }

    /// Writes it, so that the file is the old or the new one, never a half.
    /// `recipe` is named in the head of the file.
    pub fn write(&self, file: &Path, recipe: &Path) -> Result<(), Error> {
        let failed = |source| Error::Io { action: "write", file: file.to_owned(), source };
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = recipe.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let mut temporary = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(dir)
            .map_err(failed)?;
        io::Write::write_all(&mut temporary, self.to_text(&name).as_bytes()).map_err(failed)?;
        temporary.as_file().sync_all().map_err(failed)?;
        temporary.persist(file).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The lock as text.
    pub fn to_text(&self, recipe: &str) -> String {
        write::text(self, recipe)
    }

    /// Whether `recipe` still asks for what it asked for when this was made.
    pub fn is_current_for(&self, recipe: &Recipe) -> Result<(), Error> {
        if self.request == request::digest(recipe) {
            return Ok(());
        }
        let now = request::asked(recipe);
        let without = |all: &[String], others: &[String]| -> Vec<String> {
            all.iter().filter(|name| !others.contains(name)).cloned().collect()
        };
        Err(Error::Stale { added: without(&now, &self.asked), removed: without(&self.asked, &now) })
    }
}
