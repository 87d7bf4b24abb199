//! Where packages may be fetched from: the host's apt configuration and `--mirror`.

mod host;
mod list;
mod mirror_list;
mod mirrors;
mod stanza;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use mirrors::{DEBIAN, Mirror, MirrorList, Mirrors, Origin};

/// One `deb` line or stanza of apt's configuration (sources.list(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Base addresses, as written.
    pub uris: Vec<String>,
    /// `bookworm`, `bookworm-security`, or a path that ends in `/`.
    pub suites: Vec<String>,
    /// `main`…
    pub components: Vec<String>,
    /// Only these architectures; all when empty.
    pub architectures: Vec<String>,
    /// Which keys may sign it; any trusted one when not given.
    pub signed_by: Option<SignedBy>,
    /// The file it stands in.
    pub file: PathBuf,
    /// Its first line in it, from 1.
    pub line: usize,
}

/// `Signed-By`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// Key files or fingerprints.
    Keys(Vec<String>),
    /// A key block written into the file.
    Inline(String),
}

/// A file of apt's configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened.
    #[error("cannot read apt's sources in {}", file.display())]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says nothing apt would understand.
    #[error(
        "{}:{line}: {problem}. Correct it, or pass --mirror to leave the host's sources aside",
        file.display()
    )]
    Malformed {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The host has no entry that could serve the suite.
    #[error(
        "no mirror for {suite}: none of the host's apt sources serves Debian. \
         Pass one, like --mirror http://MIRROR/debian{}",
        reasons(passed)
    )]
    NoMirror {
        /// `bookworm`.
        suite: String,
        /// The entries there are.
        passed: Vec<PassedOver>,
    },
    /// A mirror with an address we cannot fetch from.
    #[error("mirror `{url}`: only http://, https:// and file:/// addresses can be fetched")]
    Address {
        /// As given.
        url: String,
    },
}

/// An entry of the host, or one of its addresses, that serves no Debian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The file it stands in.
    pub file: PathBuf,
    /// Its first line, from 1.
    pub line: usize,
    /// Its first address, as written.
    pub uri: String,
    /// Why it is passed over.
    pub why: String,
}

impl PassedOver {
    fn new(entry: &Entry, why: String) -> PassedOver {
        let uri = entry.uris.first().cloned().unwrap_or_default();
        PassedOver { file: entry.file.clone(), line: entry.line, uri, why }
    }
}

impl std::fmt::Display for PassedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} ({}) is passed over: {}", self.file.display(), self.line, self.uri, self.why)
    }
}

fn reasons(passed: &[PassedOver]) -> String {
    passed.iter().map(|passed| format!("\n  {passed}")).collect()
}

/// The entries of `text`, which is one-line format.
pub fn parse_list(text: &str, file: &Path) -> Result<Vec<Entry>, Error> {
    list::parse(text, file)
}

/// The entries of `text`, which is deb822 format.
pub fn parse_deb822(text: &str, file: &Path) -> Result<Vec<Entry>, Error> {
    stanza::parse(text, file)
}

/// All entries of an apt configuration directory (`/etc/apt`), in apt's order:
/// `sources.list`, then `sources.list.d/` by name.
pub fn read(etc_apt: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let list = etc_apt.join("sources.list");
    if let Some(text) = read_text(&list)? {
        entries.extend(parse_list(&text, &list)?);
    }
    let dir = etc_apt.join("sources.list.d");
    let mut files = Vec::new();
    match fs::read_dir(&dir) {
        Ok(items) => {
            for item in items {
                files.push(item.map_err(|source| Error::Read { file: dir.clone(), source })?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Read { file: dir, source }),
    }
    files.sort();
    for file in files {
        let parse = match file.extension().and_then(|e| e.to_str()) {
            Some("list") => parse_list,
            Some("sources") => parse_deb822,
            _ => continue,
        };
        if let Some(text) = read_text(&file)? {
            entries.extend(parse(&text, &file)?);
        }
    }
    Ok(entries)
}

fn read_text(file: &Path) -> Result<Option<String>, Error> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { file: file.to_owned(), source }),
    }
}
