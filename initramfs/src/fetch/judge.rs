//! Whether a document is believed. Pure: bytes, keys and times in, a verdict out.
//!
//! In this order, so that nothing unsigned is looked at: signature, form, whose it
//! is, generation, retired, expiry. Not guarded: whoever holds a trusted key. Whether it is
//! also the newest is asked afterwards ([`super::fresh`]).

use crate::clock::Time;
use crate::early::utc;
use crate::identity::{Hardware, lists};
use metadata::document::{self, Document, FORMAT, Identity, Retired, SledDocument};
use metadata::freshness;
use metadata::layout::Key;
use metadata::signature::{self, TrustedKey};
use std::collections::BTreeMap;

/// What is to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The document's bytes.
    pub document: &'a [u8],
    /// The text of its `.minisig` file.
    pub minisig: &'a str,
    /// How it was found.
    pub found: Found<'a>,
}

/// How a document was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// On a server, under this key.
    Under(&'a Key),
    /// On this sled's own disk. `here` says that the disk was in this machine when
    /// it was stored: a place that only LLDP knows cannot be checked without a network.
    Stored {
        /// See above.
        here: bool,
    },
}

/// What it is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Who may sign.
    pub trusted: &'a [TrustedKey],
    /// This sled.
    pub hardware: &'a Hardware,
    /// Greatest generation seen, by sled.
    pub seen: &'a BTreeMap<String, u64>,
    /// What time it is.
    pub clock: Time,
}

/// A document that is believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The document.
    pub document: Box<SledDocument>,
    /// Id of the key that signed it.
    pub signer: String,
    /// What people should know, a sentence each.
    pub notes: Vec<String>,
}

/// Why a document is not believed. The first words are stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature is not one of these bytes.
    #[error("bad signature: the signature by key {0} does not match the document")]
    BadSignature(String),
    /// There is no signature, or it is not one.
    #[error("bad signature: {0}")]
    NoSignature(&'static str),
    /// By a key that is not trusted.
    #[error("unknown key: signed by {signer}, trusted: {trusted}")]
    UnknownKey {
        /// Who signed.
        signer: String,
        /// Ids of the trusted keys.
        trusted: String,
    },
    /// This image trusts nobody.
    #[error("unknown key: this image trusts no key (sledos.trust= or `trust:` in the recipe)")]
    NoKeys,
    /// It is for another sled.
    #[error("another sled's document: it is for {sled} and does not list {key}")]
    OtherSled {
        /// Whose it is.
        sled: String,
        /// What it should list.
        key: String,
    },
    /// It is found under a UUID that this sled shares with the one it is for.
    #[error("another sled's document: it is for {sled} and lists nothing of this sled but {key}")]
    Namesake {
        /// Whose it is.
        sled: String,
        /// The UUID.
        key: String,
    },
    /// This hardware was replaced.
    #[error("retired: this hardware was {sled} and is not to come back ({why})")]
    Retired {
        /// What it was.
        sled: String,
        /// Its generation.
        generation: u64,
        /// What the fleet says about it.
        why: String,
    },
    /// A newer one was seen.
    #[error("older generation replayed: seen {seen}, offered {offered}")]
    Older {
        /// The greatest that was seen.
        seen: u64,
        /// This one's.
        offered: u64,
    },
    /// Its time is over.
    #[error("expired: at {}, now {}", utc(*.at), utc(*.now))]
    Expired {
        /// When, in seconds since 1970.
        at: u64,
        /// The clock.
        now: u64,
    },
    /// The server says that it has another one.
    #[error("not the newest: {0}")]
    NotNewest(freshness::Error),
    /// Nobody says that it is the newest, and somebody must.
    #[error("not proven fresh: {0}")]
    NotFresh(String),
    /// Nobody says what time it is.
    #[error("no time: the clock was reset, so whether the document has expired is unknown; {0}")]
    NoTime(String),
    /// Another version of the format.
    #[error("other format: {0}, and this image reads {FORMAT}")]
    Format(u32),
    /// Signed, and not a document all the same.
    #[error("malformed: {0}")]
    Malformed(String),
}

