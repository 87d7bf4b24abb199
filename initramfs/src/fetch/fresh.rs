//! Whether a document that is believed is also the newest: the server that gave it is asked.
//!
//! | the server | `required` | clock unknown, keys named | else |
//! |---|---|---|---|
//! | says that it is | believed | believed | believed |
//! | says that it has another, or that it has expired | refused | refused | refused |
//! | says nothing that counts | refused | refused | believed, and said |

use super::judge::Refusal;
use super::world::World;
use crate::clock::Time;
use crate::early::utc;
use crate::log::Log;
use metadata::document::SledDocument;
use metadata::freshness::{Error, MAX_BYTES, MAX_KEYS, Question};
use metadata::signature::TrustedKey;
use metadata::values::Hash32;
use sha2::{Digest, Sha256};
use std::fmt;

/// How fresh a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Its server said at this time, in seconds since 1970, that it is the newest.
    Proven {
        /// The time.
        at: u64,
    },
    /// Why nobody knows.
    Unknown(String),
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven { at } => write!(f, "proven fresh at {}", utc(*at)),
            Self::Unknown(why) => write!(f, "not proven fresh: {why}"),
        }
    }
}

/// What came of a question: a time, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is the newest, now.
    Newest(u64),
    /// It is not.
    Denied(Error),
    /// Nobody says anything that counts.
    Nothing(String),
}

/// Asks the server that gave this document. `least` is the least it can be, in seconds since 1970.
pub(super) fn ask(
    world: &mut dyn World,
    server: &str,
    document: &SledDocument,
    bytes: &[u8],
    least: u64,
) -> Answer {
    let keys = keys(document);
    if keys.is_empty() {
        return Answer::Nothing("the document names no key for it".into());
    }
    let Some(nonce) = world.nonce() else {
        return Answer::Nothing("the kernel has no random numbers".into());
    };
    let nonce: String = nonce.iter().map(|b| format!("{b:02x}")).collect();
    let sha256 = Hash32(Sha256::digest(bytes).into());
    let question = Question { head: &document.head, sha256, nonce: &nonce, least };
    let url = format!("{server}/{}", question.path());
    match world.get(&url, MAX_BYTES) {
        Err(error) => Answer::Nothing(format!("{server}: {}", Log::chain(&error))),
        Ok(answer) if answer.status != 200 => Answer::Nothing(format!("{server} answers {}", answer.status)),
        Ok(answer) => match question.judge(&answer.body, &keys) {
            Ok(at) => Answer::Newest(at),
            Err(error) if error.is_denial() => Answer::Denied(error),
            Err(error) => Answer::Nothing(format!("{server}: {error}")),
        },
    }
}

fn keys(document: &SledDocument) -> Vec<TrustedKey> {
    let keys = document.freshness.iter().flat_map(|freshness| &freshness.keys).take(MAX_KEYS);
    keys.filter_map(|key| TrustedKey::parse(key).ok()).collect()
}

/// Whether a document may be used after this answer: the table above. `required` is what the
/// command line or the image says; the document may, too.
pub(super) fn decide(
    document: &SledDocument,
    required: bool,
    clock: Time,
    answer: Answer,
) -> Result<Freshness, Refusal> {
    let expires = document.head.expires;
    match answer {
        Answer::Newest(at) if at >= expires => Err(Refusal::Expired { at: expires, now: at }),
        Answer::Newest(at) => Ok(Freshness::Proven { at }),
        Answer::Denied(why) => Err(Refusal::NotNewest(why)),
        Answer::Nothing(why) => match &document.freshness {
            Some(freshness) if freshness.required => Err(Refusal::NotFresh(why)),
            _ if required => Err(Refusal::NotFresh(why)),
            Some(_) if !clock.believable => Err(Refusal::NoTime(why)),
            _ => Ok(Freshness::Unknown(why)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::{NOW, document};
    use super::*;
    use metadata::document::Freshness as Rule;

    #[test]
    fn the_table_is_this() {
        let nothing = || Answer::Nothing("it is silent".into());
        let denied = || Answer::Denied(Error::Document);
        // The rule of the document, the sled's own, a clock that is believed, the answer.
        let decided = |rule: Option<bool>, required, believable, answer| {
            let mut document = document(7);
            document.freshness = rule.map(|required| Rule { keys: vec!["RW".into()], required });
            let decided = decide(&document, required, Time { least: NOW, believable }, answer);
            decided.map_err(|refusal| refusal.to_string().split(':').next().unwrap().to_owned())
        };
        for rule in [None, Some(false), Some(true)] {
            for (required, believable) in [(false, false), (false, true), (true, false), (true, true)] {
                let decided = |answer| decided(rule, required, believable, answer);
                let proven = Ok(Freshness::Proven { at: NOW });
                assert_eq!(decided(Answer::Newest(NOW)), proven);
                assert_eq!(decided(Answer::Newest(NOW + 8 * 86_400)), Err("expired".into()));
                assert_eq!(decided(denied()), Err("not the newest".into()));
                let expected = match (rule, required, believable) {
                    (Some(true), ..) | (_, true, _) => Err("not proven fresh".to_owned()),
                    (Some(false), false, false) => Err("no time".to_owned()),
                    _ => Ok(Freshness::Unknown("it is silent".into())),
                };
                assert_eq!(decided(nothing()), expected, "{rule:?} {required} {believable}");
            }
        }
    }
}
