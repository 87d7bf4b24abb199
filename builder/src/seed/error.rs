//! Why a seed is not set up, or does not serve.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Classify, Exit};

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The terminal has gone.
    #[error("cannot ask on this terminal")]
    Terminal(#[source] io::Error),
    /// Nobody types any more.
    #[error("the input has ended; nothing was changed")]
    Ended,
    /// Two consoles ask at the same time.
    #[error("this seed was set up on another console meanwhile; nothing was changed here")]
    Meanwhile,
    /// Nobody has answered yet.
    #[error("this seed is not set up: there is no {}", .0.display())]
    NotSetUp(PathBuf),
    /// The settings are not what this program writes.
    #[error("cannot use the settings in {}", path.display())]
    Settings {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A file cannot be had.
    #[error("cannot get {what}: {why}")]
    Fetch {
        /// Which.
        what: String,
        /// Why not.
        why: String,
    },
    /// A file has other bytes than it should.
    #[error("{what} is not what the manifest beside it says; nothing is served of that image")]
    Broken {
        /// Which.
        what: String,
    },
    /// The address is not there.
    #[error("the network is not there: {0}")]
    Network(String),
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
    /// The configuration could not be put into place.
    #[error(transparent)]
    Output(#[from] crate::output::Error),
    /// A file of the configuration.
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),
    /// The server.
    #[error(transparent)]
    Serve(#[from] crate::serve::Error),
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
            Self::Fetch { .. } | Self::Network(_) => Exit::Network,
            Self::Broken { .. } => Exit::Verification,
            Self::Output(error) => error.exit(),
            Self::Fleet(error) => error.exit(),
            Self::Serve(error) => error.exit(),
            _ => Exit::Failure,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotSetUp(_) | Self::Settings { .. } => Some("`sledos seed setup` asks for it".to_owned()),
            Self::Broken { .. } => Some("copy the image to the stick or the server again".to_owned()),
            Self::Output(error) => error.hint(),
            Self::Fleet(error) => error.hint(),
            Self::Serve(error) => error.hint(),
            _ => None,
        }
    }
}
