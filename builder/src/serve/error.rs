//! Why a server does not start, or does not answer.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Classify, Exit};

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not start.
    #[error("the server does not start")]
    Start(#[from] server::Error),
    /// No PXE.
    #[error("PXE does not start")]
    Pxe(#[from] server::pxe::Error),
    /// A program that should run for as long as the server has ended.
    #[error("{0}")]
    Ended(String),
    /// Something with the fleet or its key.
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),
    /// The state directory is somebody else's.
    #[error(transparent)]
    State(#[from] crate::output::Error),
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
    /// A server that is asked does not answer.
    #[error("{url} does not answer")]
    Silent {
        /// What was asked for.
        url: String,
        /// Why not.
        source: Box<ureq::Error>,
    },
    /// It answers that it does not want to.
    #[error("{url} answers {status}: {says}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// What it says.
        says: String,
    },
    /// Nobody, or more than one, says he is the hardware that is to be bound.
    #[error("which {id} is meant? These say they are it:\n{sources}")]
    Choose {
        /// The hardware.
        id: String,
        /// What each says, a line each.
        sources: String,
    },
    /// It answers with something else.
    #[error("{url} is no sledos server: it answers with something else")]
    NotOurs {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Signals cannot be handled.
    #[error("cannot handle signals")]
    Signals(#[source] io::Error),
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Fleet(error) => error.exit(),
            Self::State(error) => error.exit(),
            Self::Silent { .. } | Self::Refused { .. } | Self::NotOurs { .. } => Exit::Network,
            Self::Choose { .. } => Exit::Usage,
            Self::Start(_) | Self::Pxe(_) | Self::Ended(_) | Self::Io { .. } | Self::Signals(_) => {
                Exit::Failure
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Fleet(error) => error.hint(),
            Self::Start(server::Error::Listen(address, _)) => {
                Some(format!("is another server on port {}? --port 0 takes any free one", address.port()))
            }
            Self::Start(server::Error::Store(_)) => {
                Some("is another `sledos serve` running with the same --state?".to_owned())
            }
            Self::Start(server::Error::Site(_)) => Some(
                "`sledos fleet compile --output DIR` makes documents; --documents DIR names them".to_owned(),
            ),
            Self::Silent { .. } => {
                Some("is `sledos serve` running there? --server URL says where".to_owned())
            }
            Self::Refused { status: 401 | 403, .. } => {
                Some("give the server's token: --token-file STATE/operator.token".to_owned())
            }
            Self::Choose { .. } => Some("name the true one: --digest DIGEST".to_owned()),
            _ => None,
        }
    }
}
