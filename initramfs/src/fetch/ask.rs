//! One question: the document under one key at one server, and its signature.

use super::world::World;
use crate::log::Log;
use metadata::document::MAX_BYTES;
use metadata::layout::{Key, SIGNATURE};
use std::time::Duration;

/// A signature is four lines.
const MAX_SIGNATURE: usize = 4096;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has none under this key.
    NotThere,
    /// There is no answer, or none that helps; other keys would not do better.
    Failed {
        /// One sentence with the URL.
        why: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// There is a document and no signature.
    Unsigned {
        /// The document's URL.
        url: String,
    },
    /// There are both, unread.
    Document {
        /// The document's URL.
        url: String,
        /// Its bytes.
        document: Vec<u8>,
        /// The text of the signature.
        minisig: String,
    },
}

/// Asks.
pub(super) fn ask(world: &mut dyn World, server: &str, key: &Key) -> Outcome {
    let url = format!("{server}/{}", key.path());
    let document = match get(world, &url, MAX_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Outcome::NotThere,
        Err(failed) => return failed,
    };
    match get(world, &format!("{url}{SIGNATURE}"), MAX_SIGNATURE) {
        Ok(Some(bytes)) => {
            let minisig = String::from_utf8_lossy(&bytes).into_owned();
            Outcome::Document { url, document, minisig }
        }
        Ok(None) => Outcome::Unsigned { url },
        Err(failed) => failed,
    }
}

fn get(world: &mut dyn World, url: &str, max: usize) -> Result<Option<Vec<u8>>, Outcome> {
    let answer = world
        .get(url, max)
        .map_err(|e| Outcome::Failed { why: format!("{url}: {}", Log::chain(&e)), retry_after: None })?;
    match answer.status {
        200 => Ok(Some(answer.body)),
        404 | 410 => Ok(None),
        status => {
            let mut why = format!("{url}: the server answers {status}");
            if let Some(after) = answer.retry_after {
                why += &format!(", asks to come back in {} s", after.as_secs());
            }
            Err(Outcome::Failed { why, retry_after: answer.retry_after })
        }
    }
}
