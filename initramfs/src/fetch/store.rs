//! The last good document, on /var: with it a sled comes up when no server answers.
//!
//! Below `lib/sledos`: `document.json` and `document.minisig`, readable by root only
//! because a document has secrets in it, and `seen.json`, see [`Memory`]. What is
//! read back is judged like any other: the disk is not trusted.

use crate::durable;
use crate::identity::Hardware;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where it is below /var.
const DIR: &str = "lib/sledos";
const DOCUMENT: &str = "document.json";
const SIGNATURE: &str = "document.minisig";
/// The signature of the document that is written next.
const NEXT: &str = "document.minisig.next";
const SEEN: &str = "seen.json";
/// Longest of them that is read.
const MOST: u64 = 1 + metadata::document::MAX_BYTES as u64;

/// What a sled remembers besides the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The server that was the last to give a document.
    pub server: Option<String>,
    /// Greatest generation seen, by sled.
    pub seen: BTreeMap<String, u64>,
    /// The machine the disk was in.
    pub hardware: Option<Hardware>,
}

/// A document as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its bytes.
    pub document: Vec<u8>,
    /// Its signature; two when a power cut came between the two files. At most one
    /// of them is of these bytes.
    pub minisigs: Vec<String>,
}

/// The store. Without a /var it is empty and keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Store {
    dir: Option<PathBuf>,
}

impl Store {
    /// The store on this /var.
    pub fn new(var: Option<&Path>) -> Self {
        Self { dir: var.map(|var| var.join(DIR)) }
    }

    /// What is remembered. What is not readable is as if it were not there: it only
    /// protects against old documents, which have to be signed all the same.
    pub fn memory(&self) -> Memory {
        let read = |dir: &PathBuf| serde_json::from_slice(&durable::read(&dir.join(SEEN), MOST).ok()?).ok();
        self.dir.as_ref().and_then(read).unwrap_or_default()
    }

    /// What is stored, if anything.
    ///
    /// # Errors
    /// When there is something and it does not read.
    pub fn load(&self) -> io::Result<Option<Stored>> {
        let Some(dir) = &self.dir else { return Ok(None) };
        let document = match durable::read(&dir.join(DOCUMENT), MOST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let text = |name: &str| String::from_utf8(durable::read(&dir.join(name), MOST).ok()?).ok();
        let minisigs = [SIGNATURE, NEXT].into_iter().filter_map(text).collect();
        Ok(Some(Stored { document, minisigs }))
    }

    /// Stores a document and what is remembered with it, and reads it back. When this
    /// returns, they are on the disk; after a power cut there is a document with its
    /// signature, the one or the other.
    ///
    /// # Errors
    /// The kernel's, or that other bytes are read than were written.
    pub fn save(&self, document: &[u8], minisig: &str, memory: &Memory) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        fs::create_dir_all(dir)?;
        let same = Stored { document: document.to_vec(), minisigs: vec![minisig.to_owned()] };
        if self.load().ok().flatten().as_ref() != Some(&same) {
            durable::write(dir, NEXT, minisig.as_bytes(), 0o600)?;
            durable::write(dir, DOCUMENT, document, 0o600)?;
            durable::rename(&dir.join(NEXT), &dir.join(SIGNATURE), dir)?;
            if self.load()?.as_ref() != Some(&same) {
                return Err(io::Error::other("the disk gives back other bytes than were written"));
            }
        }
        if self.memory() != *memory {
            durable::write(dir, SEEN, &serde_json::to_vec(memory)?, 0o600)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_saved_is_read_back_and_only_root_reads_it() {
        let var = tempfile::tempdir().unwrap();
        let store = Store::new(Some(var.path()));
        assert_eq!((store.load().unwrap(), store.memory()), (None, Memory::default()));
        let memory = Memory {
            server: Some("http://a".into()),
            seen: [("r1-b1".to_owned(), 7)].into(),
            hardware: Some(Hardware { board: Some("X".into()), ..Hardware::default() }),
        };
        store.save(b"{}", "sig", &memory).unwrap();
        let stored = Stored { document: b"{}".to_vec(), minisigs: vec!["sig".into()] };
        assert_eq!((store.load().unwrap(), store.memory()), (Some(stored), memory));
        let mode = fs::metadata(var.path().join("lib/sledos/document.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_power_cut_between_the_files_leaves_a_document_with_its_signature() {
        let var = tempfile::tempdir().unwrap();
        let store = Store::new(Some(var.path()));
        store.save(b"old", "old sig", &Memory::default()).unwrap();
        let dir = var.path().join(DIR);
        // As it is after each of the first two writes of a second save.
        fs::write(dir.join(NEXT), "new sig").unwrap();
        let sigs = vec!["old sig".to_owned(), "new sig".to_owned()];
        assert_eq!(
            store.load().unwrap().unwrap(),
            Stored { document: b"old".to_vec(), minisigs: sigs.clone() }
        );
        fs::write(dir.join(DOCUMENT), "new").unwrap();
        assert_eq!(store.load().unwrap().unwrap(), Stored { document: b"new".to_vec(), minisigs: sigs });
    }

    #[test]
    fn without_var_nothing_is_kept_and_nothing_fails() {
        let store = Store::new(None);
        store.save(b"{}", "sig", &Memory::default()).unwrap();
        assert_eq!(store.load().unwrap(), None);
    }

    #[test]
    fn what_does_not_read_is_an_error_for_the_document_and_nothing_for_the_memory() {
        let var = tempfile::tempdir().unwrap();
        fs::create_dir_all(var.path().join(DIR).join(DOCUMENT)).unwrap();
        fs::write(var.path().join(DIR).join(SEEN), "{").unwrap();
        let store = Store::new(Some(var.path()));
        assert!(store.load().is_err());
        assert_eq!(store.memory(), Memory::default());
    }
}
