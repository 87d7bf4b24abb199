//! The documents and scripts that are handed out, all of one compilation: read into
//! memory as a whole and exchanged as a whole, so that nobody ever gets a document with
//! the signature of another.

use crate::sled::check::Places;
use bytes::Bytes;
use metadata::document::{Document, MAX_BYTES, SledDocument};
use metadata::fleet::compile::{INDEX, Index, MAX_INDEX};
use metadata::values::Hash32;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// The directory that is read, below the one that is served.
const ROOT: &str = "v1";

/// A file as it is handed out.
#[derive(Clone, Debug)]
pub struct File {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its entity tag, with its quotes.
    pub etag: String,
    /// When it was written.
    pub modified: SystemTime,
}

/// Everything that was compiled at once.
#[derive(Debug, Default)]
pub struct Site {
    /// Name of the fleet.
    pub fleet: String,
    /// Bays of each rack.
    pub racks: BTreeMap<String, u32>,
    /// Files by path, like `v1/board/X.json`.
    pub files: HashMap<String, File>,
    /// Documents by name of the sled.
    pub sleds: BTreeMap<String, SledDocument>,
    /// Where everything belongs.
    pub places: Places,
    /// Host names in the URLs that sleds are given, in lower case.
    pub names: BTreeSet<String>,
    /// A number that no other site of this process has.
    pub version: u64,
    /// What only one sled asks for, by path: its name, and what that is.
    asked: HashMap<String, (String, &'static str)>,
    /// By name of the sled: its document's bytes, and their SHA-256 once somebody asked for it.
    hashes: HashMap<String, (Bytes, OnceLock<Hash32>)>,
}

/// Why documents cannot be handed out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file does not read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is longer than what is kept in memory.
    #[error("{} has {length} bytes; at most {most} are handed out", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Its length.
        length: u64,
        /// The most.
        most: u64,
    },
    /// The list of sleds is not one.
    #[error("{} is no list of sleds, as `sledos fleet compile` writes it", path.display())]
    Index {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A sled is in the list and has no document.
    #[error("{} is no document of {sled}, which {INDEX} lists", path.display())]
    Document {
        /// Where it should be.
        path: PathBuf,
        /// Which sled.
        sled: String,
    },
}

