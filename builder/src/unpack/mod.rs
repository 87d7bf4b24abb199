//! Packages, components and overlays become a tree.
//!
//! ```text
//! .deb ─ar→ control, data ─decode→ tar ─tarball→ entries + bytes ─store→ cache
//! cached archives ─merge→ Tree ─component→ Tree ─overlay→ Tree
//! ```
//! No maintainer script runs and nothing is written to the host's file system
//! but the cache.

pub mod ar;
pub(crate) mod attributes;
pub mod component;
pub mod control;
pub mod deb;
pub mod decode;
mod elf;
pub mod entry;
pub mod index;
pub mod merge;
pub mod overlay;
mod pax;
pub(crate) mod place;
pub mod store;
pub mod tarball;

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

pub use control::{Control, ControlFiles};
pub(crate) use place::canonical;
pub use store::Archive;

use crate::cache::Cache;
use crate::lock::model as lock;
use crate::progress::trace;

/// An unpacked Debian package.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: Arc<str>,
    /// What it says about itself.
    pub control: Control,
    /// What is in it.
    pub archive: Archive,
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A package of the lock.
    #[error("the package {name} {version} cannot be used")]
    Of {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// What is wrong with its file.
        #[source]
        source: Box<Error>,
    },
    /// The archive cannot be read from disk.
    #[error("cannot read {}", file.display())]
    Read {
        /// The archive.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The caller did not want it any more.
    #[error("unpacking was stopped")]
    Stopped,
    /// It is not the file that was asked for.
    #[error("{} is damaged or another file: its sha256 is {found}, not {wanted}; delete it and build again", file.display())]
    Digest {
        /// The archive.
        file: PathBuf,
        /// What its sha256 must be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// It has the right sha256, but is not a package one could unpack.
    #[error("cannot unpack {}", file.display())]
    Package {
        /// The package.
        file: PathBuf,
        /// Why.
        #[source]
        source: deb::Error,
    },
    /// It is not a tar archive one could unpack.
    #[error("cannot unpack {}", file.display())]
    Tar {
        /// The archive.
        file: PathBuf,
        /// Why.
        #[source]
        source: tarball::Error,
    },
    /// What was unpacked cannot be written.
    #[error("cannot write what is in {} to the cache", file.display())]
    Write {
        /// The archive.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cache cannot be used.
    #[error("cannot write to the cache {}; make room, or choose another with --cache DIR", dir.display())]
    Cache {
        /// Where it is.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The package is not the one in the lock.
    #[error("{} says its {field} is {found}, but the lock says {locked}; make a new lock", file.display())]
    NotAsLocked {
        /// The package.
        file: PathBuf,
        /// The control field.
        field: &'static str,
        /// What the package says.
        found: String,
        /// What the lock says.
        locked: String,
    },
}

/// Unpacks the locked packages, which must be in the cache's `debs/`, several at
/// a time, and returns them in the lock's order. `done` is called after each,
/// from any thread, with whether it was cached, and may break off: then no
/// further package is begun.
///
/// # Errors
/// With the first package in the lock's order that cannot be used, or when
/// `done` breaks off.
pub fn packages(
    cache: &Arc<Cache>,
    locked: &[lock::Package],
    done: &(dyn Fn(&lock::Package, bool) -> ControlFlow<()> + Sync),
) -> Result<Vec<Package>, Error> {
    // The largest first, so that it is not the one everybody waits for at the end.
    let mut order: Vec<_> = locked.iter().enumerate().collect();
    order.sort_by_key(|(n, p)| (std::cmp::Reverse(p.size), *n));
    let stopped = AtomicBool::new(false);
    let unpacked = order.into_iter().par_bridge().map(|(n, p)| {
        if stopped.load(Ordering::Relaxed) {
            return (n, Err(Error::Stopped));
        }
        let span = trace::span("unpack", || p.name.clone());
        let result = package(cache, p).map_err(|source| {
            let (name, version) = (p.name.clone(), p.version.clone());
            Error::Of { name, version, source: Box::new(source) }
        });
        drop(span);
        if let Ok(package) = &result
            && done(p, package.archive.was_cached).is_break()
        {
            stopped.store(true, Ordering::Relaxed);
        }
        (n, result)
    });
    let mut unpacked: Vec<_> = unpacked.collect();
    if stopped.into_inner() {
        return Err(Error::Stopped);
    }
    unpacked.sort_by_key(|(n, _)| *n);
    unpacked.into_iter().map(|(_, result)| result).collect()
}

/// The control files of the package `file`, maintainer scripts among them.
///
/// # Errors
/// When it cannot be read or is no package.
pub fn control_files(file: &Path) -> Result<ControlFiles, Error> {
    let open = File::open(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    deb::control_files(open).map_err(|source| Error::Package { file: file.to_owned(), source })
}

fn package(cache: &Arc<Cache>, locked: &lock::Package) -> Result<Package, Error> {
    let file = cache.deb_path(&locked.sha256);
    let source = store::Source { path: file.clone(), sha256: locked.sha256, form: store::Form::Deb };
    let archive = Archive::open(cache, source)?;
    let control = control_of(&archive, &file)?;
    let same = |field, found: &str, locked: &str| match found == locked {
        true => Ok(()),
        false => Err(Error::NotAsLocked {
            file: file.clone(),
            field,
            found: found.to_owned(),
            locked: locked.to_owned(),
        }),
    };
    same("Package", &control.package, &locked.name)?;
    same("Version", &control.version, &locked.version)?;
    same("Architecture", &control.architecture, &locked.arch)?;
    Ok(Package { name: locked.name.as_str().into(), control, archive })
}

fn control_of(archive: &Archive, file: &Path) -> Result<Control, Error> {
    let files = archive.control.clone().unwrap_or_default();
    Control::parse(files)
        .map_err(|e| Error::Package { file: file.to_owned(), source: deb::Error::Control(e) })
}
