//! Why something with a fleet failed.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Classify, Exit};
use metadata::fleet::sign;
use server::export::Refused;
use yaml::diagnostic::Diagnostics;

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in a fleet file or a sheet.
    #[error(transparent)]
    Mistakes(#[from] Diagnostics),
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
    /// A fleet file or sheet of absurd length.
    #[error("{} is too long to be a fleet file or a sheet", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// A key cannot be used.
    #[error("cannot use the key {}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: sign::Error,
    },
    /// A public key is none.
    #[error("cannot use the key {}", path.display())]
    PublicKey {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: metadata::signature::Error,
    },
    /// A password file begins with an empty line.
    #[error("the first line of {} is empty: it should be the password", path.display())]
    NoPassword {
        /// Which.
        path: PathBuf,
    },
    /// There is no sled of this name.
    #[error("there is no sled `{name}`")]
    NoSled {
        /// The name.
        name: String,
        /// One like it.
        near: Option<String>,
    },
    /// Another program could not do with it what is meant.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The tree could not be put into place.
    #[error(transparent)]
    Output(#[from] crate::output::Error),
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
            Self::Mistakes(_) => Exit::Recipe,
            Self::Key { .. } | Self::PublicKey { .. } | Self::NoPassword { .. } => Exit::Verification,
            Self::NoSled { .. } | Self::Refused(_) => Exit::Usage,
            Self::Output(error) => error.exit(),
            Self::Io { .. } | Self::TooLong { .. } => Exit::Failure,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Key { source: sign::Error::Encrypted, .. } => {
                Some("give the password's file: --password-file FILE".to_owned())
            }
            Self::Key { source: sign::Error::Public, .. } => {
                Some("give the file that ends in .key, made by `sledos keys new`".to_owned())
            }
            Self::PublicKey { .. } => Some("give the file that ends in .pub".to_owned()),
            Self::Io { doing: "create", source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some(
                    "it is not overwritten: what it signed could never be renewed; choose another name"
                        .to_owned(),
                )
            }
            Self::NoSled { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::Refused(Refused::Url { .. }) => Some("give --url http://ADDRESS:PORT".to_owned()),
            Self::Refused(Refused::NoIpv4 { .. }) => Some(
                "DHCP names the machine with TFTP by its IPv4 address: give --url http://ADDRESS:PORT"
                    .to_owned(),
            ),
            Self::Output(error) => error.hint(),
            _ => None,
        }
    }
}