impl Judge<'_> {
    /// Judges.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn judge(&self, offer: Offer<'_>) -> Result<Accepted, Refusal> {
        let signer = signature::verify(offer.document, offer.minisig, self.trusted).map_err(|e| match e {
            signature::Error::Mismatch(key) => Refusal::BadSignature(key),
            signature::Error::UnknownKey { signer, trusted } => Refusal::UnknownKey { signer, trusted },
            signature::Error::NoKeys => Refusal::NoKeys,
            _ => Refusal::NoSignature("not a minisign signature"),
        })?;
        let document = Document::parse(offer.document).map_err(|e| match e {
            document::Error::Format(format) => Refusal::Format(format),
            document::Error::Shape(error) => Refusal::Malformed(error.to_string()),
            error => Refusal::Malformed(error.to_string()),
        })?;
        let head = document.head();
        self.is_ours(&head.sled, &head.identity, offer.found)?;
        let seen = self.seen.get(&head.sled).copied().unwrap_or(0);
        if head.generation < seen {
            return Err(Refusal::Older { seen, offered: head.generation });
        }
        let document = match document {
            Document::Sled(document) => document,
            // A tombstone has no end: the hardware is not to come back later either.
            Document::Retired(Retired { head, retired: why, .. }) => {
                return Err(Refusal::Retired { sled: head.sled, generation: head.generation, why });
            }
        };
        let mut notes = Vec::new();
        let (head, now) = (&document.head, self.clock.least);
        if now >= head.expires {
            // Better an old configuration than a sled that is down because its servers are.
            match offer.found {
                Found::Under(_) => return Err(Refusal::Expired { at: head.expires, now }),
                Found::Stored { .. } => notes.push(format!("it expired at {}", utc(head.expires))),
            }
        }
        if now < head.issued && self.clock.believable {
            notes.push(format!("it was signed at {}, the clock says {}", utc(head.issued), utc(now)));
        }
        notes.extend(self.strangers(&head.identity));
        Ok(Accepted { document, signer, notes })
    }

    /// A server may hand out any signed document under any name, and a disk may have
    /// been moved; the document itself says whose it is.
    fn is_ours(&self, sled: &str, identity: &Identity, found: Found<'_>) -> Result<(), Refusal> {
        let (ours, key) = match found {
            Found::Under(key) => (lists(identity, key), key.to_string()),
            Found::Stored { here } => {
                let all = metadata::layout::WORDS.map(str::to_owned);
                let any = self.hardware.keys(&all).iter().any(|key| lists(identity, key));
                (any || here, "any key of this sled".to_owned())
            }
        };
        match found {
            _ if !ours => Err(Refusal::OtherSled { sled: sled.to_owned(), key }),
            Found::Under(Key::Uuid(_)) if !self.is_backed(identity) => {
                Err(Refusal::Namesake { sled: sled.to_owned(), key })
            }
            _ => Ok(()),
        }
    }

    /// Whether anything but the UUID speaks for this sled. Firmware is flashed with the UUID
    /// of another board now and then; serial numbers and MAC addresses are not shared with it.
    fn is_backed(&self, identity: &Identity) -> bool {
        let alone =
            identity.board_serial.is_none() && identity.product_serial.is_none() && identity.macs.is_empty();
        let all = metadata::layout::WORDS.map(str::to_owned);
        let mut keys = self.hardware.keys(&all).into_iter().filter(|key| !matches!(key, Key::Uuid(_)));
        alone || keys.any(|key| lists(identity, &key))
    }

    /// What is another than the document says: a board that was swapped in.
    fn strangers(&self, identity: &Identity) -> Vec<String> {
        let pairs = [
            ("board", &self.hardware.board, &identity.board_serial),
            ("product", &self.hardware.product, &identity.product_serial),
        ];
        let differ = pairs.into_iter().filter_map(|(what, is, was)| match (is, was) {
            (Some(is), Some(was)) if is != was => Some(format!("{what} {is} sits where {was} was")),
            _ => None,
        });
        differ.collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
