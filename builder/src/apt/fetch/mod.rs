//! Fetching from mirrors. Nothing a mirror says is believed: every caller knows
//! a hash, or verifies a signature.
//!
//! [`Client::small`] gets Release and index files into memory, [`debs`] gets
//! packages into the cache.

pub mod debs;
pub(crate) mod transport;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use debs::{DebCache, LockedFetcher};
use transport::Transport;

use super::sources::{Mirror, MirrorList};
use crate::digest::Hash;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// Without any byte.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { connect: Duration::from_secs(8), stall: Duration::from_secs(20) }
    }
}

/// What a person sees of downloads. All calls come from several threads.
pub trait Progress: Sync {
    /// So many files are wanted now, of which so many bytes are missing.
    fn expected(&self, _files: usize, _bytes: u64) {}
    /// Bytes arrived. Those of a failed attempt are taken back by [`Progress::lost`].
    fn downloaded(&self, _bytes: u64) {}
    /// Bytes that were counted turned out worthless.
    fn lost(&self, _bytes: u64) {}
    /// A file is complete.
    fn finished(&self, _name: &str) {}
    /// Something worth a line: a mirror failed, the next one is asked.
    fn note(&self, _text: &str) {}
    /// Whether to give up: asked at every piece of a download.
    fn stopped(&self) -> bool {
        false
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

/// Why one address did not give the file.
#[derive(Debug)]
pub enum Problem {
    /// No connection: name unknown, refused, no route, TLS failed.
    Connect(String),
    /// Connected, but no byte came for [`Patience::stall`].
    Stalled,
    /// The file does not exist there.
    NotFound,
    /// An HTTP status other than success.
    Status(u16),
    /// The connection ended before the file did.
    Truncated {
        /// Bytes that came.
        got: u64,
        /// Bytes that should have come.
        wanted: u64,
    },
    /// More bytes came than the file may have.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The right number of bytes, but not the right ones.
    WrongHash,
    /// Anything else, as the system says it.
    Io(io::Error),
}

impl Problem {
    /// Whether the same mirror may well do better when asked again.
    fn may_pass(&self) -> bool {
        matches!(self, Problem::Stalled | Problem::Truncated { .. } | Problem::Status(500..))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Connect(why) => write!(f, "no connection ({why})"),
            Problem::Stalled => f.write_str("it stopped sending"),
            Problem::NotFound => f.write_str("not found (404)"),
            Problem::Status(code) => write!(f, "status {code}"),
            Problem::Truncated { got, wanted } => write!(f, "ended after {got} of {wanted} bytes"),
            Problem::TooLarge { limit } => write!(f, "larger than the {limit} bytes it may have"),
            Problem::WrongHash => f.write_str("its hash is wrong: changed or damaged"),
            Problem::Io(error) => write!(f, "{error}"),
        }
    }
}

/// One address that was tried.
#[derive(Debug)]
pub struct Attempt {
    /// The address.
    pub url: String,
    /// Who named the mirror.
    pub origin: super::sources::Origin,
    /// What happened.
    pub problem: Problem,
}

/// A file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No mirror gave it.
    #[error("cannot fetch {what}:{}\n{}", list(attempts), advice(attempts, gone))]
    Mirrors {
        /// `Packages of bookworm/main`, `curl 7.88.1-10`.
        what: String,
        /// What to do when it is nowhere.
        gone: &'static str,
        /// Every address tried, in order.
        attempts: Vec<Attempt>,
    },
    /// [`Progress::stopped`] said so.
    #[error("the downloads were stopped")]
    Stopped,
    /// The cache cannot be written or read.
    #[error("cannot {action} {} in the cache", file.display())]
    Cache {
        /// `write`, `rename`…
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A lock names a release that the recipe and the mirrors do not know.
    #[error("{package} is locked to {archive} {suite}, for which there is no mirror. Lock again")]
    UnknownRelease {
        /// The package.
        package: String,
        /// `debian`.
        archive: String,
        /// `bookworm`.
        suite: String,
    },
}

fn list(attempts: &[Attempt]) -> String {
    let line = |a: &Attempt| format!("\n  {} (from {}): {}", a.url, a.origin, a.problem);
    attempts.iter().map(line).collect()
}

fn advice(attempts: &[Attempt], gone: &'static str) -> &'static str {
    if attempts.iter().all(|a| matches!(a.problem, Problem::NotFound)) {
        gone
    } else {
        "Check the network, or pass --mirror with another one"
    }
}

/// A file to fetch into memory.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// For messages: `Packages of bookworm/main`.
    pub what: &'a str,
    /// Bytes it may have.
    pub limit: u64,
    /// What it must be, when known.
    pub hash: Option<Hash>,
    /// What to do when no mirror has it.
    pub gone: &'static str,
}

/// Fetches files. Cheap to share between threads; keeps connections open.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client. Proxies (`http_proxy`, `https_proxy`, `no_proxy`) and the CA
    /// bundle (`SSL_CERT_FILE`, else the host's, else Mozilla's) are those of
    /// the environment.
    pub fn new(patience: Patience) -> Client {
        Client { transport: Transport::new(patience) }
    }

