//! What became of images on this sled: remembered on ROOT, so that an outcome is not
//! tried for again. `lib/sledos/images.json` below /var.

use super::Hash;
use crate::durable;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

const DIR: &str = "lib/sledos";
const FILE: &str = "images.json";
/// Eight images have less than two kilobytes.
const MAX_BYTES: u64 = 64 << 10;
/// Images that are remembered: two slots, and those that were in them before.
const IMAGES: usize = 8;

/// What became of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Past {
    /// Its root hash, in hexadecimal digits.
    pub root_hash: String,
    /// Restarts into it from another image since it last came up.
    pub restarts: u32,
    /// Boots that were handed over to systemd since it was last ready.
    pub boots: u32,
    /// Times its slot was written again since it was last ready.
    pub repairs: u32,
    /// It was ready at some time.
    pub good: bool,
    /// It used up its tries.
    pub failed: bool,
}

/// What became of all images that are remembered, the latest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    images: Vec<Past>,
}

impl History {
    /// Reads it from this /var. What does not read is as if it were not there.
    pub fn load(var: &Path) -> Self {
        let bytes = durable::read(&var.join(DIR).join(FILE), MAX_BYTES).unwrap_or_default();
        let mut history: Self = serde_json::from_slice(&bytes).unwrap_or_default();
        let excess = history.images.len().saturating_sub(IMAGES);
        history.images.drain(..excess);
        history
    }

    /// Writes it there; when this returns it is on the disk.
    ///
    /// # Errors
    /// The kernel's.
    pub fn save(&self, var: &Path) -> io::Result<()> {
        let dir = var.join(DIR);
        fs::create_dir_all(&dir)?;
        durable::write(&dir, FILE, &serde_json::to_vec(self)?, 0o600)
    }

    /// What became of an image.
    pub fn of(&self, hash: &Hash) -> Past {
        let root_hash = hex(hash);
        let known = self.images.iter().find(|past| past.root_hash == root_hash).cloned();
        known.unwrap_or(Past { root_hash, ..Past::default() })
    }

    fn change(&mut self, hash: &Hash, change: impl FnOnce(&mut Past)) {
        let mut past = self.of(hash);
        change(&mut past);
        self.images.retain(|other| other.root_hash != past.root_hash);
        self.images.push(past);
        let excess = self.images.len().saturating_sub(IMAGES);
        self.images.drain(..excess);
    }

    /// The sled is about to restart into an image.
    pub fn restarts_into(&mut self, hash: &Hash) {
        self.change(hash, |past| past.restarts = past.restarts.saturating_add(1));
    }

    /// An image used up its tries.
    pub fn failed(&mut self, hash: &Hash) {
        self.change(hash, |past| past.failed = true);
    }

    /// The slot of an image was written again.
    pub fn repaired(&mut self, hash: &Hash) {
        self.change(hash, |past| past.repairs = past.repairs.saturating_add(1));
    }

    /// An image is handed over to systemd. When it is the one that is wanted, what became
    /// of others counts no more: the document that names one of them again is a new one.
    pub fn boots(&mut self, hash: &Hash, wanted: bool) {
        let root_hash = hex(hash);
        if wanted {
            self.images.retain(|past| past.root_hash == root_hash || past.good);
            for other in self.images.iter_mut().filter(|past| past.root_hash != root_hash) {
                (other.restarts, other.failed) = (0, false);
            }
        }
        self.change(hash, |past| {
            past.restarts = 0;
            past.boots = past.boots.saturating_add(1);
        });
    }

    /// An image got ready.
    pub fn ready(&mut self, hash: &Hash) {
        self.change(hash, |past| {
            *past = Past { root_hash: past.root_hash.clone(), good: true, ..Past::default() };
        });
    }
}

fn hex(hash: &Hash) -> String {
    formats::verity::hex(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_and_is_bounded() {
        let var = tempfile::tempdir().unwrap();
        let mut history = History::load(var.path());
        for n in 0..20 {
            history.restarts_into(&[n; 32]);
        }
        history.save(var.path()).unwrap();
        let read = History::load(var.path());
        assert_eq!(read, history);
        assert_eq!((read.images.len(), read.of(&[19; 32]).restarts, read.of(&[0; 32]).restarts), (8, 1, 0));
    }

    #[test]
    fn what_does_not_read_is_nothing() {
        let var = tempfile::tempdir().unwrap();
        fs::create_dir_all(var.path().join(DIR)).unwrap();
        for text in ["", "{", "{\"images\":7}", "[]"] {
            fs::write(var.path().join(DIR).join(FILE), text).unwrap();
            assert_eq!(History::load(var.path()), History::default(), "{text}");
        }
    }

    #[test]
    fn an_image_that_is_wanted_and_comes_up_ends_what_was_held_against_others() {
        let (a, b) = ([1; 32], [2; 32]);
        let mut history = History::default();
        history.restarts_into(&b);
        history.failed(&b);
        history.boots(&a, false);
        assert!(history.of(&b).failed && history.of(&b).restarts == 1);
        history.boots(&a, true);
        assert_eq!((history.of(&b).failed, history.of(&b).restarts, history.of(&a).boots), (false, 0, 2));
        history.ready(&a);
        assert_eq!((history.of(&a).boots, history.of(&a).good), (0, true));
    }
}
