//! Writing failed.

use std::io;
use std::path::{Path, PathBuf};

use super::own::Foreign;
use crate::exit::{Classify, Exit};

/// Writing artefacts failed. Nothing appeared under a final name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk or the quota is used up.
    #[error("the disk is full: cannot {doing} {path}{}", room(.needed, .free))]
    Full {
        /// What was being done: `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Bytes that were to be written, when known.
        needed: Option<u64>,
        /// Bytes left on that file system, when known.
        free: Option<u64>,
        /// What the system said.
        source: io::Error,
    },
    /// Others decide what is there.
    #[error("cannot use {path}: {foreign}")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Why it is not ours.
        foreign: Foreign,
    },
    /// Anything else.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done: `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn room(needed: &Option<u64>, free: &Option<u64>) -> String {
    let mib = |bytes: &u64| bytes.div_ceil(1 << 20);
    match (needed, free) {
        (Some(needed), Some(free)) => format!(" ({} MiB needed, {} MiB free)", mib(needed), free >> 20),
        (Some(needed), None) => format!(" ({} MiB needed)", mib(needed)),
        (None, Some(free)) => format!(" ({} MiB free)", free >> 20),
        (None, None) => String::new(),
    }
}

impl Error {
    /// An I/O error while doing something to a file. `needed` is how many bytes were
    /// to be written, when that is known.
    pub fn new(doing: &'static str, path: &Path, needed: Option<u64>, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let free = free_bytes(path.parent().unwrap_or(&path));
                Self::Full { doing, path, needed, free, source }
            }
            _ => Self::Io { doing, path, source },
        }
    }

    pub(super) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::new(doing, path, None, source)
    }
}

/// Bytes an ordinary user can still write on the file system of `path`.
fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        Exit::Failure
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } => Some("make room, or choose another place with --output".to_owned()),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the directory must be writable by the user who builds; root is not needed".to_owned())
            }
            Self::Foreign { .. } | Self::Io { .. } => None,
        }
    }
}
