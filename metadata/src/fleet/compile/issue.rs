//! One document: whether the one that lies there stays, or the next generation is issued.

use super::{File, INDEX, Index, Inputs, MAX_INDEX, Plan};
use crate::document::{Document, Head, MAX_BYTES};
use crate::fleet::before::Issued;
use crate::fleet::resolve::paths;
use crate::fleet::sign::Signer;
use crate::layout::{Key, SIGNATURE};
use crate::signature::verify;
use sha2::{Digest as _, Sha256};
use std::collections::hash_map::Entry;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics};

/// A file and its signature.
type Signed = [Arc<[u8]>; 2];

/// What lies at the paths of a document.
enum Old {
    /// One document at all of them, which need not be read.
    Verified(Issued),
    /// What was read at each.
    Read(Vec<Option<Signed>>),
}

/// Where the signature of a document is.
pub fn signature(path: &str) -> String {
    [path, SIGNATURE].concat()
}

fn bytes(document: &Document) -> Vec<u8> {
    let text = match document {
        Document::Sled(sled) => serde_json::to_vec(sled),
        Document::Retired(retired) => serde_json::to_vec(retired),
    };
    // Cannot fail: every map has text as keys, and numbers were checked to be finite.
    let mut bytes = text.unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The bytes of a document with this generation and these times.
fn issue(document: &mut Document, generation: u64, from: u64, to: u64) -> Vec<u8> {
    let head = match document {
        Document::Sled(sled) => &mut sled.head,
        Document::Retired(retired) => &mut retired.head,
    };
    (head.generation, head.issued, head.expires) = (generation, from, to);
    bytes(document)
}

impl Plan {
    /// Plans the files of a document. Returns its generation, when it expires and its
    /// paths, or its length when that is too long.
    pub(super) fn place(
        &mut self,
        mut document: Document,
        known: u64,
        lifetime: u64,
        inputs: &Inputs<'_>,
    ) -> Result<(u64, u64, Vec<String>), usize> {
        let mut paths: Vec<String> = paths(&document.head().identity).iter().map(Key::path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.retain(|path| match self.files.entry(path.clone()) {
            Entry::Vacant(free) => {
                free.insert(File::Keep);
                true
            }
            Entry::Occupied(_) => false,
        });
        let Some(first) = paths.first() else { return Ok((0, 0, Vec::new())) };
        let signatures: Vec<String> = paths.iter().map(|path| signature(path)).collect();
        let both = || paths.iter().zip(&signatures);
        let old = match inputs.verified.document(both(), inputs.before) {
            Some(issued) => Old::Verified(issued),
            None => Old::Read(both().map(|both| read_both(both, inputs)).collect()),
        };
        let there = old.issued();
        let newest = there.iter().map(|(issued, _)| issued.generation).max();
        // A tombstone counts on by itself; the sled's count is for when it was lost.
        let floor = match (&document, newest) {
            (Document::Retired(_), Some(newest)) => newest,
            (_, newest) => newest.unwrap_or(0).max(known),
        };
        let keep = there.iter().find(|(issued, both)| {
            let Issued { sha256, generation, issued: from, expires } = *issued;
            let fresh = inputs.time < from.saturating_add(lifetime / 2);
            let valid = expires.checked_sub(from) == Some(lifetime) && generation == floor;
            fresh
                && valid
                && generation >= inputs.least_generation
                && *Sha256::digest(issue(&mut document, generation, from, expires)) == sha256
                && both.is_none_or(|both| is_signed(both, inputs.signer))
        });
        let (issued, new) = match keep {
            Some((issued, both)) => {
                self.unchanged += 1;
                (*issued, both.cloned())
            }
            None => {
                let generation = floor.saturating_add(1).max(inputs.least_generation);
                let expires = inputs.time.saturating_add(lifetime);
                let content = issue(&mut document, generation, inputs.time, expires);
                if content.len() > MAX_BYTES {
                    return Err(content.len());
                }
                let what = if matches!(document, Document::Retired(_)) { "retired sled" } else { "sled" };
                let name = document.head().sled.clone();
                let signature =
                    inputs.signer.sign(&content, &format!("{what} {name} generation {generation}"));
                self.changed.push(name);
                let sha256 = Sha256::digest(&content).into();
                let issued = Issued { sha256, generation, issued: inputs.time, expires };
                (issued, Some([content.into(), signature.into_bytes().into()]))
            }
        };
        self.documents.push((first.clone(), issued));
        for (n, (path, signature)) in paths.iter().zip(signatures).enumerate() {
            // What is no other is kept, as was said above of the document.
            let signed = match new.as_ref().filter(|new| old.read(n) != Some(*new)) {
                None => File::Keep,
                Some(both) => {
                    let [content, signed] = both.clone().map(File::Write);
                    self.files.insert(path.clone(), content);
                    signed
                }
            };
            self.files.insert(signature, signed);
        }
        Ok((issued.generation, issued.expires, paths))
    }

    /// Plans the list of sleds.
    pub(super) fn add_index(
        &mut self,
        index: &Index,
        before: Option<Arc<[u8]>>,
        inputs: &Inputs<'_>,
    ) -> Result<(), Diagnostics> {
        let mut content = serde_json::to_vec_pretty(index).unwrap_or_default();
        content.push(b'\n');
        if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_INDEX {
            let wrong = format!("{INDEX} would have {} bytes", content.len());
            return Err(Diagnostic::nowhere(wrong)
                .why(format!("servers read at most {MAX_INDEX}"))
                .hint("make two fleets of it")
                .into());
        }
        let path = signature(INDEX);
        let same = before.zip(inputs.before.read(&path)).map(<Signed>::from);
        let files = if same.is_some_and(|both| *both[0] == content && is_signed(&both, inputs.signer)) {
            [File::Keep, File::Keep]
        } else {
            let signature = inputs.signer.sign(&content, &format!("fleet {}", index.fleet));
            [File::Write(content.into()), File::Write(signature.into_bytes().into())]
        };
        self.files.extend([INDEX.to_owned(), path].into_iter().zip(files));
        Ok(())
    }
}

impl Old {
    /// Every document that lies there, and its bytes if those were read.
    fn issued(&self) -> Vec<(Issued, Option<&Signed>)> {
        let read = match self {
            Self::Verified(issued) => return vec![(*issued, None)],
            Self::Read(read) => read,
        };
        let mut found: Vec<(Issued, Option<&Signed>)> = Vec::new();
        for both in read.iter().flatten() {
            // Most paths have the same.
            if found.iter().any(|(_, known)| *known == Some(both)) {
                continue;
            }
            let Ok(document) = Document::parse(&both[0]) else { continue };
            let Head { generation, issued, expires, .. } = *document.head();
            let sha256 = Sha256::digest(&both[0]).into();
            found.push((Issued { sha256, generation, issued, expires }, Some(both)));
        }
        found
    }

    /// What was read at the path of this number.
    fn read(&self, path: usize) -> Option<&Signed> {
        match self {
            Self::Verified(_) => None,
            Self::Read(read) => read.get(path)?.as_ref(),
        }
    }
}

fn read_both((path, signature): (&String, &String), inputs: &Inputs<'_>) -> Option<Signed> {
    Some([inputs.before.read(path)?, inputs.before.read(signature)?])
}

fn is_signed([content, signature]: &Signed, signer: &Signer) -> bool {
    let trusted = std::slice::from_ref(signer.public());
    std::str::from_utf8(signature).is_ok_and(|minisig| verify(content, minisig, trusted).is_ok())
}
