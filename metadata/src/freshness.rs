//! Whether a document is the newest: its server says so, over a number that the sled made up.
//!
//! A signature says who made a document and not when it is handed out. So a sled asks the
//! server that gave it one:
//!
//! ```text
//! GET /v1/fresh/SLED?nonce=HEX
//!
//! sledos freshness 1
//! sled r12-b07
//! nonce 00112233445566778899aabbccddeeff
//! time 1790000000
//! generation 7
//! sha256 0123…
//! untrusted comment: …
//! RU…
//! trusted comment: …
//! …
//! ```
//!
//! The last four lines are a minisign signature of the first six, by a key that the document
//! names. The nonce makes an answer good for one question, the hash for one document.

use crate::document::Head;
use crate::signature::{self, TrustedKey};
use crate::values::Hash32;
use std::fmt;

/// Longest answer, in bytes.
pub const MAX_BYTES: usize = 2048;

/// How many keys of a document count.
pub const MAX_KEYS: usize = 8;

/// How much the clock of the server may be behind that of whoever signed the document, in seconds.
const SKEW: u64 = 3600;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Name of the sled.
    pub sled: &'a str,
    /// The number of its question.
    pub nonce: &'a str,
    /// Now, in seconds since 1970.
    pub time: u64,
    /// Generation of the newest document.
    pub generation: u64,
    /// SHA-256 of that.
    pub sha256: Hash32,
}

/// As it is signed.
impl fmt::Display for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sled, nonce, time, generation, sha256 } = self;
        write!(
            f,
            "sledos freshness 1\nsled {sled}\nnonce {nonce}\ntime {time}\ngeneration {generation}\nsha256 {sha256}\n"
        )
    }
}

impl<'a> Statement<'a> {
    /// Reads an answer: the statement, the text of it that is signed, and the signature.
    fn parse(answer: &'a str) -> Option<(Self, &'a str, &'a str)> {
        let mut rest = answer;
        let mut line = |name: &str| {
            let (line, after) = rest.split_once('\n')?;
            rest = after;
            line.strip_prefix(name)?.strip_prefix(' ')
        };
        line("sledos freshness").filter(|version| *version == "1")?;
        let statement = Self {
            sled: line("sled")?,
            nonce: line("nonce")?,
            time: line("time")?.parse().ok()?,
            generation: line("generation")?.parse().ok()?,
            sha256: line("sha256")?.parse().ok()?,
        };
        Some((statement, answer.strip_suffix(rest)?, rest))
    }

    /// The answer of a server that signs with this key.
    #[cfg(feature = "fleet")]
    pub fn answer(&self, signer: &crate::fleet::sign::Signer) -> String {
        let text = self.to_string();
        let minisig = signer.sign(text.as_bytes(), "freshness");
        text + &minisig
    }
}

/// Whether a text can be the number of a question: 128 to 256 bits in small hexadecimal digits.
pub fn is_nonce(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    digits && (32..=64).contains(&text.len())
}

/// A sled's question about a document it has.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What the document begins with.
    pub head: &'a Head,
    /// Its SHA-256.
    pub sha256: Hash32,
    /// Never used before; [`is_nonce`].
    pub nonce: &'a str,
    /// It is this late at least, in seconds since 1970.
    pub least: u64,
}

/// Why an answer does not show that the document is the newest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not an answer at all.
    #[error("the answer is not one about freshness")]
    Malformed,
    /// It is longer than [`MAX_BYTES`].
    #[error("the answer has more than {MAX_BYTES} bytes")]
    TooLong,
    /// It is not signed by a key of the document.
    #[error("the answer is signed by {0}, which the document does not name")]
    Key(String),
    /// The signature is not one of this answer.
    #[error("bad signature of the answer")]
    Signature,
    /// It was given to another question.
    #[error("the answer is to another question: an old one is played back")]
    Nonce,
    /// It is about another sled.
    #[error("the answer is about {0}")]
    Sled(String),
    /// The server's clock is wrong.
    #[error("the server's clock is wrong: it is later than it says")]
    Time,
    /// The document is not the newest.
    #[error("the server has generation {newest}, this is generation {offered}")]
    Generation {
        /// Generation of the newest.
        newest: u64,
        /// That of the document in question.
        offered: u64,
    },
    /// It is another one of the same generation.
    #[error("the server has another document of this generation")]
    Document,
}

impl Error {
    /// Whether the server itself says that the document is not the one it has: then it is old,
    /// and not only of unknown age.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Generation { .. } | Self::Document)
    }
}

impl Question<'_> {
    /// Its path below the URL of the server.
    pub fn path(&self) -> String {
        format!("v1/fresh/{}?nonce={}", self.head.sled, self.nonce)
    }

    /// The time at which the server said that this document is its newest.
    ///
    /// # Errors
    /// Whatever else the answer says.
    pub fn judge(&self, answer: &[u8], keys: &[TrustedKey]) -> Result<u64, Error> {
        if answer.len() > MAX_BYTES {
            return Err(Error::TooLong);
        }
        let text = std::str::from_utf8(answer).map_err(|_| Error::Malformed)?;
        let (statement, signed, minisig) = Statement::parse(text).ok_or(Error::Malformed)?;
        signature::verify(signed.as_bytes(), minisig, keys).map_err(|e| match e {
            signature::Error::UnknownKey { signer, .. } => Error::Key(signer),
            signature::Error::Malformed => Error::Malformed,
            _ => Error::Signature,
        })?;
        let Head { sled, generation: offered, issued, .. } = self.head;
        if statement.nonce != self.nonce {
            return Err(Error::Nonce);
        }
        if statement.sled != sled {
            return Err(Error::Sled(statement.sled.to_owned()));
        }
        if statement.time < self.least.max(issued.saturating_sub(SKEW)) {
            return Err(Error::Time);
        }
        if statement.generation != *offered {
            return Err(Error::Generation { newest: statement.generation, offered: *offered });
        }
        if statement.sha256 != self.sha256 { Err(Error::Document) } else { Ok(statement.time) }
    }
}

