//! Why a release is not published.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Classify, Exit};

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something with the fleet, its key or its images.
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),
    /// A file is not what the image's manifest says.
    #[error("{} is not what the manifest beside it says", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
    },
    /// Another image of this name and version was published before.
    #[error("{} was published before, and is another image: its root hash is {there}, that of the new one {own}", path.display())]
    Other {
        /// Where.
        path: PathBuf,
        /// The root hash of the one there.
        there: String,
        /// That of the new one.
        own: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory could not be put into place.
    #[error(transparent)]
    Output(#[from] crate::output::Error),
    /// Somebody pressed Ctrl-C.
    #[error(transparent)]
    Interrupted(#[from] crate::output::Interrupted),
    /// Signals cannot be handled.
    #[error("cannot handle signals")]
    Signals(#[source] io::Error),
}

impl Error {
    /// For `map_err`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Fleet(error) => error.exit(),
            Self::Broken { .. } | Self::Other { .. } => Exit::Verification,
            Self::Output(error) => error.exit(),
            Self::Interrupted(error) => error.exit(),
            Self::Io { .. } | Self::Signals(_) => Exit::Failure,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Fleet(error) => error.hint(),
            Self::Output(error) => error.hint(),
            Self::Broken { .. } => Some("build the image again".to_owned()),
            Self::Other { .. } => {
                Some("a version is one image for ever: build it with another --image-version".to_owned())
            }
            _ => None,
        }
    }
}