impl Site {
    /// Reads `root/v1`.
    ///
    /// # Errors
    /// When it is not what `sledos fleet compile` writes.
    pub fn load(root: &Path) -> Result<Self, Error> {
        static LOADED: AtomicU64 = AtomicU64::new(1);
        let mut site = Self { version: LOADED.fetch_add(1, Ordering::Relaxed), ..Self::default() };
        // One content under several keys is one file with several names.
        let mut known: HashMap<(u64, u64), File> = HashMap::new();
        let mut dirs = vec![(root.join(ROOT), ROOT.to_owned())];
        while let Some((dir, name)) = dirs.pop() {
            let fail = |source| Error::Read { path: dir.clone(), source };
            for entry in std::fs::read_dir(&dir).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                let Ok(file) = entry.file_name().into_string() else { continue };
                let path = format!("{name}/{file}");
                let fail = |source| Error::Read { path: entry.path(), source };
                let meta = entry.metadata().map_err(fail)?;
                if meta.is_dir() {
                    dirs.push((entry.path(), path));
                    continue;
                }
                if !meta.is_file() {
                    continue;
                }
                let most = if path == INDEX { MAX_INDEX } else { MAX_BYTES as u64 };
                if meta.len() > most {
                    return Err(Error::TooLong { path: entry.path(), length: meta.len(), most });
                }
                let id = (meta.dev(), meta.ino());
                let file = match known.get(&id) {
                    Some(file) => file.clone(),
                    None => {
                        let bytes = std::fs::read(entry.path()).map_err(fail)?.into();
                        let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                        let file = File { bytes, etag: etag(&meta), modified };
                        known.insert(id, file.clone());
                        file
                    }
                };
                site.files.insert(path, file);
            }
        }
        let path = root.join(INDEX);
        let Some(index) = site.files.get(INDEX) else {
            return Err(Error::Read { path, source: io::ErrorKind::NotFound.into() });
        };
        let index: Index =
            serde_json::from_slice(&index.bytes).map_err(|source| Error::Index { path, source })?;
        site.fleet = index.fleet;
        site.racks = index.racks;
        for (name, entry) in index.sleds {
            let path = entry.paths.first().map(String::as_str).unwrap_or_default();
            let bytes = site.files.get(path).map(|file| file.bytes.clone()).unwrap_or_default();
            let Ok(Document::Sled(document)) = Document::parse(&bytes) else {
                return Err(Error::Document { path: root.join(path), sled: name });
            };
            site.hashes.insert(name.clone(), (bytes, OnceLock::new()));
            let bays = site.racks.entry(entry.rack).or_default();
            *bays = entry.bay.max(*bays);
            site.asked.extend(entry.paths.into_iter().map(|path| (path, (name.clone(), "its document"))));
            let identity = &document.head.identity;
            let macs = identity.macs.iter().map(|mac| format!("mac/{}", mac.to_string().replace(':', "-")));
            for key in macs.chain(identity.uuid.iter().map(|uuid| format!("uuid/{uuid}"))) {
                site.asked.insert(format!("v1/ipxe/{key}.ipxe"), (name.clone(), crate::sled::state::SCRIPT));
            }
            let servers = &document.servers;
            let urls = servers.metadata.iter().chain(&servers.report).chain(&document.image.urls);
            site.names.extend(crate::http::gate::names(urls));
            site.places.add(&document);
            site.sleds.insert(name, *document);
        }
        Ok(site)
    }

    /// The sled that alone has reason to ask for a path, and what that is.
    pub fn asked(&self, path: &str) -> Option<(&str, &'static str)> {
        self.asked.get(path).map(|(sled, what)| (sled.as_str(), *what))
    }

    /// Generation and SHA-256 of a sled's document.
    pub fn newest(&self, sled: &str) -> Option<(u64, Hash32)> {
        let (document, (bytes, hash)) = (self.sleds.get(sled)?, self.hashes.get(sled)?);
        let hash = hash.get_or_init(|| Hash32(Sha256::digest(bytes).into()));
        Some((document.head.generation, *hash))
    }

    /// Sleds that refuse their document unless it is said to be the newest by another key than
    /// this.
    pub fn not_by(&self, key: Option<&str>) -> impl Iterator<Item = &str> {
        let by = move |keys: &[String]| keys.iter().any(|other| Some(other.as_str()) == key);
        let not = move |document: &SledDocument| {
            document.freshness.as_ref().is_some_and(|rule| rule.required && !by(&rule.keys))
        };
        self.sleds.iter().filter(move |(_, document)| not(document)).map(|(name, _)| name.as_str())
    }

    /// The sled whose place this is.
    pub fn at(&self, rack: &str, bay: u32) -> Option<&str> {
        let here = |document: &SledDocument| {
            let location = document.head.identity.location.as_ref();
            location.is_some_and(|at| at.rack == rack && at.bay == bay)
        };
        self.sleds.iter().find(|(_, document)| here(document)).map(|(name, _)| name.as_str())
    }

    /// Whether a token is the one in a sled's document. A document without one, of an
    /// older compiler, lets nobody report.
    pub fn is_token(&self, sled: &str, token: &str) -> bool {
        let own = self.sleds.get(sled).and_then(|document| document.servers.token.as_deref());
        own.is_some_and(|own| same(own.as_bytes(), token.as_bytes()))
    }
}

/// Compares in a time that says nothing about where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// An entity tag: changes whenever the file does, unless it was written twice in a tick
/// of the file system's clock with the same length.
pub fn etag(meta: &std::fs::Metadata) -> String {
    format!("\"{:x}-{:x}-{:x}{:08x}\"", meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// Sites change while they are used: who asks gets the one of this moment.
#[derive(Debug, Default)]
pub struct Current(std::sync::RwLock<Arc<Site>>);

impl Current {
    /// The one of this moment.
    pub fn get(&self) -> Arc<Site> {
        Arc::clone(&self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// From now on this one.
    pub fn set(&self, site: Site) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(site);
    }
}