#[cfg(all(test, feature = "fleet"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::document::Identity;
    use crate::fleet::sign::{Signer, new_key};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    const NOW: u64 = 1_800_000_000;
    const NONCE: &str = "00112233445566778899aabbccddeeff";

    static SERVER: LazyLock<Signer> = LazyLock::new(signer);

    fn signer() -> Signer {
        Signer::parse(&new_key("t", None).unwrap().secret, None).unwrap()
    }

    fn statement() -> Statement<'static> {
        Statement { sled: "r1-b7", nonce: NONCE, time: NOW, generation: 7, sha256: Hash32([7; 32]) }
    }

    /// What a sled with generation 7 makes of an answer.
    fn judged(answer: &[u8]) -> Result<u64, Error> {
        let identity = Identity::default();
        let head = Head { sled: "r1-b7".into(), generation: 7, issued: NOW - 9, expires: NOW + 9, identity };
        let question = Question { head: &head, sha256: Hash32([7; 32]), nonce: NONCE, least: NOW - 9999 };
        assert_eq!(question.path(), format!("v1/fresh/r1-b7?nonce={NONCE}"));
        question.judge(answer, &[signer().public().clone(), SERVER.public().clone()])
    }

    #[test]
    fn an_answer_to_this_question_is_believed() {
        let answer = statement().answer(&SERVER);
        assert_eq!(judged(answer.as_bytes()), Ok(NOW));
        // Clocks that are a little apart.
        let behind = Statement { time: NOW - 9 - SKEW, ..statement() };
        assert_eq!(judged(behind.answer(&SERVER).as_bytes()), Ok(NOW - 9 - SKEW));
    }

    #[test]
    fn each_way_in_which_an_answer_is_wrong_has_its_error() {
        let other = signer();
        let cases = [
            (Statement { nonce: "ffeeddccbbaa99887766554433221100", ..statement() }, Error::Nonce),
            (Statement { sled: "r1-b8", ..statement() }, Error::Sled("r1-b8".into())),
            (Statement { time: NOW - 10 - SKEW, ..statement() }, Error::Time),
            (Statement { time: 0, ..statement() }, Error::Time),
            (Statement { generation: 8, ..statement() }, Error::Generation { newest: 8, offered: 7 }),
            (Statement { generation: 6, ..statement() }, Error::Generation { newest: 6, offered: 7 }),
            (Statement { sha256: Hash32([8; 32]), ..statement() }, Error::Document),
        ];
        for (statement, error) in cases {
            assert_eq!(judged(statement.answer(&SERVER).as_bytes()), Err(error), "{statement:?}");
        }
        let by_other = statement().answer(&other);
        assert_eq!(judged(by_other.as_bytes()), Err(Error::Key(other.public().id())));
        // The number of this question in an answer to another one.
        let old = Statement { nonce: "ffeeddccbbaa99887766554433221100", ..statement() }.answer(&SERVER);
        let changed = old.replace("ffeeddccbbaa99887766554433221100", NONCE);
        assert_eq!(judged(changed.as_bytes()), Err(Error::Signature));
        let long = statement().answer(&SERVER) + &" ".repeat(MAX_BYTES);
        assert_eq!(judged(long.as_bytes()), Err(Error::TooLong));
        let text = statement().to_string();
        for garbage in ["", "<html>", &text, &text.replace("freshness 1", "freshness 2"), &text[..40]] {
            assert_eq!(judged(garbage.as_bytes()), Err(Error::Malformed), "{garbage:?}");
        }
        assert_eq!(judged(b"\xff\xfe"), Err(Error::Malformed));
        let denied = Error::Generation { newest: 8, offered: 7 };
        assert!(denied.is_denial() && Error::Document.is_denial() && !Error::Nonce.is_denial());
    }

    #[test]
    fn numbers_of_questions_are_bounded() {
        assert!(is_nonce(NONCE) && is_nonce(&"f".repeat(64)));
        for text in
            ["", "0", &NONCE[1..], &"f".repeat(65), &NONCE.replace('f', "F"), &NONCE.replace('f', "\n")]
        {
            assert!(!is_nonce(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_byte_of_an_answer_may_be_another(at: prop::sample::Index, byte: u8) {
            let good = statement().answer(&SERVER).into_bytes();
            let mut bad = good.clone();
            let at = at.index(bad.len());
            bad[at] = byte;
            // Only the untrusted comment is free, and the line end at the very end.
            let free = good.windows(18).position(|w| w == b"untrusted comment:").unwrap();
            let end = free + good[free..].iter().position(|b| *b == b'\n').unwrap();
            let signed = !(free..=end).contains(&at) && at + 1 < good.len();
            prop_assert!(judged(&bad).is_err() || !signed || bad == good, "byte {}", at);
        }
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(judged(&bytes).is_err());
        }
    }
}