    /// A small file into memory, from the first mirror that has it; with it the
    /// mirror. `path` is below the mirrors' base address, as files are called there.
    pub fn small<'m>(
        &self,
        wanted: Wanted<'_>,
        mirrors: &'m MirrorList,
        path: &str,
    ) -> Result<(Vec<u8>, &'m Mirror), Error> {
        let address = |mirror: &Mirror| mirror.address(path);
        try_mirrors(
            wanted.what,
            wanted.gone,
            mirrors,
            &address,
            &Silent,
            |url| Ok(self.read_all(url, wanted)),
        )
    }

    /// A small file into memory from the very address that somebody wrote.
    pub fn exact(&self, wanted: Wanted<'_>, url: &Mirror) -> Result<Vec<u8>, Error> {
        let alone = MirrorList::new(vec![url.clone()]);
        let address = |mirror: &Mirror| mirror.url.clone();
        try_mirrors(wanted.what, wanted.gone, &alone, &address, &Silent, |url| Ok(self.read_all(url, wanted)))
            .map(|(bytes, _)| bytes)
    }

    fn read_all(&self, url: &str, wanted: Wanted<'_>) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        self.transport.get(url, 0, wanted.limit, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        if wanted.hash.is_some_and(|hash| !hash.fits(&bytes)) {
            return Err(Problem::WrongHash);
        }
        Ok(bytes)
    }
}

/// Asks one mirror after the other, and those that only stumbled a second time:
/// also one that gave other files but could not be reached for this one, as when an
/// answer of the name server was lost.
/// The outer error of `attempt` is none of a mirror's and ends it all.
fn try_mirrors<'m, T>(
    what: &str,
    gone: &'static str,
    mirrors: &'m MirrorList,
    address: &dyn Fn(&Mirror) -> String,
    progress: &dyn Progress,
    mut attempt: impl FnMut(&str) -> Result<Result<T, Problem>, Error>,
) -> Result<(T, &'m Mirror), Error> {
    let mut attempts: Vec<Attempt> = Vec::new();
    for (index, mirror) in mirrors.in_order().chain(mirrors.in_order()) {
        let url = address(mirror);
        let hopeless = |problem: &Problem| match problem {
            Problem::Connect(_) => !mirrors.has_worked(index),
            other => !other.may_pass(),
        };
        if attempts.iter().any(|a| a.url == url && hopeless(&a.problem)) {
            continue;
        }
        if let Some(last) = attempts.last() {
            progress.note(&format!("{}: {}; asking {}", last.url, last.problem, mirror.url));
        }
        match attempt(&url)? {
            Ok(file) => {
                mirrors.worked(index);
                return Ok((file, mirror));
            }
            Err(problem) => attempts.push(Attempt { url, origin: mirror.origin.clone(), problem }),
        }
    }
    Err(Error::Mirrors { what: what.to_owned(), gone, attempts })
}
