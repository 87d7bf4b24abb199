//! Who made an image of what: `sledos sign`.
//!
//! Two detached files, both made with one release key and both the same every time:
//! `SHA256SUMS.minisig`, which the stock `minisign -V` verifies, and
//! `provenance.intoto.jsonl`, a signed statement of every input by its hash.

mod dsse;
mod statement;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use metadata::fleet::sign::Signer;
use metadata::signature::{self, TrustedKey};

use crate::artefacts;
use crate::exit::{Classify, Exit};
use crate::image::manifest::Manifest;
use crate::lock::{self, Lock};
use crate::output::{SUMS, parse_sums};

/// The signature of `SHA256SUMS`.
pub const SIGNATURE: &str = "SHA256SUMS.minisig";
/// The signed statement: one DSSE envelope, one line.
pub const PROVENANCE: &str = "provenance.intoto.jsonl";

/// Why an image cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not open.
    #[error(transparent)]
    Artefact(#[from] artefacts::Error),
    /// Its lock does not read.
    #[error("cannot sign an image without its lock")]
    Lock(#[from] lock::Error),
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A line of `SHA256SUMS`.
    #[error("{}, line {line}: not a hash, two spaces and a name", path.display())]
    Sums {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Artefact(error) => error.exit(),
            Self::Io { .. } | Self::Lock(lock::Error::Io { .. }) => Exit::Failure,
            Self::Lock(_) | Self::Sums { .. } => Exit::Verification,
        }
    }
}

/// What an image is signed over.
struct Subject {
    sums: String,
    comment: String,
    statement: String,
}

impl Subject {
    fn read(dir: &Path) -> Result<Self, Error> {
        let manifest: Manifest = artefacts::manifest(&dir.join("manifest.json"))?;
        let lock = Lock::read(&dir.join(format!("{}.lock", manifest.image)))?;
        let path = dir.join(SUMS);
        let sums = read(&path)?;
        let listed: Vec<_> =
            parse_sums(&sums).collect::<Result<_, _>>().map_err(|line| Error::Sums { path, line })?;
        Ok(Self {
            // It is signed, too: sums of one image are none of another.
            comment: format!(
                "image:{} version:{} root-hash:{}",
                manifest.image, manifest.version, manifest.root_hash
            ),
            statement: statement::statement(&manifest, &lock, &listed),
            sums,
        })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    fs::read_to_string(path).map_err(io)
}

/// Signs an image directory; returns the files it wrote. Whether the image is what its
/// `SHA256SUMS` say is the caller's to check before.
///
/// # Errors
/// When a file of the image does not read, or a signature cannot be written.
pub fn sign(dir: &Path, signer: &Signer) -> Result<[PathBuf; 2], Error> {
    let subject = Subject::read(dir)?;
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        let io = |source| Error::Io { doing: "write", path: path.clone(), source };
        let mut file = tempfile::Builder::new().prefix(".sign-").tempfile_in(dir).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(io)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(io)?;
        file.persist(&path).map_err(|error| io(error.error))?;
        Ok::<_, Error>(path)
    };
    Ok([
        write(PROVENANCE, dsse::seal(subject.statement.as_bytes(), signer))?,
        write(SIGNATURE, signer.sign(subject.sums.as_bytes(), &subject.comment))?,
    ])
}

/// Whether somebody signed an image directory.
pub fn is_signed(dir: &Path) -> bool {
    [SIGNATURE, PROVENANCE].iter().any(|name| dir.join(name).exists())
}

/// What is wrong with the signatures of an image directory.
///
/// # Errors
/// When the image itself does not read.
pub fn problems(dir: &Path, trusted: &[TrustedKey]) -> Result<Vec<String>, Error> {
    let subject = Subject::read(dir)?;
    let mut problems = Vec::new();
    let mut wrong = |name: &str, problem: &dyn std::error::Error| {
        problems.push(format!("{name}: {}", crate::verify::causes(problem)));
    };
    match read(&dir.join(SIGNATURE)) {
        Err(error) => wrong(SIGNATURE, &error),
        Ok(text) => {
            if let Err(error) = signature::verify(subject.sums.as_bytes(), &text, trusted) {
                wrong(SIGNATURE, &error);
            }
        }
    }
    match read(&dir.join(PROVENANCE)) {
        Err(error) => wrong(PROVENANCE, &error),
        Ok(line) => match dsse::open(&line, trusted) {
            Err(error) => wrong(PROVENANCE, &error),
            Ok(payload) if payload == subject.statement.as_bytes() => {}
            Ok(_) => problems.push(format!(
                "{PROVENANCE}: it says something else than the image's manifest, lock and {SUMS}"
            )),
        },
    }
    Ok(problems)
}
