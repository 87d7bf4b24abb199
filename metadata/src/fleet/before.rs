//! What lies in the output directory before a compilation.
//!
//! A file that a compilation has written or read once, and that nobody changed since, need not be read
//! again: [`Verified`] has what was found out about it, under its [`FileId`]. The caller keeps that between
//! compilations wherever it likes. It is authenticated with the signing key, so who cannot sign documents
//! cannot say anything about them there either; what does not read, or is by another key, is as nothing.

use super::compile::Plan;
use super::sign::Signer;
use std::collections::HashMap;
use std::sync::Arc;

/// Which file this is: one that was written to, or another one at its path, has another.
/// What the three numbers are is the caller's: inode, length and time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub [u64; 3]);

/// A directory of documents.
pub trait Before {
    /// What lies at a path.
    fn read(&self, path: &str) -> Option<Arc<[u8]>>;
    /// Which file that is; nothing when that cannot be said for sure.
    fn id(&self, path: &str) -> Option<FileId>;
}

/// Files that are all read.
impl<F: Fn(&str) -> Option<Arc<[u8]>>> Before for F {
    fn read(&self, path: &str) -> Option<Arc<[u8]>> {
        self(path)
    }

    fn id(&self, _: &str) -> Option<FileId> {
        None
    }
}

/// A document that was written, or whose signature was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its generation.
    pub generation: u64,
    /// When it was issued, in seconds since 1970.
    pub issued: u64,
    /// When it expires, in seconds since 1970.
    pub expires: u64,
}

/// What is known of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Documents, each with the file of its signature.
    documents: HashMap<FileId, (FileId, Issued)>,
    /// SHA-256 of scripts.
    scripts: HashMap<FileId, [u8; 32]>,
}

/// The first bytes of what is kept.
const MAGIC: &[u8; 16] = b"sledos verified1";
/// Bytes of an authenticator: 64 hexadecimal digits.
const TAG: usize = 64;
/// Words of 8 bytes of a document and of a script: two files or one, a hash, three numbers or none.
const WORDS: [usize; 2] = [13, 7];

impl Verified {
    /// What is known once a plan was carried out; `id` says which file is at a path now.
    pub fn of(plan: &Plan, id: impl Fn(&str) -> Option<FileId>) -> Self {
        let document = |(path, issued): &(String, Issued)| {
            Some((id(path)?, (id(&super::compile::signature(path))?, *issued)))
        };
        let script = |(path, sha256): &(String, [u8; 32])| Some((id(path)?, *sha256));
        Self {
            documents: plan.documents.iter().filter_map(document).collect(),
            scripts: plan.scripts.iter().filter_map(script).collect(),
        }
    }

    /// The document that lies at all of these paths, its signature beside each.
    pub(super) fn document<'a>(
        &self,
        mut paths: impl Iterator<Item = (&'a String, &'a String)>,
        before: &dyn Before,
    ) -> Option<Issued> {
        let ids = |(path, signature): (&String, &String)| Some((before.id(path)?, before.id(signature)?));
        let here = ids(paths.next()?)?;
        let (signature, issued) = self.documents.get(&here.0)?;
        (*signature == here.1 && paths.all(|both| ids(both) == Some(here))).then_some(*issued)
    }

    /// Whether a script with this hash lies at a path.
    pub(super) fn is_script(&self, path: &str, sha256: &[u8; 32], before: &dyn Before) -> bool {
        before.id(path).is_some_and(|file| self.scripts.get(&file) == Some(sha256))
    }

    /// As bytes, to be kept.
    pub fn to_bytes(&self, signer: &Signer) -> Vec<u8> {
        let mut body = Vec::new();
        let mut word = |word: u64| body.extend(word.to_le_bytes());
        word(u64::try_from(self.documents.len()).unwrap_or(u64::MAX));
        for (FileId(file), (FileId(signature), issued)) in &self.documents {
            file.iter().chain(signature).copied().for_each(&mut word);
            words(&issued.sha256).for_each(&mut word);
            [issued.generation, issued.issued, issued.expires].into_iter().for_each(&mut word);
        }
        for (FileId(file), sha256) in &self.scripts {
            file.iter().copied().chain(words(sha256)).for_each(&mut word);
        }
        [&MAGIC[..], tag(signer, &body).as_bytes(), &body].concat()
    }

    /// Reads what [`Verified::to_bytes`] wrote with the same key; anything else is nothing.
    pub fn parse(bytes: &[u8], signer: &Signer) -> Self {
        Self::read(bytes, signer).unwrap_or_default()
    }

    fn read(bytes: &[u8], signer: &Signer) -> Option<Self> {
        let (said, body) = bytes.strip_prefix(MAGIC)?.split_at_checked(TAG)?;
        if said != tag(signer, body).as_bytes() {
            return None;
        }
        let (words, _) = body.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let count = usize::try_from(words.next()?).ok()?;
        let words: Vec<u64> = words.collect();
        let (documents, scripts) = words.split_at_checked(count.checked_mul(WORDS[0])?)?;
        let document = |d: &[u64; WORDS[0]]| {
            let [a, b, c, e, f, g, h @ .., generation, issued, expires] = *d;
            let issued = Issued { sha256: hash(h), generation, issued, expires };
            (FileId([a, b, c]), (FileId([e, f, g]), issued))
        };
        let script = |s: &[u64; WORDS[1]]| {
            let [a, b, c, h @ ..] = *s;
            (FileId([a, b, c]), hash(h))
        };
        Some(Self {
            documents: documents.as_chunks().0.iter().map(document).collect(),
            scripts: scripts.as_chunks().0.iter().map(script).collect(),
        })
    }
}

/// No report token, whose first part is the name of a fleet: none is empty.
fn tag(signer: &Signer, body: &[u8]) -> String {
    signer.token(&[b"", b"verified files", body])
}

fn words(sha256: &[u8; 32]) -> impl Iterator<Item = u64> {
    sha256.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

fn hash(words: [u64; 4]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
    hash
}
